from __future__ import annotations

from tests.cli.conftest import Bridge, Sendbridge

CHECKS = (
    b'{"checks": ['
    b'{"check": "token", "subject": "integration/postbird", "ok": false, "detail": "refuses the credentials"},'
    b'{"check": "table", "subject": "visits", "ok": true, "detail": ""}]}'
)


def test_what_is_wrong_is_seen_last_and_is_the_exit_code(sendbridge: Sendbridge, bridge: Bridge) -> None:
    bridge.answers = [(200, CHECKS), (200, CHECKS.replace(b"false", b"true"))]
    sick = sendbridge("doctor")
    assert (sick.code, sick.out.splitlines()) == (
        1,
        [
            "ok     table           visits",
            "WRONG  token           integration/postbird: refuses the credentials",
        ],
    )
    assert sendbridge("doctor").code == 0
