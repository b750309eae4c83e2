"""A message, its trigger and its person as the checks see them, and how to ask about them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import JsonValue

from send_message.checks import Skip, Verdict, Wait, verdict
from shared.definitions import Integration, Policy, QuietHours
from shared.jobs import MessageJob
from shared.person import Profile, Suppression
from shared.sends import Sends, Slot
from shared.triggers import Trigger
from tests.send_message.world import INTEGRATION, TRIGGER

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
EMAIL = "ada@example.com"
NIGHT = QuietHours(begins="21:00", ends="08:00", zone="UTC")


def job(message_id: str = "m_1", valid_until: datetime = NOW + DAY, trigger: str = "abandoned") -> MessageJob:
    return MessageJob(
        message_id=message_id,
        trigger=trigger,
        trigger_version=1,
        visit_id="v",
        profile_id="p",
        decided="send",
        campaign="carts",
        delivery="first",
        template="cart",
        integration="postbird",
        decided_at=NOW,
        anchor_at=NOW,
        valid_until=valid_until,
    )


def trigger(**changes: Any) -> Trigger:  # a model's own fields
    return Trigger.model_validate({**TRIGGER, **changes})


def person(
    sends: Sends | None = None, *suppressions: Suppression, also: Mapping[str, JsonValue] | None = None, **attributes: JsonValue
) -> Profile:
    known: Mapping[str, JsonValue] = {"email": EMAIL, **attributes, **(also or {})}
    return Profile("p", known, {}, suppressions, {}, 1, {"user_id": "7"}, sends=sends or {})


def ask(
    what: MessageJob | None = None,
    rule: Trigger | None = None,
    who: Profile | None = None,
    policy: Policy | None = None,
    now: datetime = NOW,
    **integration: JsonValue,
) -> Verdict:
    via = Integration.model_validate({**INTEGRATION, **integration})
    return verdict(what or job(), rule or trigger(), who or person(), policy, integration=via, now=now)


def reason(made: Verdict) -> str:
    assert isinstance(made, Skip | Wait)
    return made.reason


def taken(hours_ago: float, rule: str = "other", channel: str = "email") -> Slot:
    at = NOW - hours_ago * HOUR
    return Slot(rule, channel, at, 0, "taken", at + DAY)


def stopped(**changes: Any) -> Suppression:  # a dataclass's own fields
    return Suppression(**{"channel": "email", "cause": "complained", "reason": "why", "at": NOW, "source": "x", **changes})
