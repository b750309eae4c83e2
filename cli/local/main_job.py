"""The main job, as `events/main_job.json` tells it: what visitors do, and what the world must look like afterwards."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, JsonValue

from cli.local.aws import ROOT
from cli.local.world import Say, World
from tests.sandbox.tracker import Break, Tracker

SCRIPT = ROOT / "events" / "main_job.json"
PATIENCE = 120.0
"""Seconds after the last post within which everything must have happened."""

T = TypeVar("T")

Message = dict[str, Any]
"""A trace as the admin API shows it."""


class Post(BaseModel):
    """One post of the tracker."""

    model_config = ConfigDict(extra="forbid")

    say: str
    events: list[dict[str, JsonValue]]
    repeat: int = 1
    spoil: Break | None = None
    expect: int = 202


class Visitor(BaseModel):
    """One visitor, and how their message must end: `sent`, or the reason why not."""

    model_config = ConfigDict(extra="forbid")

    anonymous_id: str
    ends: str
    timeline: dict[str, int] | None = None
    """Activities that the contact must have; None if there is no contact."""


class Script(BaseModel):
    """The whole job."""

    model_config = ConfigDict(extra="forbid")

    contacts: list[dict[str, JsonValue]]
    visitors: dict[str, Visitor]
    posts: list[Post]


@dataclass
class Outcome:
    """What came of the job: the trace of each visitor's message, and what is missing or wrong."""

    traces: dict[str, Message] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def play(world: World, say: Say, script: Path = SCRIPT) -> Outcome:
    """Plays the job against a running world and waits until everything has happened, or until it is too late."""
    job = Script.model_validate_json(script.read_text(encoding="utf-8"))
    return _Play(world, say, job).run()


class _Play:
    """One playing of the job."""

    def __init__(self, world: World, say: Say, job: Script) -> None:
        self.world, self.say, self.job = world, say, job
        self.outcome = Outcome()
        self.deadline = 0.0

    def run(self) -> Outcome:
        seeded: Any = self.world.vendors.crm.command("contacts", contacts=self.job.contacts)  # type: ignore[arg-type]
        contacts = dict(zip((c["emailaddress1"] for c in self.job.contacts), seeded["ids"], strict=True))
        with Tracker(self.world.events_url, self.world.shop_secret) as tracker:
            for post in self.job.posts:
                self._post(tracker, post)
        self.say("Everybody is silent now; the trigger waits 5 s.")
        self.deadline = time.monotonic() + PATIENCE
        for name, visitor in self.job.visitors.items():
            self._follow(name, visitor, contacts.get(f"{name}@example.com"))
        self._check_inbox()
        return self.outcome

    def _miss(self, what: str) -> None:
        self.outcome.problems.append(what)

    def _post(self, tracker: Tracker, post: Post) -> None:
        for answer in tracker.post(post.events, repeat=post.repeat, spoil=post.spoil):
            why = f": {answer.json().get('detail')}" if answer.is_error else ""
            self.say(f"{post.say}: HTTP {answer.status_code}{why}")
            if answer.status_code != post.expect:
                self._miss(f"{post.say}: HTTP {answer.status_code} instead of {post.expect}")

    def _follow(self, name: str, visitor: Visitor, contact: str | None) -> None:
        """Waits for one visitor's message, and for their contact's timeline."""
        message = self._until(lambda: _ended(self.world, visitor))
        if message is None:
            self._miss(f"{name}: {visitor.ends}: not seen within {PATIENCE:.0f} s")
            return
        self.say(f"{name}: {describe(message)}")
        if contact is not None and visitor.timeline is not None:
            self._check_timeline(name, visitor.timeline, contact)
        self.outcome.traces[name] = self._settled(message["message_id"], visitor)
        if visitor.ends == "sent":
            self._check_mirror(name)

    def _settled(self, message_id: str, visitor: Visitor) -> Message:
        """The trace once it tells of all that the timeline has."""
        activities = sum(number for kind, number in (visitor.timeline or {}).items() if kind != "task")
        return self._until(lambda: _synchronised(self.world, message_id, activities)) or _trace(self.world, message_id)

    def _check_timeline(self, name: str, wanted: dict[str, int], contact: str) -> None:
        def complete() -> bool | None:
            return sum(_timeline(self.world, contact).values()) >= sum(wanted.values()) or None

        self._until(complete)
        time.sleep(1)  # whatever would come twice has time to come
        seen = _timeline(self.world, contact)
        self.say(f"{name}'s timeline in Dynamics: {', '.join(f'{n} {kind}' for kind, n in sorted(seen.items())) or 'empty'}")
        if dict(seen) != wanted:
            self._miss(f"{name}'s timeline has {dict(seen)} instead of {wanted}")
        for activity in _activities(self.world, contact):
            lacking = [column for column in _columns(activity["activitytypecode"]) if not activity.get(column)]
            if lacking:
                self._miss(f"{name}'s {activity['activitytypecode']} has no {', '.join(lacking)}")

    def _check_mirror(self, name: str) -> None:
        url = mirror_url(self.outcome.traces[name])
        page = httpx.get(url, timeout=10, trust_env=False) if url else None
        if page is not None and page.status_code == 200 and name.capitalize() in page.text:
            self.say(f"{name}'s mirror page opens: {url}")
        else:
            self._miss(f"{name}'s mirror page does not show what was sent")

    def _check_inbox(self) -> None:
        inbox: Any = self.world.vendors.esp.ask("inbox")
        ours = {f"{name}@example.com" for name in self.job.visitors}
        got = Counter(to for taken in inbox["messages"] if (to := taken["message"]["to"]["email"]) in ours)
        wanted = Counter(f"{name}@example.com" for name, visitor in self.job.visitors.items() if visitor.ends == "sent")
        self.say(f"The ESP was given: {', '.join(f'{n} to {to}' for to, n in sorted(got.items())) or 'nothing'}")
        if got != wanted:
            self._miss(f"the ESP was given {dict(got)} instead of {dict(wanted)}")

    def _until(self, look: Callable[[], T | None]) -> T | None:
        """What `look` finds, looking four times a second until the deadline."""
        while True:
            found = look()
            if found is not None or time.monotonic() > self.deadline:
                return found
            time.sleep(0.25)


def _ended(world: World, visitor: Visitor) -> Message | None:
    messages = _traces(world, visitor.anonymous_id)
    return next((m for m in messages if visitor.ends in (m["status"], last_reason(m))), None)


def _synchronised(world: World, message_id: str, activities: int) -> Message | None:
    message = _trace(world, message_id)
    return message if sum(hop["hop"] == "sync_crm" for hop in message["trace"]) >= activities else None


def _traces(world: World, anonymous_id: str) -> list[Message]:
    found: Any = world.sendbridge("trace", "--tracker", "shop", "--anonymous-id", anonymous_id)
    return list(found["traces"] if isinstance(found, dict) else found)


def _trace(world: World, message_id: str) -> Message:
    found: Any = world.sendbridge("trace", message_id)
    return dict(found)


def last_reason(message: Message) -> str:
    """The reason of the last hop that has one."""
    reasons = [hop["reason"] for hop in message["trace"] if hop.get("reason")]
    return str(reasons[-1]) if reasons else ""


def describe(message: Message) -> str:
    """One line of what became of a message."""
    why = last_reason(message)
    return f"{message['status']}{f' ({why})' if message['status'] != 'sent' and why else ''}, {message['message_id']}"


def _timeline(world: World, contact: str) -> Counter[str]:
    return Counter(activity["activitytypecode"] for activity in _activities(world, contact))


def _activities(world: World, contact: str) -> list[dict[str, Any]]:
    found: Any = world.vendors.crm.ask(f"timeline/{contact}")
    return list(found)


def _columns(kind: str) -> list[str]:
    """What an activity of this kind must tell, besides whose timeline it is on."""
    if kind == "task":
        return ["subject", "owner", "scheduledend"]
    columns = ["subject", "owner", "sb_campaignname", "sb_deliveryname", "sb_eventdate", "sb_mirrorpageurl"]
    return [*columns, "sb_trackingurl"] if kind == "sb_emailclick" else columns


def mirror_url(message: Message) -> str:
    """Where the message can be seen; empty if the trace does not say."""
    urls = [hop["data"]["mirror_url"] for hop in message["trace"] if "mirror_url" in hop.get("data", {})]
    return str(urls[0]) if urls else ""
