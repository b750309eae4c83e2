"""What triggers should decide, found the slow and obvious way: from the whole history, sorted, moment by moment.

It knows nothing of rows, batches, timers and late events, and shares no code with what it is compared with. All times are
multiples of ten seconds, and it looks at each of them in turn. Triggers are plain dictionaries, as a definition file has them,
with every default filled in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SETTLING = 300


@dataclass(frozen=True)
class Did:
    """Something that a visitor did, so many seconds after the beginning."""

    id: str
    name: str
    second: int
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """What should be decided."""

    trigger: str
    key: str
    """The first event, or the second in which the visit began."""
    sent: bool
    reason: str
    due: int
    begins: int
    cart: Mapping[str, int] = field(default_factory=dict)


@dataclass
class _Episode:
    key: str
    begins: int
    satisfied: bool = False
    deadline: int | None = None
    visits: int = 1


class Reference:
    """All that should become of one visitor."""

    def __init__(
        self, triggers: Iterable[dict[str, Any]], history: Sequence[Did], elsewhere: Sequence[Did], reachable: bool
    ) -> None:
        self.history = sorted(history, key=lambda did: (did.second, did.id))
        self.elsewhere, self.reachable = list(elsewhere), reachable
        self.watches = [_Watch(trigger, self) for trigger in sorted(triggers, key=lambda t: (-t["priority"], t["name"]))]
        self.decisions: list[Decision] = []
        self.taken_back: set[tuple[str, str]] = set()

    def run(self) -> Reference:
        """Goes through time until nothing can happen any more."""
        for second in range(0, self._end(), 10):
            # What falls due comes after all that happened in that second.
            for watch in self.watches:
                watch.happens(second)
            for watch in self.watches:
                watch.falls_due(second)
        return self

    def _end(self) -> int:
        last = max((did.second for did in (*self.history, *self.elsewhere)), default=0)
        return last + 20 + max((t.wait + t.session for t in self.watches), default=0)

    def decide(self, watch: _Watch, episode: _Episode, reason: str, due: int) -> bool:
        """Takes a decision; whether it sends."""
        reason = reason or ("" if self.reachable else "no profile")
        if not reason and watch.fires_too_soon(due):
            reason = "fired already"
        cart = cart_of(did for did in self.history if did.second <= due)
        self.decisions.append(Decision(watch.name, episode.key, not reason, reason, due, episode.begins, cart))
        if not reason:
            watch.fired_at = due
            self._cancel_others(watch, due)
        return not reason

    def _cancel_others(self, by: _Watch, due: int) -> None:
        cancelled = [
            w for w in self.watches if w is not by and (by.trigger["cancels"] == "all" or w.name in by.trigger["cancels"])
        ]
        for watch in cancelled:
            watch.cancel(by.name, due)
        self.taken_back |= {
            (one.trigger, one.key)
            for one in self.decisions
            if one.sent and one.trigger in {w.name for w in cancelled} and one.begins <= due
        }


class _Watch:
    """One trigger, watching."""

    def __init__(self, trigger: dict[str, Any], all_of_it: Reference) -> None:
        self.trigger, self.world = trigger, all_of_it
        self.name, self.type = trigger["name"], trigger["type"]
        self.wait, self.session = trigger["wait_seconds"], trigger["session_seconds"]
        self.on_visits = self.type in ("session_start", "session_end")
        self.open: list[_Episode] = []
        self.used_up = -1
        self.fired_at: int | None = None

    def fires_too_soon(self, due: int) -> bool:
        again = self.trigger["reentry_seconds"]
        return self.fired_at is not None and (again is None or due - self.fired_at < again)

    def happens(self, second: int) -> None:
        """Takes in what the visitor did in this second."""
        waiting = {episode.key for episode in self.open if episode.satisfied}
        now = [did for did in self.world.history if did.second == second]
        if now:
            before = max((did.second for did in self.world.history if did.second < second), default=None)
            new_visit = before is None or second - before > self.session
            if new_visit:
                self._new_visit(second)
            self._begin(now, second, new_visit)
            for episode in self.open:
                self._goes_on(episode, now, second)
        for episode in list(self.open):
            if self._ended(episode, second):
                # What ends it may itself undo what was asked for.
                episode.satisfied |= episode.key in waiting
                self._over(episode, "order placed", second)

    def _new_visit(self, second: int) -> None:
        for episode in list(self.open):
            if not episode.satisfied:
                self.open.remove(episode)
            elif self.trigger["new_visit"] == "cancels":
                self._over(episode, "came back", second)
            else:
                episode.visits += 1

    def _begin(self, now: Sequence[Did], second: int, new_visit: bool) -> None:
        if self.on_visits:
            going_on = not new_visit or any(self._restarts(episode, now) for episode in self.open)
            if not going_on and second > self.used_up:
                self.open.append(_Episode(str(second), second))
            return
        first = [did for did in now if qualifies(self.trigger, did)]
        if self.type == "event":
            self.open += [_Episode(did.id, second) for did in first if second > self.used_up]
        elif first and not self.open and second > self.used_up:
            self.open.append(_Episode(first[0].id, second))

    def _goes_on(self, episode: _Episode, now: Sequence[Did], second: int) -> None:
        wait = self.wait + (self.session if self.type == "session_end" else 0)
        if self.type == "session_start" and second == episode.begins:
            episode.deadline = second + wait
        was, episode.satisfied = episode.satisfied, self._satisfied(episode, second)
        restarts = self._restarts(episode, now)
        if self.type == "session_start":
            if restarts and second > episode.begins:
                episode.deadline = second + wait
        elif not episode.satisfied:
            episode.deadline = None
        elif not was or restarts:
            episode.deadline = second + wait

    def _restarts(self, episode: _Episode, now: Sequence[Did]) -> bool:
        """Whether what happens now begins the wait anew."""
        if self.trigger["restarted_by"] == "any_event" or (self.type == "session_end" and episode.visits == 1):
            return True
        return self.trigger["restarted_by"] == "qualifying_event" and any(qualifies(self.trigger, did) for did in now)

    def _satisfied(self, episode: _Episode, second: int) -> bool:
        window = [did for did in self.world.history if episode.begins <= did.second <= second]
        cart = cart_of(did for did in self.world.history if did.second <= second)
        return all(holds(rule, window, cart) for rule in self.trigger["must_include"])

    def _ended(self, episode: _Episode, second: int) -> bool:
        rules = self.trigger["must_not_include"]
        did = [*self.world.history, *(other for other in self.world.elsewhere if qualifies({"must_include": rules}, other))]
        window = [one for one in did if episode.begins <= one.second <= second]
        cart = cart_of(one for one in self.world.history if one.second <= second)
        return any(holds(rule, window, cart) for rule in rules)

    def _over(self, episode: _Episode, reason: str, second: int) -> None:
        self.open.remove(episode)
        if episode.satisfied:
            self.world.decide(self, episode, reason, second + min(self.wait, SETTLING))
        if not self.on_visits and reason != "came back":
            self.used_up = max(self.used_up, second) if self.type != "event" else self.used_up

    def falls_due(self, second: int) -> None:
        """Fires what has waited long enough."""
        for episode in sorted(self.open, key=lambda one: one.begins):
            if episode in self.open and episode.deadline == second:
                self.open.remove(episode)
                if episode.satisfied:
                    self.world.decide(self, episode, "", second)
                    if self.type != "event" and not self.on_visits:
                        self.used_up = max(self.used_up, second)

    def cancel(self, by: str, second: int) -> None:
        """Gives up what is waited for."""
        for episode in list(self.open):
            self.open.remove(episode)
            if episode.satisfied:
                self.world.decide(self, episode, f"cancelled by {by}", second)
        self.used_up = max(self.used_up, second)


def qualifies(trigger: Mapping[str, Any], did: Did) -> bool:
    """Whether an event meets a part of what must be included, but not of what must be missing."""
    return any(_meets(leaf, did) for rule in trigger["must_include"] for leaf in _leaves(rule))


def _leaves(rule: Any) -> Iterator[Any]:
    if isinstance(rule, dict) and ("all" in rule or "any" in rule):
        for inner in rule["all"] if "all" in rule else rule["any"]:
            yield from _leaves(inner)
    elif isinstance(rule, str) or "event" in rule:
        yield rule


def _meets(leaf: Any, did: Did) -> bool:
    if isinstance(leaf, str):
        return did.name == leaf
    wanted = [(one["path"], one["above"]) for one in leaf.get("where", ())]
    return did.name == leaf["event"] and all(did.properties.get(path, 0) > above for path, above in wanted)


def holds(rule: Any, window: Sequence[Did], cart: Mapping[str, int]) -> bool:  # noqa: PLR0911 - one for each kind
    """Whether a rule holds for what happened, and for the cart."""
    if isinstance(rule, str):
        return any(did.name == rule for did in window)
    if "all" in rule:
        return all(holds(inner, window, cart) for inner in rule["all"])
    if "any" in rule:
        return any(holds(inner, window, cart) for inner in rule["any"])
    if "none" in rule:
        return not any(holds(inner, window, cart) for inner in rule["none"])
    if "cart" in rule:
        return sum(cart.values()) >= int(rule["at_least"])
    found = [did for did in window if _meets(rule, did)]
    if "sum" in rule:
        return bool(sum(did.properties.get(rule["sum"], 0) for did in found) > rule["above"])
    groups = {did.properties.get(rule["same"]) for did in found} if "same" in rule else {None}
    counts = [sum("same" not in rule or did.properties.get(rule["same"]) == group for did in found) for group in groups] or [0]
    least, most = int(rule.get("at_least", 1)), int(rule.get("at_most", len(found)))
    return any(least <= count <= most for count in counts)


def cart_of(history: Iterable[Did]) -> dict[str, int]:
    """Pieces of each product."""
    cart: dict[str, int] = {}
    for did in history:
        product = did.properties.get("product_id", did.id)
        if did.name == "Product Added":
            cart[product] = cart.get(product, 0) + did.properties.get("quantity", 1)
        elif did.name == "Product Removed":
            cart.pop(product, None)
        elif did.name == "Order Completed":
            cart = {}
    return cart
