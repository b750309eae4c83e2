from __future__ import annotations

import pytest

from shared.errors import Transient
from shared.jobs import Engagement, Hop, MessageJob
from shared.ledger import Ledger
from shared.ledger_rows import Message, Status
from tests.aws import Aws
from tests.rows import in_ledger

DAY = 86400


@pytest.fixture
def ledger(aws: Aws) -> Ledger:
    return Ledger(aws.dynamodb, aws.table("messages"), aws.clock, 30 * DAY)


def job(aws: Aws, **changes: object) -> MessageJob:
    values: dict[str, object] = {
        "message_id": "m_1",
        "trigger": "cart",
        "trigger_version": 1,
        "visit_id": "shop#a#1",
        "profile_id": "p_1",
        "decided": "send",
        "campaign": "c",
        "delivery": "d",
        "template": "t",
        "integration": "i",
        "decided_at": aws.clock(),
        "anchor_at": aws.clock(),
        "valid_until": aws.clock(),
        "hops": [Hop(at=aws.clock(), hop="match_triggers", what="fired")],
    }
    return MessageJob.model_validate(values | changes)


def found(ledger: Ledger) -> Message:
    message = ledger.read("m_1")
    assert message is not None
    return message


def hop(aws: Aws, what: str) -> Hop:
    return Hop(at=aws.clock(), hop="send_message", what=what)


def test_a_skipped_message_has_its_reason(aws: Aws, ledger: Ledger) -> None:
    skipped = job(aws, decided="skip", reason="no profile", profile_id=None)
    ledger.skip(skipped, [*skipped.hops, hop(aws, "skipped")])
    message = found(ledger)
    assert (message.status, message.profile_id) == ("skipped", None)
    assert [h.what for h in message.trace] == ["fired", "skipped"]


def test_a_repeat_skips_no_twice(aws: Aws, ledger: Ledger) -> None:
    for _ in range(2):
        ledger.skip(job(aws), [hop(aws, "skipped")])
    assert [h.what for h in found(ledger).trace] == ["skipped"]


def test_what_was_skipped_before_its_job_was_seen_is_explained_once(aws: Aws, ledger: Ledger) -> None:
    ledger.skip(job(aws), [hop(aws, "skipped")])
    unexplained = found(ledger)
    for _ in range(2):
        ledger.explain(unexplained, job(aws).hops)
    assert [h.what for h in found(ledger).trace] == ["fired", "skipped"]


@pytest.mark.parametrize("status", ["waiting", "parked"])
def test_a_message_that_waits_may_be_skipped(aws: Aws, ledger: Ledger, status: Status) -> None:
    in_ledger(aws, job(aws), status)
    ledger.skip(job(aws), [hop(aws, "skipped")])
    assert found(ledger).status == "skipped"
    assert found(ledger).cancelled == ""


@pytest.mark.parametrize("status", ["sending", "unknown"])
def test_a_message_that_may_have_gone_out_is_not_skipped_but_the_reason_is_known(
    aws: Aws, ledger: Ledger, status: Status
) -> None:
    in_ledger(aws, job(aws), status)
    ledger.skip(job(aws), [hop(aws, "skipped").model_copy(update={"reason": "order placed"})])
    message = found(ledger)
    assert (message.status, message.cancelled) == (status, "order placed")
    assert [h.what for h in message.trace] == ["fired"]


def test_a_sent_message_stays_sent(aws: Aws, ledger: Ledger) -> None:
    in_ledger(aws, job(aws), "sent")
    ledger.skip(job(aws), [hop(aws, "skipped")])
    assert (found(ledger).status, found(ledger).cancelled) == ("sent", "")


def test_engagements_are_recorded_under_their_ids(aws: Aws, ledger: Ledger) -> None:
    in_ledger(aws, job(aws))
    opened = Engagement(id="e_1", message_id="m_1", integration="i", type="opened", at=aws.clock(), received_at=aws.clock())
    ledger.record("m_1", [opened], [hop(aws, "opened")])
    message = ledger.read("m_1")
    assert message is not None
    assert message.engagements == {"e_1": "opened"}


def test_the_messages_of_a_visit_are_found_newest_first(aws: Aws, ledger: Ledger) -> None:
    in_ledger(aws, job(aws, message_id="m_old"))
    aws.clock.forward(5)
    in_ledger(aws, job(aws, message_id="m_new"))
    assert ledger.of_visit("shop#a#1") == ["m_new", "m_old"]
    assert ledger.of_visit("shop#a#2") == []


def test_hops_are_noted_once_by_their_key(aws: Aws, ledger: Ledger) -> None:
    in_ledger(aws, job(aws))
    ledger.note_once("m_1", {"a": hop(aws, "first")})
    for _ in range(2):
        ledger.note_once("m_1", {"a": hop(aws, "again"), "b": hop(aws, "second"), "c": hop(aws, "third")})
    message = ledger.read("m_1")
    assert message is not None
    assert [h.what for h in message.trace] == ["fired", "first", "second", "third"]


def test_nothing_is_noted_where_there_is_no_row(aws: Aws, ledger: Ledger) -> None:
    ledger.note_once("m_gone", {"a": hop(aws, "first")})
    assert ledger.read("m_gone") is None


def test_what_another_recorded_meanwhile_is_not_recorded_again(aws: Aws, ledger: Ledger) -> None:
    in_ledger(aws, job(aws))
    one, two = (
        Engagement(id=name, message_id="m_1", integration="i", type="opened", at=aws.clock(), received_at=aws.clock())
        for name in ("e_1", "e_2")
    )
    ledger.record("m_1", [one], [hop(aws, "opened")])
    with pytest.raises(Transient):
        ledger.record("m_1", [two, one], [hop(aws, "opened"), hop(aws, "opened")])
    message = ledger.read("m_1")
    assert message is not None
    assert (dict(message.engagements), len(message.trace)) == ({"e_1": "opened"}, 2)
