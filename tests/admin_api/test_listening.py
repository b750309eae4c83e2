"""What the doctor says of trackers, with Adobe's sandbox at the other end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from admin_api.app import Admin
from shared.heard import Heard
from shared.http import Http
from tests.admin_api.conftest import Ask, answered_by, settings_of
from tests.aws import Aws
from tests.sandbox.trackers.adobe_io import AdobeSandbox

ORIGINS = ("http://127.0.0.1:9",)


@pytest.fixture(scope="module")
def adobe() -> Iterator[AdobeSandbox]:
    with AdobeSandbox.run() as sandbox:
        yield sandbox


@pytest.fixture
def ask(aws: Aws, adobe: AdobeSandbox) -> Iterator[Ask]:
    adobe.control("reset")
    with closing(Http((adobe.url, *ORIGINS))) as http:
        yield answered_by(Admin(settings_of(aws, allowed_origins=(adobe.url, *ORIGINS)), aws.clock, http.send))


def put(ask: Ask, adobe: AdobeSandbox, journal: dict[str, Any] | None = None, **changes: Any) -> tuple[int, Any]:
    auth = {
        "type": "oauth2",
        "token_url": f"{adobe.url}/ims/token/v3",
        "client_id": adobe.settings.client_id,
        "client_secret": adobe.settings.client_secret,
        "scope": adobe.settings.scope,
    }
    described = {"url": adobe.journal_url, "organization": adobe.settings.organization, "auth": auth, **(journal or {})}
    body = {"format": "adobe_io", "client_id": adobe.settings.client_id, "journal": described, **changes}
    return ask("PUT", "/definitions/tracker/adobe", body)


def found(ask: Ask, check: str) -> tuple[bool, str] | None:
    lines = ask("GET", "/doctor")[1]["checks"]
    return next(
        ((one["ok"], one["detail"]) for one in lines if one["check"] == check and one["subject"] == "tracker/adobe"), None
    )


def test_a_journal_that_answers(ask: Ask, adobe: AdobeSandbox) -> None:
    assert put(ask, adobe)[0] == 200
    assert found(ask, "vendor") == (True, "the journal answers")
    token = found(ask, "token")
    assert token is not None
    assert token[1].startswith("good for ")
    assert found(ask, "heard") is None


def test_a_journal_that_is_not_the_credentials(ask: Ask, adobe: AdobeSandbox) -> None:
    assert put(ask, adobe, journal={"organization": "FFFF@AdobeOrg"})[0] == 200
    answer = found(ask, "vendor")
    assert answer is not None
    assert not answer[0]
    assert "HTTP 403 403023" in answer[1]
    assert "product profile has Triggers" in answer[1]


def test_a_journal_elsewhere_than_on_the_public_internet_is_refused_when_it_is_put(ask: Ask, adobe: AdobeSandbox) -> None:
    status, said = put(ask, adobe, journal={"url": "http://10.0.0.5/events"})
    assert status == 422
    assert said["errors"][0]["field"] == "journal.url"


def test_a_tracker_that_is_silent_says_since_when(aws: Aws, ask: Ask, adobe: AdobeSandbox) -> None:
    assert put(ask, adobe, silence_seconds=3600)[0] == 200
    assert found(ask, "heard") == (True, "nothing has come yet")
    Heard(aws.dynamodb, aws.table("state"), aws.clock).of("adobe")
    aws.clock.forward(3600)
    assert found(ask, "heard") == (True, "heard of 3600 s ago")
    aws.clock.forward(1)
    seen = "see in the vendor's console whether it has switched the webhook off"
    assert found(ask, "heard") == (False, f"silent since 2026-11-21T12:00:00.000Z, longer than 3600 s: {seen}")


def test_secrets_of_other_formats_are_whatever_the_vendor_says(ask: Ask) -> None:
    segment = {"format": "segment", "secrets": ["sharedsecret"]}
    assert ask("PUT", "/definitions/tracker/segment", segment)[0] == 200
    signed = {"format": "json", "mapping": {}, "proof": "standard_webhooks", "secrets": ["sharedsecret"]}
    assert ask("PUT", "/definitions/tracker/any", signed)[0] == 422
    assert ask("PUT", "/definitions/tracker/any", {**signed, "proof": "bearer"})[0] == 200
