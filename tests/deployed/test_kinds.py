"""Each kind of trigger, on the deployed stack: what visitors do is posted first, then everything is waited for once."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from cli.local.world import TEST_ADDRESS, World
from shared.recordings import unpacked
from tests.deployed.kinds import LAMP, PAUSED, SCENARIOS, Ending, Event, Visitor, definitions, template
from tests.deployed.shop import until

pytestmark = [pytest.mark.deployed, pytest.mark.timeout(300)]

PATIENCE = 90.0
TRIGGERS = [name for scenario in SCENARIOS.values() for name in scenario.triggers]
Message = dict[str, Any]


class Played:
    """All scenarios, played once against a deployed stack."""

    def __init__(self, world: World, admin: httpx.Client, directory: Path) -> None:
        self.world, self.admin = world, admin
        self.visitors = {f"{kind}-{name}": one for kind, scenario in SCENARIOS.items() for name, one in scenario.visitors.items()}
        self.trackers = {f"{kind}-{name}": scenario.tracker for kind, scenario in SCENARIOS.items() for name in scenario.visitors}
        self.files = directory / "kinds.yaml"
        self.entities = directory / "things.jsonl"
        self.messages: dict[str, list[Message]] = {}
        """What became of each visitor."""

    def play(self) -> None:
        """Publishes, posts, does what people do meanwhile, and waits."""
        self.files.write_text(yaml.safe_dump_all(definitions()))
        self.entities.write_text(json.dumps({"entity": "things", **LAMP}) + "\n")
        self.world.sendbridge("apply", "-f", str(self.files))
        self.world.sendbridge("entities", "put", "things", "-f", str(self.entities))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self._prove, TRIGGERS))
            for name in TRIGGERS:
                self._do("trigger", name, "publish")
            for name in PAUSED:
                self._do("trigger", name, "pause")
            time.sleep(1.5)  # so that the functions know of it
            assert set(pool.map(self._post, self.visitors)) == {202}
            self._wait_for_the_paused()
            self._end_the_pauses()
            until(lambda: self._look(pool), lambda missing: not missing, PATIENCE)
            inbox = self._inbox()
            self.messages = dict(zip(self.visitors, pool.map(lambda name: self._found(name, inbox), self.visitors), strict=True))

    def _prove(self, trigger: str) -> None:
        proof = self.admin.post(f"/definitions/trigger/{trigger}/proof", json={"to": [TEST_ADDRESS]})
        assert proof.json().get("proven"), proof.text

    def _do(self, kind: str, name: str, act: str) -> None:
        # One change of definitions is made at a time.
        one = f"/definitions/{kind}/{name}/{act}"
        answer = until(lambda: self.admin.post(one, json={}), lambda answer: answer.status_code != 409, 30)
        assert answer.status_code == 200, answer.text

    def _post(self, name: str) -> int:
        url = f"{self.world.deployment.url}/v1/events/{self.trackers[name]}"
        now = datetime.now(UTC)
        events = [_posted(event, name, number, now) for number, event in enumerate(_all_of(self.visitors[name]))]
        return httpx.post(url, json={"events": events}, timeout=30).status_code

    def _wait_for_the_paused(self) -> None:
        waiting = until(
            lambda: [self._traced(name) for name in ("paused-waits", "unpublished-waits")],
            lambda found: all(one and one[0]["status"] == "waiting" for one in found),
            PATIENCE,
        )
        assert [_ending(message) for [message] in waiting] == [
            Ending("waiting", f"the trigger {name} is paused") for name in PAUSED
        ]

    def _end_the_pauses(self) -> None:
        newest = template("paused", "The newest")
        put = self.admin.put("/definitions/template/paused", json={k: v for k, v in newest.items() if k not in ("kind", "name")})
        assert put.status_code == 200, put.text
        self._prove("resumed")
        self._do("template", "paused", "publish")
        self._do("trigger", "resumed", "resume")
        self._do("trigger", "gone", "unpublish")

    def _look(self, pool: ThreadPoolExecutor) -> list[str]:
        """Those of whom something is missing yet."""
        inbox = self._inbox()
        names = [name for name in self.visitors if not self._is_over(name)]
        found = pool.map(lambda name: self._found(name, inbox), names)
        self.messages |= dict(zip(names, found, strict=True))
        return [name for name in names if not self._is_over(name)]

    def _is_over(self, name: str) -> bool:
        return name in self.messages and self.endings(name) == Counter(self.visitors[name].ends)

    def endings(self, name: str) -> Counter[Ending]:
        """What became of a visitor's messages."""
        return Counter(_ending(message) for message in self.messages[name])

    def _found(self, name: str, inbox: Mapping[str, str]) -> list[Message]:
        """By the visitor's traces, and by what was sent to them: a change of a profile is on no visitor's trace."""
        found = {message["message_id"]: message for message in self._traced(name)}
        for message_id in inbox:
            if inbox[message_id].partition("\n")[0] == f"kinds-{name}@example.com" and message_id not in found:
                found[message_id] = self.admin.get(f"/traces/{message_id}").json()
        return [{**one, "subject": inbox.get(one["message_id"], "\n").partition("\n")[2]} for one in found.values()]

    def _traced(self, name: str) -> list[Message]:
        asked = {"tracker": self.trackers[name], "anonymous_id": f"browser-{name}"}
        return list(self.admin.get("/traces", params=asked).json()["traces"])

    def _inbox(self) -> dict[str, str]:
        """To whom each message went, and its subject."""
        inbox: Any = self.world.vendors.esp.ask("inbox")
        taken = (one["message"] for one in inbox["messages"])
        return {one["metadata"]["message_id"]: f"{one['to']['email']}\n{one['subject']}" for one in taken}

    def decided(self, trigger: str) -> dict[str, tuple[str, str]]:
        """What `match_triggers` decided of each message of a trigger."""
        all_of_them = (message for those in self.messages.values() for message in those)
        return {one["message_id"]: _decision(one) for one in all_of_them if one["trigger"] == trigger}


def _all_of(visitor: Visitor) -> Sequence[Event]:
    """What a visitor does, after a login a second before the first of it."""
    if not visitor.logs_in:
        return visitor.does
    first = max(event["ago"] for event in visitor.does) + 1
    traits = {"email": "{me}@example.com", "first_name": "V", **visitor.traits}
    return [{"name": "Identified", "ago": first, "user_id": "{me}", "traits": traits}, *visitor.does]


def _posted(event: Event, name: str, number: int, now: datetime) -> Event:
    at = now - timedelta(seconds=event["ago"])
    whole = {"id": f"{name}-{number}", "anonymous_id": f"browser-{name}", "time": at.isoformat(), **event}
    del whole["ago"]
    made: Event = json.loads(json.dumps(whole).replace("{me}", f"kinds-{name}"))
    return made


def _ending(message: Message) -> Ending:
    if message["status"] == "sent":
        return Ending("sent", message.get("subject", ""))
    reasons = [hop["reason"] for hop in message["trace"] if hop.get("reason")]
    return Ending(message["status"], str(reasons[-1]) if reasons else "")


def _decision(message: Message) -> tuple[str, str]:
    [hop] = [hop for hop in message["trace"] if hop["hop"] == "match_triggers" and hop["what"] in ("send", "skip")]
    return "fired" if hop["what"] == "send" else "skipped", hop.get("reason", "")


@pytest.fixture(scope="module")
def played(deployed: World, admin: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Played once for all tests here."""
    made = Played(deployed, admin, tmp_path_factory.mktemp("kinds"))
    made.play()
    return made


@pytest.mark.parametrize("kind", SCENARIOS)
def test_a_kind_sends_what_it_should_and_says_why_not(played: Played, kind: str) -> None:
    for name, visitor in SCENARIOS[kind].visitors.items():
        messages = played.messages[f"{kind}-{name}"]
        assert played.endings(f"{kind}-{name}") == Counter(visitor.ends), messages


def test_several_people_on_one_device_are_named_on_the_trace(played: Played) -> None:
    [message] = played.messages["identity-shared_device"]
    [people] = [hop["data"]["profiles"] for hop in message["trace"] if "profiles" in hop.get("data", {})]
    assert len(set(people)) == 2
    assert message["profile_id"] is None


def test_the_esp_got_exactly_what_the_traces_say(played: Played) -> None:
    inbox = played._inbox()
    got = Counter(line for line in inbox.values() if line.startswith("kinds-"))
    wanted = [
        f"kinds-{name}@example.com\n{end.why}"
        for name, one in played.visitors.items()
        for end in one.ends
        if end.status == "sent"
    ]
    assert got == Counter(wanted)


def test_reports_count_what_was_decided(played: Played) -> None:
    found: Any = played.world.sendbridge("report", "once", "--days", "2")
    total = found["total"]
    assert (total["fired"], total["sent"], total["skipped"]) == (1, 1, {"fired already": 1})
    assert {one["message_id"] for one in found["recent"]} == played.decided("once").keys()
    of_all: Any = played.world.sendbridge("report")
    assert set(TRIGGERS) - {"gone"} <= {line["trigger"] for line in of_all["triggers"]}


def test_rows_of_entities_are_shown_put_and_deleted(played: Played) -> None:
    shown: Any = played.world.sendbridge("entities", "get", "things", "lamp")
    assert shown["attributes"] == LAMP["attributes"]
    assert played.admin.put("/entities/things/old/lamp", json={"name": "Old"}).status_code == 200
    played.world.sendbridge("entities", "delete", "things", "old/lamp")
    assert played.admin.get("/entities/things/old/lamp").status_code == 404


@pytest.fixture(scope="module")
def recorded(played: Played) -> Path:
    """What the deployment has kept of what these trackers told."""
    objects: list[Message] = []
    page: Message = {"next": ""}
    while page["next"] is not None:
        page = played.admin.get("/recorded", params={"days": "1", "after": page["next"]}).json()
        objects += page["objects"]
    contents = [httpx.get(one["url"], timeout=30).content for one in objects]
    events = [event for content in contents for event in unpacked(content) if event.tracker in played.trackers.values()]
    path = played.files.with_name("recorded.jsonl")
    path.write_text("".join(f"{event.model_dump_json()}\n" for event in events))
    return path


def _simulated(played: Played, trigger: str, *source: str) -> dict[str, tuple[str, str]]:
    entities = ("--entities", str(played.entities))
    found: Any = played.world.sendbridge("simulate", trigger, *source, *entities, "--until", "PT10M")
    decisions = (one for visit in found["visits"] for one in visit["decisions"])
    return {one["message_id"]: (one["decided"], one["reason"]) for one in decisions}


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_what_was_recorded_leads_to_the_same_decisions_again(played: Played, recorded: Path, trigger: str) -> None:
    decided = played.decided(trigger)
    assert decided
    assert _simulated(played, trigger, "--events", str(recorded), "-f", str(played.files)) == decided


def test_so_it_does_with_what_the_command_reads_itself(played: Played) -> None:
    assert _simulated(played, "loser", "--days", "1") == played.decided("loser")
