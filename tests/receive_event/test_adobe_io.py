"""Adobe I/O Events over real HTTP: its sandbox registers, signs and repeats; we verify by the keys that it serves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from receive_event import handler
from receive_event.fetching import elsewhere
from shared.exchange import Request, Response
from shared.heard import Heard
from shared.http import Http
from shared.jobs import EventsJob, TrackerEvent
from tests.aws import Aws
from tests.receive_event.front import front
from tests.receive_event.serving import serving
from tests.sandbox.trackers.adobe_io import AdobeSandbox
from tests.sandbox.trackers.adobe_signed import key_path, trigger

KEYS, GATEWAY = "https://static.adobeioevents.com", "https://csm.adobe.io"


@pytest.fixture
def adobe() -> Iterator[AdobeSandbox]:
    with AdobeSandbox.run() as sandbox:
        yield sandbox


@pytest.fixture
def url(aws: Aws, adobe: AdobeSandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The tracker's address; Adobe's fixed hosts are the sandbox."""
    aws.define("tracker", name="adobe", format="adobe_io", client_id=adobe.settings.client_id, identifiers={"user_id": "who"})
    stand_ins = (f"{KEYS}={adobe.url}", f"{GATEWAY}={adobe.url}")
    # It waits between its posts.
    serving(
        aws, monkeypatch, lambda: datetime.fromtimestamp(adobe.clock(), UTC), allowed_origins=(adobe.url,), stand_ins=stand_ins
    )
    http = Http((adobe.url,))
    monkeypatch.setattr("shared.http.Http", lambda origins: http)  # to be closed
    with closing(http), front(handler.handle) as base:
        yield f"{base}/v1/events/adobe"
    handler._desk.cache_clear()


def thing(**data: object) -> dict[str, object]:
    return {"specversion": "1.0", "type": "com.acme.thing", "data": {"who": "u1", **data}}


def taken(aws: Aws) -> list[TrackerEvent]:
    return [event for body in aws.received("events") for event in EventsJob.model_validate_json(body).events]


def statuses(adobe: AdobeSandbox) -> list[tuple[int, int]]:
    return [(one.status, one.retry) for one in adobe.deliveries]


def test_a_webhook_is_registered_and_events_come(aws: Aws, adobe: AdobeSandbox, url: str) -> None:
    assert adobe.register(url) == "active"
    adobe.publish(thing(), trigger("t-1", "ecid-1", adobe.clock(), {"eVar3": ["x"]}, adobe.settings.organization))
    assert statuses(adobe) == [(202, 0), (202, 0)]
    assert {(one.name, one.user_id, one.anonymous_id) for one in taken(aws)} == {
        ("com.acme.thing", "u1", None),
        ("Experience Cloud Trigger", None, "ecid-1"),
    }


def test_events_come_in_batches_and_a_key_is_fetched_once(aws: Aws, adobe: AdobeSandbox, url: str) -> None:
    adobe.register(url, batch=True)
    adobe.publish(*(thing(number=number) for number in range(45)))
    assert [one.events for one in adobe.deliveries] == [20, 20, 5]
    assert len({one.id for one in taken(aws)}) == 45
    assert adobe.faults.traffic["keys"].calls == 1


def test_while_keys_cannot_be_had_adobe_repeats_and_nothing_is_lost(aws: Aws, adobe: AdobeSandbox, url: str) -> None:
    adobe.register(url)
    adobe.control("fail", target="keys", mode="down", times=2)
    adobe.publish(thing())
    assert statuses(adobe) == [(503, 0), (202, 1)]
    assert len(taken(aws)) == 1


def test_another_customers_events_are_refused_and_not_repeated(aws: Aws, adobe: AdobeSandbox, url: str) -> None:
    adobe.register(url)
    adobe.publish({**thing(), "recipientclientid": "another"})
    assert statuses(adobe) == [(401, 0)]
    assert taken(aws) == []


def test_keys_change_while_posts_come(aws: Aws, adobe: AdobeSandbox, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    adobe.register(url)
    adobe.publish(thing(number=1))
    # The first key is replaced: what signs with both is taken by the second, then by the new one.
    del adobe.keys[key_path(1)]
    adobe.keys[key_path(3)] = 3
    monkeypatch.setattr("tests.sandbox.trackers.adobe_signed.signed.__kwdefaults__", {"keys": (3, 2)})
    adobe.publish(thing(number=2))
    monkeypatch.setattr("tests.sandbox.trackers.adobe_signed.signed.__kwdefaults__", {"keys": (4, 5)})
    adobe.publish(thing(number=3))
    assert [status for status, _ in statuses(adobe)] == [202, 202, 401]
    assert len(taken(aws)) == 2


def test_a_registration_that_was_disabled_is_challenged_again(adobe: AdobeSandbox, url: str) -> None:
    adobe.register(url)
    adobe.publish(*({**thing(), "recipientclientid": "another"} for _ in range(12)))
    assert adobe.registration is not None
    assert (adobe.registration.state, len(adobe.deliveries)) == ("disabled", 10)
    assert adobe.enable() == "active"


def test_the_asynchronous_challenge(adobe: AdobeSandbox, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.sandbox.trackers.adobe_io._says", lambda *_: False)  # as if the first one had been lost
    assert adobe.register(url) == "active"
    assert [call.status for call in adobe.faults.calls if call.target == "validate"] == [200]


def test_it_is_noted_when_a_tracker_that_is_watched_was_heard_of(aws: Aws, adobe: AdobeSandbox, url: str) -> None:
    heard = Heard(aws.dynamodb, aws.table("state"), aws.clock)
    adobe.register(url)
    adobe.publish(thing())
    assert heard.last(["adobe"]) == {}  # nobody watches it
    aws.define("tracker", name="adobe", format="adobe_io", client_id=adobe.settings.client_id, silence_seconds=60)
    handler._desk.cache_clear()
    adobe.publish({**thing(), "recipientclientid": "another"})
    assert heard.last(["adobe"]) == {}
    adobe.publish(thing())
    assert heard.last(["adobe"])["adobe"].timestamp() == pytest.approx(adobe.clock(), abs=30)


def test_only_the_deployment_says_which_host_stands_in_for_another() -> None:
    asked: list[str] = []

    def send(request: Request) -> Response:
        asked.append(request.url)
        return Response(200)

    through = elsewhere(send, ("https://a.example=http://127.0.0.1:1",))
    for url in ("https://a.example/x?y", "https://a.example.com/x", "https://b.example/https://a.example", "https://a.example"):
        through(Request("GET", url))
    assert asked == [
        "http://127.0.0.1:1/x?y",
        "https://a.example.com/x",
        "https://b.example/https://a.example",
        "http://127.0.0.1:1",
    ]
