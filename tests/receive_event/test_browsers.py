"""Browsers that post by themselves: which sites may, and what they are told."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from shared.trackers import Tracker
from tests.receive_event.receiver import Receiver

KEY = "wk_0123456789"
SITE = "https://www.example.com"
BODY = {"name": "Product Viewed", "time": "2026-11-21T11:59:00Z", "anonymous_id": "a1"}
BEACON = "text/plain;charset=UTF-8"


def receiver(**changes: Any) -> Receiver:
    wanted = {
        "name": "site",
        "format": "json",
        "mapping": {},
        "proof": "write_key",
        "secrets": [KEY],
        "origins": [SITE],
        **changes,
    }
    return Receiver(Tracker.model_validate(wanted))


def asking(origin: str = SITE, **more: str) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return {"origin": origin, "access-control-request-method": "POST", **named}


def body(**more: object) -> bytes:
    return json.dumps({**BODY, **more}).encode()


def test_a_listed_site_is_told_that_it_may_post() -> None:
    at = receiver()
    status, headers, said = at.ask(method="OPTIONS", headers=asking(access_control_request_headers="content-type, x-mine"))
    assert (status, said) == (204, "")
    assert headers == {
        "vary": "origin",
        "access-control-allow-origin": SITE,
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": "content-type, x-mine",
        "access-control-max-age": "7200",
    }
    _, headers, _ = at.ask(method="OPTIONS", headers=asking(access_control_request_headers="a\r\nset-cookie: b"))
    assert "access-control-allow-headers" not in headers


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://www.example.com.evil.example", "http://www.example.com", "null", ""]
)
def test_any_other_site_is_refused(origin: str) -> None:
    at = receiver()
    status, headers, _ = at.ask(method="OPTIONS", headers=asking(origin))
    assert (status, headers["vary"]) == (403, "origin")
    assert "access-control-allow-origin" not in headers
    if origin:
        status, headers, _ = at.ask(body(writeKey=KEY), {"origin": origin, "content-type": BEACON})
        assert status == 403
        assert "access-control-allow-origin" not in headers
    assert at.taken() == []


def test_a_beacon_is_json_although_it_says_that_it_is_text() -> None:
    at = receiver()
    status, headers, said = at.ask(body(writeKey=KEY), {"origin": SITE, "content-type": BEACON})
    assert (status, said["accepted"]) == (202, 1)
    assert headers["access-control-allow-origin"] == SITE
    (event,) = at.taken()
    assert event.anonymous_id == "a1"


def test_the_answer_is_for_the_page_also_when_it_is_a_refusal() -> None:
    for sent, status in (
        (b"{", 401),
        (body(writeKey="wrong"), 401),
        (json.dumps({"writeKey": KEY}).encode() + b" x", 401),
        (b"x" * 2_200_000, 413),
    ):
        found, headers, _ = receiver().ask(sent, {"origin": SITE})
        assert found == status
        assert headers["access-control-allow-origin"] == SITE
        assert headers["content-type"] == "application/problem+json"


def test_the_key_is_in_the_login_in_the_url_or_in_the_body() -> None:
    login = {"authorization": "Basic " + base64.b64encode(f"{KEY}:".encode()).decode()}
    for sent, headers, query in ((body(), login, ""), (body(), {}, f"writeKey={KEY}"), (body(writeKey=KEY), {}, "")):
        assert receiver().ask(sent, headers, query=query)[0] == 202
    others = {"authorization": "Basic " + base64.b64encode(b"wrong:").decode()}
    for sent, headers, query in (
        (body(), others, ""),
        (body(), {}, "writeKey=wrong"),
        (body(writeKey=[KEY]), {}, ""),
        (b"[]", {}, ""),
    ):
        status, _, said = receiver().ask(sent, headers, query=query)
        assert (status, said["field"]) == (401, "writeKey")


def test_a_server_needs_no_site() -> None:
    assert receiver().ask(body(writeKey=KEY))[0] == 202


def test_who_can_keep_a_secret_may_post_from_anywhere_but_no_page_sees_the_answer() -> None:
    at = receiver(proof="header", origins=[])
    status, headers, _ = at.ask(body(), {"x-api-key": KEY, "origin": "https://evil.example"})
    assert status == 202
    assert not {name for name in headers if name.startswith(("access-control", "vary"))}
    assert at.ask(method="OPTIONS", headers=asking())[0] == 403


def test_all_sites_may_be_let_in_but_not_with_credentials() -> None:
    at = receiver(origins=["*"])
    status, headers, _ = at.ask(method="OPTIONS", headers=asking("https://any.example"))
    assert (status, headers["access-control-allow-origin"]) == (204, "*")
    assert "access-control-allow-credentials" not in headers
    assert at.ask(body(writeKey=KEY), {"origin": "https://any.example"})[0] == 202


def test_other_methods_are_told_what_there_is() -> None:
    for method in ("GET", "OPTIONS", "PUT"):
        status, headers, said = receiver().ask(method=method)
        assert (status, headers["allow"], said["field"]) == (405, "POST", "method")
    assert receiver().ask(method="HEAD")[::2] == (204, "")
