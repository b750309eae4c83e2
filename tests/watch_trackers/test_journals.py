"""Journals, read over real HTTP in Adobe's sandbox."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from connectors.base import Post
from connectors.registry import TRACKERS
from shared.jobs import TrackerEvent
from shared.observe import logger
from shared.trackers import Tracker
from tests.aws import Aws
from tests.sandbox.trackers.adobe_io import AdobeSandbox
from tests.sandbox.trackers.adobe_signed import trigger
from tests.watch_trackers.conftest import Metrics, define, numbers, taken, thing

Run = Callable[[], None]
DAY = 86_400


@pytest.fixture
def run(run: Run, adobe: AdobeSandbox) -> Run:
    """The schedule's next minute."""

    def later() -> None:
        adobe.clock.advance(60)
        run()

    return later


def position(aws: Aws, tracker: str = "adobe") -> str | None:
    row = aws.dynamodb.get_item(TableName=aws.table("state"), Key={"pk": {"S": f"journal#{tracker}"}}).get("Item")
    return row["next"]["S"] if row else None


def paths(adobe: AdobeSandbox) -> int:
    return adobe.faults.traffic["journal"].calls


def test_each_event_is_read_once_and_reading_goes_on_where_it_ended(aws: Aws, adobe: AdobeSandbox, run: Run) -> None:
    define(aws, adobe)
    run()
    for first in (0, 3):
        adobe.publish(*(thing(number) for number in range(first, first + 3)))
        run()
        assert numbers(aws) == [first, first + 1, first + 2]
    run()
    assert numbers(aws) == []
    assert aws.received("events-parked") == []


def test_many_pages_are_read_in_one_go(aws: Aws, adobe: AdobeSandbox, run: Run, metrics: Metrics) -> None:
    adobe.control("settings", page_events=10)
    adobe.publish(*(thing(number) for number in range(95)))
    define(aws, adobe)
    run()
    assert numbers(aws) == list(range(95))
    assert paths(adobe) == 11  # the last one is empty
    assert metrics() == {"EventsFromJournal adobe": [95]}


@pytest.mark.parametrize(("back", "expected"), [(None, [2, 3]), (0, []), (2 * DAY, [1, 2, 3]), (7 * DAY, [0, 1, 2, 3])])
def test_the_first_reading_begins_as_far_back_as_the_definition_says(
    aws: Aws, adobe: AdobeSandbox, run: Run, back: int | None, expected: list[int]
) -> None:
    for number, wait in enumerate((5 * DAY, DAY, 1800, 60)):
        adobe.publish(thing(number))
        adobe.clock.advance(wait)
    define(aws, adobe, journal={} if back is None else {"back_seconds": back})
    run()
    assert numbers(aws) == expected
    adobe.publish(thing(9))
    run()
    assert numbers(aws) == [9]


def test_what_the_webhook_brought_and_what_the_journal_has_are_the_same_events(aws: Aws, adobe: AdobeSandbox, run: Run) -> None:
    posted = adobe.publish(thing(1), trigger("t-1", "ecid-1", adobe.clock(), {"eVar3": ["x"]}, adobe.settings.organization))
    define(aws, adobe)
    run()
    tracker = Tracker(name="adobe", format="adobe_io", client_id=adobe.settings.client_id, identifiers={"user_id": "who"})
    by_webhook = TRACKERS.load("adobe_io").events(tracker, Post({}, json.dumps(posted).encode()), aws.clock)
    by_journal = taken(aws)
    assert [one.id for one in by_webhook if isinstance(one, TrackerEvent)] == [one.id for one in by_journal]
    assert [one.name for one in by_journal] == ["com.acme.thing", "Experience Cloud Trigger"]


def test_what_cannot_be_taken_is_parked_with_its_reason_and_stops_nothing(
    aws: Aws, adobe: AdobeSandbox, run: Run, metrics: Metrics
) -> None:
    adobe.publish(thing(1), {**thing(2), "time": "yesterday"}, {**thing(3), "data": {}}, thing(4))
    define(aws, adobe)
    run()
    assert numbers(aws) == [1, 4]
    (parked,) = aws.received("events-parked")
    reasons = [(one["index"], one["field"]) for one in json.loads(parked)["rejected"]]
    assert reasons == [(1, "time"), (2, "anonymous_id")]
    assert metrics() == {"EventsFromJournal adobe": [2], "EventsRejected adobe": [2]}


def test_an_outage_longer_than_the_journal_is_counted_and_reading_goes_on_with_the_oldest(
    aws: Aws, adobe: AdobeSandbox, run: Run, metrics: Metrics
) -> None:
    define(aws, adobe)
    adobe.publish(thing(1))
    run()
    adobe.publish(thing(2))
    adobe.clock.advance(6 * DAY)
    adobe.publish(thing(3))
    adobe.clock.advance(2 * DAY)
    taken(aws)
    metrics()
    run()
    assert numbers(aws) == [3]
    assert metrics() == {"EventsFromJournal adobe": [1], "JournalExpired adobe": [1]}
    adobe.publish(thing(4))
    run()
    assert numbers(aws) == [4]
    assert metrics() == {"EventsFromJournal adobe": [1]}


@pytest.mark.parametrize("mode", ["down", "500", "garbage", "cut_before", "cut_after"])
def test_while_the_journal_is_down_nothing_is_lost(aws: Aws, adobe: AdobeSandbox, run: Run, metrics: Metrics, mode: str) -> None:
    define(aws, adobe)
    run()
    adobe.publish(thing(1))
    adobe.control("fail", target="journal", mode=mode, times=1)
    run()
    assert numbers(aws) == []
    run()
    assert numbers(aws) == [1]
    assert metrics() == {"EventsFromJournal adobe": [1]}


def test_a_wait_that_adobe_asks_for_is_kept(aws: Aws, adobe: AdobeSandbox, run: Run) -> None:
    define(aws, adobe)
    adobe.publish(thing(1))
    adobe.control("fail", target="journal", mode="429", times=1, retry_after=120)
    run()
    run()
    assert paths(adobe) == 1
    run()
    assert numbers(aws) == [1]


def test_a_token_that_was_revoked_is_fetched_anew(aws: Aws, adobe: AdobeSandbox, run: Run) -> None:
    define(aws, adobe)
    run()
    adobe.publish(thing(1))
    adobe.control("revoke_tokens")
    run()
    assert numbers(aws) == [1]
    assert adobe.faults.traffic["token"].calls == 2


def test_a_token_is_shared_by_all_processes(aws: Aws, adobe: AdobeSandbox, run: Run) -> None:
    define(aws, adobe)
    for _ in range(3):
        run()
        adobe.clock.advance(60)
    assert adobe.faults.traffic["token"].calls == 1


def test_a_journal_that_is_not_ours_is_said_to_be_misconfigured(
    aws: Aws, adobe: AdobeSandbox, run: Run, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(logger, "warning", lambda text, **more: said.append(str(more["reason"])))
    for wrong in ({"organization": "FFFF@AdobeOrg"}, {"url": f"{adobe.url}/events/nothing"}):
        define(aws, adobe, journal=wrong)
        run()
        assert metrics() == {"Misconfigured": [1]}
        assert "the credentials' product profile has Triggers" in said.pop()


def test_one_journal_that_is_wrong_keeps_no_other_waiting(aws: Aws, adobe: AdobeSandbox, run: Run, metrics: Metrics) -> None:
    adobe.publish(thing(1))
    define(aws, adobe, "broken", journal={"organization": "FFFF@AdobeOrg"})
    define(aws, adobe)
    aws.define("tracker", name="shop", secrets=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
    run()
    assert numbers(aws) == [1]
    assert metrics() == {"EventsFromJournal adobe": [1], "Misconfigured": [1]}


def test_another_journal_of_the_same_tracker_is_begun_anew(aws: Aws, adobe: AdobeSandbox, run: Run) -> None:
    define(aws, adobe)
    adobe.publish(thing(1))
    run()
    define(aws, adobe, journal={"url": f"{adobe.url}/events/organizations/1/integrations/2/4"})
    run()
    assert numbers(aws) == [1, 1]


def test_one_reads_at_a_time(aws: Aws, adobe: AdobeSandbox, run: Run) -> None:
    define(aws, adobe)
    adobe.publish(thing(1))
    now = adobe.clock()
    lease = {"pk": {"S": "lease#journal#adobe"}, "holder": {"S": "other"}, "until": {"N": str(now + 90)}}
    aws.dynamodb.put_item(TableName=aws.table("state"), Item=lease)
    run()
    assert paths(adobe) == 0
    run()
    assert numbers(aws) == [1]


def test_who_is_killed_after_a_page_was_queued_is_followed_by_one_who_reads_it_again(
    aws: Aws, adobe: AdobeSandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    define(aws, adobe)
    adobe.publish(thing(1))

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("watch_trackers.positions.Positions.keep", killed)
        with pytest.raises(Killed):
            run()
    first = [one.id for one in taken(aws)]
    assert position(aws) is None
    run()
    assert [one.id for one in taken(aws)] == first


def test_when_the_queue_refuses_the_place_stays(
    aws: Aws, adobe: AdobeSandbox, run: Run, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    define(aws, adobe)
    adobe.publish(thing(1))

    def refuses(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr("shared.queues.Queue.send_texts", refuses)
        run()
    assert position(aws) is None
    assert metrics() == {}
    run()
    assert numbers(aws) == [1]


def test_reading_ends_with_its_time_and_goes_on_in_the_next_run(
    aws: Aws, adobe: AdobeSandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    adobe.control("settings", page_events=2)
    adobe.publish(*(thing(number) for number in range(6)))
    define(aws, adobe)
    ticks = itertools.count(step=8)  # half of the timeout is two pages
    monkeypatch.setattr("watch_trackers.handler.time", SimpleNamespace(monotonic=lambda: next(ticks)))
    run()
    assert numbers(aws) == [0, 1, 2, 3]
    run()
    assert numbers(aws) == [4, 5]


def test_no_journal_no_calls(aws: Aws, adobe: AdobeSandbox, run: Run, metrics: Metrics) -> None:
    define(aws, adobe, journal=None, client_id="c")
    aws.define("tracker", name="adobe", format="adobe_io", client_id="c")
    run()
    assert paths(adobe) == 0
    assert metrics() == {}
