from __future__ import annotations

import urllib.request
from datetime import UTC, datetime, timedelta

import pytest

from shared import aws as clients
from shared.jobs import TrackerEvent
from shared.recordings import Recordings, key_of, packed, unpacked
from tests.aws import Aws

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)


def event(number: int, received: datetime = NOW, **more: object) -> TrackerEvent:
    values = {"id": f"e{number}", "tracker": "shop", "name": "Product Viewed", "at": received, "received_at": received}
    return TrackerEvent.model_validate({**values, "anonymous_id": "a1", **more})


@pytest.fixture
def recordings(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Recordings:
    clients._client.cache_clear()
    return Recordings(clients.client("s3"), aws.events_bucket())


def test_events_come_out_as_they_went_in() -> None:
    events = [
        event(1, properties={"café": ["\u2028\r\n", 1.5, None]}, identifiers=[("email_sha256", "x")]),
        event(2, traits={"a": 1}),
    ]
    assert [*unpacked(packed(events))] == events
    assert packed(events) == packed(events)


def test_an_object_is_called_by_the_hour_and_by_what_is_in_it() -> None:
    first, second = event(1), event(2, NOW - timedelta(hours=1))
    assert key_of([first, second]) == key_of([second, first])
    assert key_of([first, second]).startswith("2026-11-22/11/")
    assert len({key_of(some) for some in ([first], [second], [first, second], [event(1, tracker="other")])}) == 4


@pytest.mark.parametrize("body", [b"", b"x", packed([event(1)])[:-9]])
def test_what_is_no_recording_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        [*unpacked(body)]


def test_they_are_listed_in_the_order_of_time_from_an_hour_on(recordings: Recordings) -> None:
    for hours in (30, 2, 0, 1):
        recordings.keep([event(hours, NOW - timedelta(hours=hours))])
    recordings.keep([event(0)])  # the same once more
    found = recordings.listed(NOW - timedelta(hours=24), "", 10)
    assert [one.key.rpartition("/")[0] for one in found] == ["2026-11-22/10", "2026-11-22/11", "2026-11-22/12"]
    assert recordings.listed(NOW - timedelta(hours=24), "", 2) == found[:2]
    assert recordings.listed(NOW - timedelta(hours=24), found[0].key, 10) == found[1:]
    assert recordings.listed(NOW - timedelta(hours=24), "2026-11-01", 10) == found
    assert len(recordings.listed(NOW - timedelta(hours=48), "", 10)) == 4


def test_whoever_has_the_url_reads_the_object(recordings: Recordings) -> None:
    recordings.keep([event(1)])
    (one,) = recordings.listed(NOW, "", 10)
    url = recordings.url(one, timedelta(minutes=15))
    assert "X-Amz-Expires=900" in url
    with urllib.request.urlopen(url) as answer:  # noqa: S310
        body = answer.read()
    assert len(body) == one.size
    assert [*unpacked(body)] == [event(1)]
