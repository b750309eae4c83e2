"""What `test_connection` finds wrong with an environment, asked of a strict one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from connectors.crms.dynamics import Dynamics
from shared.clock import utc_now
from shared.definitions import Destination
from shared.exchange import Request, Response, run
from shared.http import Http
from tests.sandbox.dynamics import DynamicsSandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[DynamicsSandbox]:
    with DynamicsSandbox.run() as made:
        yield made


def problems(sandbox: DynamicsSandbox, **changes: object) -> list[str]:
    auth = {"type": "oauth2", "token_url": sandbox.url, "client_id": "i", "client_secret": "s"}
    destination = Destination.model_validate({"name": "dynamics", "url": sandbox.url, "auth": auth, **changes})
    token = sandbox.tokens.issue("i", 60)
    http = Http((sandbox.url,))

    def send(request: Request) -> Response:
        return http.send(replace(request, headers={**request.headers, "authorization": f"Bearer {token}"}))

    try:
        return run(Dynamics(destination, utc_now).test_connection(), send)
    finally:
        http.close()


def test_nothing_is_wrong(sandbox: DynamicsSandbox) -> None:
    assert problems(sandbox) == []


def test_every_missing_table_and_column_is_named(sandbox: DynamicsSandbox) -> None:
    activities = {"sent": "sb_nothing", "opened": "sb_emailopen", "clicked": "sb_emailopen", "bounced": "sb_emailbounce"}
    assert problems(sandbox, activities=activities) == [
        "Dynamics has no table sb_nothing: install the solution with the activity tables",
        "Dynamics: the table sb_emailopen has no column sb_trackingurl",
    ]


def test_an_event_without_a_table_is_named(sandbox: DynamicsSandbox) -> None:
    assert problems(sandbox, events=["complained"]) == [
        "the destination dynamics names no activity table for 'complained'",
    ]


def test_a_registration_without_application_user_is_told_in_the_vendors_words(sandbox: DynamicsSandbox) -> None:
    sandbox.control("settings", app_user=False)
    (problem,) = problems(sandbox)
    sandbox.control("settings", app_user=True)
    assert "is not a member of the organization" in problem


def test_an_unknown_contact_key_is_told(sandbox: DynamicsSandbox) -> None:
    (problem,) = problems(sandbox, contact_key="emailaddress9")
    assert "emailaddress9" in problem


def test_an_environment_that_is_down_is_told(sandbox: DynamicsSandbox) -> None:
    sandbox.control("fail", target="api", mode="down")
    assert problems(sandbox) == ["Dynamics: HTTP 503"]
    sandbox.control("clear")
