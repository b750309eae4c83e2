from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from unittest import mock

import pytest

from match_triggers.handler import compose
from match_triggers.recording import Recorder
from shared import aws as clients
from shared.errors import Transient
from shared.recordings import Recordings, unpacked
from shared.visits import Visit
from tests.aws import Aws
from tests.match_triggers.shop import arrived, cart_trigger, put_trigger, settings_of, tracker_event

FIRST, SECOND = tracker_event("Product Added", 0), tracker_event("Product Added", 1)


@pytest.fixture
def missing() -> list[int]:
    return []


@pytest.fixture
def recorder(aws: Aws, missing: list[int]) -> Recorder:
    clients._client.cache_clear()
    return Recorder(lambda: Recordings(clients.hasty_s3(), aws.events_bucket()), aws.clock, missing.append)


def bodies(aws: Aws) -> list[bytes]:
    found = aws.s3.list_objects_v2(Bucket=aws.events_bucket()).get("Contents", [])
    return [aws.s3.get_object(Bucket=aws.events_bucket(), Key=one["Key"])["Body"].read() for one in found]


def test_a_batch_is_kept_once_however_often_it_comes(recorder: Recorder, aws: Aws, missing: list[int]) -> None:
    recorder.record([FIRST, SECOND])
    recorder.record([SECOND, FIRST])
    (body,) = bodies(aws)
    assert {event.id for event in unpacked(body)} == {FIRST.id, SECOND.id}
    assert missing == []


def test_nothing_is_kept_of_nothing(recorder: Recorder, aws: Aws) -> None:
    recorder.record([])
    assert bodies(aws) == []


def test_what_cannot_be_kept_is_counted_and_not_tried_again_for_a_minute(
    recorder: Recorder, aws: Aws, missing: list[int]
) -> None:
    aws.s3.delete_bucket(Bucket=aws.events_bucket())
    recorder.record([FIRST, SECOND])
    aws.s3.create_bucket(Bucket=aws.events_bucket(), CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    aws.clock.forward(59)
    recorder.record([FIRST])
    assert (missing, bodies(aws)) == ([2, 1], [])
    aws.clock.forward(1)
    recorder.record([FIRST])
    assert missing == [2, 1]
    assert len(bodies(aws)) == 1


def test_what_is_worked_off_is_kept_and_what_comes_back_is_not(aws: Aws) -> None:
    app = compose(replace(settings_of(aws), events_bucket=aws.events_bucket()), aws.dynamodb, aws.sqs, aws.clock)
    put_trigger(aws, cart_trigger(trackers=["shop"]))
    refused = tracker_event("Product Added", 2, anonymous_id="browser-2")
    real = app.desk.visits.write_all

    def write_all(visits: Iterable[Visit]) -> list[Visit | Exception | None]:
        found = [*visits]
        return [Transient("busy") if "browser-2" in one.id else written for one, written in zip(found, real(found), strict=True)]

    with mock.patch.object(app.desk.visits, "write_all", write_all):
        answer = app.invoked(aws.delivery("events", arrived(FIRST, SECOND), arrived(refused)))
    assert len(answer["batchItemFailures"]) == 1  # type: ignore[arg-type]
    (body,) = bodies(aws)
    assert [*unpacked(body)] == [FIRST, SECOND]


def test_without_a_bucket_nothing_is_kept(aws: Aws) -> None:
    assert compose(settings_of(aws), aws.dynamodb, aws.sqs, aws.clock).recorder is None
