from __future__ import annotations

import pytest

from shared.errors import Transient
from shared.jobs import Engagement, Hop, MessageJob
from shared.ledger import Ledger
from tests.aws import Aws

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


def hop(aws: Aws, what: str) -> Hop:
    return Hop(at=aws.clock(), hop="send_message", what=what)


def test_a_message_is_claimed_by_one_at_a_time(aws: Aws, ledger: Ledger) -> None:
    assert ledger.claim(job(aws), 30).mine
    second = ledger.claim(job(aws), 30)
    assert not second.mine
    assert second.message.status == "sending"


def test_an_abandoned_claim_is_taken_over_and_known_to_be_unsettled(aws: Aws, ledger: Ledger) -> None:
    assert not ledger.claim(job(aws), 30).again
    aws.clock.forward(31)
    taken_over = ledger.claim(job(aws), 30)
    assert taken_over.mine
    assert taken_over.again
    assert taken_over.message.attempts == 2


def test_a_settled_claim_that_waits_is_not_unsettled(aws: Aws, ledger: Ledger) -> None:
    ledger.claim(job(aws), 30)
    ledger.settle("m_1", "waiting", [hop(aws, "waits")])
    claim = ledger.claim(job(aws), 30)
    assert claim.mine
    assert not claim.again


def test_nothing_that_is_done_can_be_claimed(aws: Aws, ledger: Ledger) -> None:
    ledger.claim(job(aws), 30)
    ledger.settle("m_1", "sent", [hop(aws, "sent")], "esp-1")
    aws.clock.forward(DAY)
    claim = ledger.claim(job(aws), 30)
    assert not claim.mine
    assert claim.message.status == "sent"
    assert claim.message.esp_message_id == "esp-1"


def test_the_trace_keeps_every_hop_in_order(aws: Aws, ledger: Ledger) -> None:
    ledger.claim(job(aws), 30)
    ledger.settle("m_1", "waiting", [hop(aws, "waits")])
    ledger.claim(job(aws), 30)
    ledger.settle("m_1", "sent", [hop(aws, "sent")])
    message = ledger.read("m_1")
    assert message is not None
    assert [h.what for h in message.trace] == ["fired", "waits", "sent"]


def test_a_skipped_message_has_its_reason_and_a_repeat_changes_nothing(aws: Aws, ledger: Ledger) -> None:
    skipped = job(aws, decided="skip", reason="no profile", profile_id=None)
    for _ in range(2):
        ledger.skip(skipped, [Hop(at=aws.clock(), hop="send_message", what="skipped", reason="no profile")])
    message = ledger.read("m_1")
    assert message is not None
    assert (message.status, message.profile_id) == ("skipped", None)
    assert [h.what for h in message.trace] == ["fired", "skipped"]
    assert not ledger.claim(job(aws), 30).mine


def test_engagements_are_recorded_under_their_ids(aws: Aws, ledger: Ledger) -> None:
    ledger.claim(job(aws), 30)
    opened = Engagement(id="e_1", message_id="m_1", integration="i", type="opened", at=aws.clock(), received_at=aws.clock())
    ledger.record("m_1", [opened], [hop(aws, "opened")])
    message = ledger.read("m_1")
    assert message is not None
    assert message.engagements == {"e_1": "opened"}


def test_the_messages_of_a_visit_are_found_newest_first(aws: Aws, ledger: Ledger) -> None:
    ledger.claim(job(aws, message_id="m_old"), 30)
    aws.clock.forward(5)
    ledger.claim(job(aws, message_id="m_new"), 30)
    assert ledger.of_visit("shop#a#1") == ["m_new", "m_old"]
    assert ledger.of_visit("shop#a#2") == []


def test_hops_are_noted_once_by_their_key(aws: Aws, ledger: Ledger) -> None:
    ledger.claim(job(aws), 30)
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
    ledger.claim(job(aws), 30)
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


def test_a_claim_whose_answer_was_lost_is_still_ours(aws: Aws, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    real = aws.dynamodb.update_item

    def repeated(**call: object) -> object:
        real(**call)  # type: ignore[arg-type]  # carried out, its answer lost
        return real(**call)  # type: ignore[arg-type]

    monkeypatch.setattr(aws.dynamodb, "update_item", repeated)
    claim = ledger.claim(job(aws), 30)
    assert claim.mine
    assert not claim.again
    assert not ledger.claim(job(aws), 30).mine


def test_a_claim_settled_as_unknown_is_known_to_be(aws: Aws, ledger: Ledger) -> None:
    ledger.claim(job(aws), 30)
    ledger.settle("m_1", "waiting", [hop(aws, "waits")], unknown=True)
    assert not ledger.skip(job(aws), [hop(aws, "skipped")])
    assert ledger.claim(job(aws), 30).again


def test_a_parked_message_may_be_claimed_when_it_is_sent_back(aws: Aws, ledger: Ledger) -> None:
    ledger.claim(job(aws), 30)
    ledger.settle("m_1", "parked", [hop(aws, "parked")])
    claim = ledger.claim(job(aws), 30)
    assert claim.mine
    assert not claim.again


def test_a_message_that_waits_may_be_skipped_and_a_sent_one_may_not(aws: Aws, ledger: Ledger) -> None:
    ledger.claim(job(aws), 30)
    assert not ledger.skip(job(aws), [hop(aws, "skipped")])
    ledger.settle("m_1", "waiting", [hop(aws, "waits")])
    assert ledger.skip(job(aws), [hop(aws, "skipped")])
    found = ledger.read("m_1")
    assert found is not None
    assert [step.what for step in found.trace] == ["fired", "waits", "skipped"]
    assert not ledger.claim(job(aws), 30).mine
