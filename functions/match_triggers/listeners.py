"""The triggers that look at a tracker's visitors, with what is asked of each event made ready once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from match_triggers.cart import names_of_cart
from shared.catalogue import Versioned
from shared.rules import AllRules, AnyRule, Changed, Happened, Rule
from shared.trackers import PROFILES
from shared.triggers import Trigger
from shared.visit_rules import Event, leaves, names_of, qualifying

_MOST_TRACKERS = 1_000


class Listener:
    """One trigger, ready to be asked of many events."""

    def __init__(self, versioned: Versioned[Trigger]) -> None:
        self.versioned = versioned
        self.definition = trigger = versioned.definition
        self.version = versioned.version
        self.name = trigger.name
        self.qualifies: Callable[[Event], bool] = qualifying(trigger.must_include, trigger.cart)
        """Whether an event may begin an episode."""
        self.ends: Callable[[Event], bool] = qualifying(trigger.ended_by)
        """Whether an event has a part in ending one."""
        self.wait = timedelta(seconds=trigger.wait_seconds)
        self.session = timedelta(seconds=trigger.session_seconds)
        self.satisfied_at_once = _at_once(trigger.must_include)
        self.lasts = all(_lasts(rule) for rule in trigger.must_include)
        """Whether what it must include, once there, cannot cease to be there."""
        self.ended_at_once = all(_is_one_event(rule) for rule in trigger.ended_by)
        self.attends = trigger.attends or not self.satisfied_at_once
        """Whether it needs to hear of events that it does not name: any may begin a wait anew, or a visit, or go on with one, and
        only within one visit it comes to know all that it asks for."""

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of the events that it needs to know of."""
        trigger = self.definition
        told = {one.event for one in trigger.metadata.values() if one.event}
        return names_of(trigger.must_include) | names_of(trigger.ended_by) | names_of_cart(trigger.cart) | told

    def hears(self, tracker: str) -> bool:
        """Whether it looks at visitors of this tracker. Triggers on profiles hear of changes to them only, and no other does."""
        trigger = self.definition
        if tracker == PROFILES or trigger.type == "profile_change":
            return tracker == PROFILES and trigger.type == "profile_change"
        return tracker in (trigger.trackers or (tracker,))


def _at_once(rules: Sequence[Rule]) -> bool:
    """Whether the first event that qualifies is all that is asked."""
    return len(rules) == 1 and _is_one_event(rules[0])


def _is_one_event(rule: Rule) -> bool:
    """Whether it holds as soon as there is one event that meets it, and from then on."""
    if isinstance(rule, AnyRule):
        return all(_is_one_event(inner) for inner in rule.any)
    return isinstance(rule, str | Changed) or (isinstance(rule, Happened) and rule.at_least == 1 and rule.at_most is None)


def _lasts(rule: Rule) -> bool:
    if isinstance(rule, AnyRule | AllRules):
        return all(_lasts(inner) for inner in (rule.any if isinstance(rule, AnyRule) else rule.all))
    return isinstance(rule, str | Changed) or (isinstance(rule, Happened) and rule.at_most is None)


@dataclass(frozen=True)
class Listening:
    """All triggers that look at the visitors of one tracker."""

    listeners: tuple[Listener, ...]
    """By name."""

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of the events that one of them needs to know of."""
        return frozenset().union(*(one.names for one in self.listeners))

    @cached_property
    def attends(self) -> bool:
        """Whether one of them needs to hear of events that it does not name."""
        return any(one.attends for one in self.listeners)

    @cached_property
    def on_sessions(self) -> bool:
        """Whether one of them is about visits as such, so that every event is of interest."""
        return any(one.definition.on_sessions for one in self.listeners)

    @cached_property
    def shortest_silence(self) -> timedelta:
        """A silence up to this long makes no difference to any of them."""
        silences = [one.session for one in self.listeners]
        silences += [one.wait for one in self.listeners if one.definition.restart == "any_event"]
        return min(silences, default=timedelta(0))

    @cached_property
    def watched(self) -> frozenset[str]:
        """The attributes of profiles whose changes they ask about."""
        rules = (rule for one in self.listeners for rule in (*one.definition.must_include, *one.definition.ended_by))
        return frozenset(leaf.changed for leaf in leaves(rules) if isinstance(leaf, Changed))

    def ends(self, event: Event) -> bool:
        """Whether an event has a part in ending what one of them waits for."""
        return any(one.ends(event) for one in self.listeners)


class Listeners:
    """Who listens to which tracker. Made anew when the triggers were read anew; a trigger that did not change stays ready."""

    def __init__(self) -> None:
        self._triggers: Mapping[str, Versioned[Trigger]] = {}
        self._ready: dict[str, Listener] = {}
        self._by_tracker: dict[str, Listening] = {}

    def of(self, triggers: Mapping[str, Versioned[Trigger]], tracker: str) -> Listening:
        """Those of these triggers that look at visitors of this tracker. One that is switched off listens on."""
        if triggers is not self._triggers:
            self._ready = {name: self._made_ready(versioned) for name, versioned in sorted(triggers.items())}
            self._triggers, self._by_tracker = triggers, {}
        found = self._by_tracker.get(tracker)
        if found is None:
            found = Listening(tuple(one for one in self._ready.values() if one.hears(tracker)))
            if len(self._by_tracker) < _MOST_TRACKERS:
                self._by_tracker[tracker] = found
        return found

    def _made_ready(self, versioned: Versioned[Trigger]) -> Listener:
        known = self._ready.get(versioned.definition.name)
        return known if known is not None and known.versioned is versioned else Listener(versioned)
