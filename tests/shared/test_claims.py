from __future__ import annotations

from dataclasses import replace

import pytest

from shared.claims import Change, Claims, Fresh
from shared.jobs import Hop
from shared.ledger import Ledger
from shared.ledger_rows import Claim, Message
from shared.statements import Refused
from tests.aws import Aws
from tests.shared.test_ledger import hop, job

DAY = 86_400


class Table:
    """The ledger, and one message of it."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.claims = Claims(aws.dynamodb, aws.table("messages"), 30 * DAY)
        self.ledger = Ledger(aws.dynamodb, aws.table("messages"), aws.clock, 30 * DAY)
        self.job = job(aws)

    def claim(self, by: str) -> Claim:
        now = self.aws.clock().timestamp()
        return Claim(by, now + 30, "i", 3, now, "batch:0-9", alone=False, sent_to="email#9f")

    def insert(self, by: str = "one") -> object:
        return self.claims.insert([Fresh(self.job, "sending", self.claim(by))])[0]

    def settle(self, by: str, status: str = "sent", hop: Hop | None = None) -> object:
        claim = replace(self.claim(by), until=0, tried_at=0)
        message = self.message()
        return self.claims.change([Change("m_1", status, claim, message.hops, hop, None, "esp-1")])[0]  # type: ignore[arg-type]

    def take(self, by: str, was: Message) -> object:
        return self.claims.change([Change("m_1", "sending", self.claim(by), was.hops, was=was)])[0]

    def message(self) -> Message:
        message = self.ledger.read("m_1")
        assert message is not None
        return message


@pytest.fixture
def table(aws: Aws) -> Table:
    return Table(aws)


def test_a_row_is_made_once(table: Table) -> None:
    assert table.insert("one") is None
    assert isinstance(table.insert("another"), Refused)
    message = table.message()
    assert (message.status, message.attempts, message.claim) == ("sending", 1, table.claim("one"))
    assert (message.trigger, message.visit_id, message.profile_id) == ("cart", "shop#a#1", "p_1")
    assert [step.what for step in message.trace] == ["fired"]


def test_only_who_has_claimed_it_settles_it(table: Table) -> None:
    table.insert("one")
    assert isinstance(table.settle("another"), Refused)
    assert table.settle("one", hop=hop(table.aws, "sent")) is None
    message = table.message()
    assert (message.status, message.esp_message_id, message.claim.tried_at) == ("sent", "esp-1", 0)
    assert [step.what for step in message.trace] == ["fired", "sent"]


def test_a_settlement_whose_answer_was_lost_is_one(table: Table) -> None:
    table.insert("one")
    said = hop(table.aws, "sent")
    claim = replace(table.claim("one"), until=0, tried_at=0)
    change = Change("m_1", "sent", claim, 1, said, None, "esp-1")
    assert [table.claims.change([change]), table.claims.change([change])] == [[None], [None]]
    assert [step.what for step in table.message().trace] == ["fired", "sent"]


def test_of_two_who_take_over_one_gets_it(table: Table) -> None:
    table.insert("one")
    was = table.message()
    assert table.take("two", was) is None
    refused = table.take("three", was)
    assert isinstance(refused, Refused)
    assert refused.row is not None
    assert refused.row["claimed_by"] == {"S": "two"}
    assert (table.message().attempts, table.message().claim.by) == (2, "two")


def test_many_are_claimed_in_one_request(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    real = table.aws.dynamodb.batch_execute_statement

    def counted(**call: object) -> object:
        made.append(call)
        return real(**call)  # type: ignore[arg-type]

    monkeypatch.setattr(table.aws.dynamodb, "batch_execute_statement", counted)
    jobs = [job(table.aws, message_id=f"m_{n}") for n in range(30)]
    assert table.claims.insert(Fresh(one, "sending", table.claim("one")) for one in jobs) == [None] * 30
    assert len(made) == 2


def test_a_doubt_is_known_once_the_lease_is_over(table: Table) -> None:
    table.insert("one")
    now = table.aws.clock().timestamp()
    assert [table.message().doubtful(now + seconds) for seconds in (0, 31)] == [False, True]


def test_a_statement_holds_no_text_of_others(table: Table) -> None:
    with pytest.raises(ValueError, match="no text of our own"):
        table.insert("one', 'x': 'y")
