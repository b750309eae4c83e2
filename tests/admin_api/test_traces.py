from __future__ import annotations

import pytest

from shared.jobs import Hop, MessageJob
from shared.ledger import Ledger
from tests.admin_api.conftest import Ask
from tests.aws import Aws


@pytest.fixture(autouse=True)
def _messages(aws: Aws) -> None:
    ledger = Ledger(aws.dynamodb, aws.table("messages"), aws.clock, 86400)
    for number, visit in enumerate(["shop#a#ada", "shop#a#ada", "shop#u#7"]):
        aws.clock.forward(60)
        job = MessageJob(
            message_id=f"m_{number}",
            trigger="cart",
            trigger_version=1,
            visit_id=visit,
            profile_id=None,
            decided="skip",
            reason="no profile",
            campaign="c",
            delivery="d",
            template="t",
            integration="i",
            decided_at=aws.clock(),
            anchor_at=aws.clock(),
            valid_until=aws.clock(),
        )
        ledger.skip(job, [Hop(at=aws.clock(), hop="send_message", what="skipped", reason="no profile")])


def test_the_trace_of_a_message(ask: Ask) -> None:
    status, trace = ask("GET", "/traces/m_1")
    assert status == 200
    assert (trace["message_id"], trace["status"], trace["trace"][-1]["reason"]) == ("m_1", "skipped", "no profile")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"visit": "shop#a#ada"}, ["m_1", "m_0"]),
        ({"tracker": "shop", "anonymous_id": "ada"}, ["m_1", "m_0"]),
        ({"tracker": "shop", "user_id": "7"}, ["m_2"]),
        ({"tracker": "shop", "user_id": "8"}, []),
    ],
)
def test_the_traces_of_a_visit_newest_first(ask: Ask, query: dict[str, str], found: list[str]) -> None:
    status, answer = ask("GET", "/traces", None, **query)
    assert status == 200
    assert [message["message_id"] for message in answer["traces"]] == found
