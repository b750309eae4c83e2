"""What is wrong with a trigger that is valid in its form: found before it is published, not by waiting for what never comes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from shared.condition_faults import bounds_faults, condition_faults
from shared.rules import AllRules, AnyRule, Changed, Happened, InCart, NoRule, Rule, Summed
from shared.triggers import Trigger
from shared.validation import Fault
from shared.visit_rules import any_holds, leaves

_VARIABLES = ("profile", "cart", "event", "events", "metadata", "lookup")
_EVENT = ("id", "name", "time", "properties")
_CHANGE = ("old", "new")

_Leaf: TypeAlias = str | Happened | Summed | InCart | Changed


def faults_of(trigger: Trigger) -> list[Fault]:
    """Everything that is wrong with a trigger by itself, each with its field and what was expected there."""
    return [
        *_rules(trigger.must_include, "must_include", trigger),
        *_rules(trigger.ended_by, "must_not_include", trigger),
        *_beginning(trigger),
        *_excluded(trigger),
        *_ended_at_once(trigger),
        *_settings(trigger),
        *condition_faults(trigger.audience, "audience"),
        *_variables(trigger),
    ]


def _rules(rules: Iterable[Rule], field: str, trigger: Trigger) -> Iterator[Fault]:
    """What is wrong with each rule by itself."""
    for where, leaf in _fields(rules, field):
        yield from _of_type(leaf, where, trigger)
        if isinstance(leaf, Happened) and leaf.at_least == 0 and leaf.at_most is None:
            yield Fault(f"{where}.at_least", "1 or more, or at_most beside it: as it is, it always holds")
        if isinstance(leaf, Summed):
            yield from bounds_faults(leaf, where)
        if isinstance(leaf, InCart):
            yield from bounds_faults(leaf, where, least=0)
        if isinstance(leaf, Changed):
            yield from _of_change(leaf, where)
        if isinstance(leaf, Happened | Summed | Changed):
            yield from condition_faults(leaf.where, f"{where}.where")


def _fields(rules: Iterable[Rule], field: str) -> Iterator[tuple[str, _Leaf]]:
    """The rules that stand for themselves, each with its field."""
    for index, rule in enumerate(rules):
        where = f"{field}.{index}"
        if isinstance(rule, AllRules):
            yield from _fields(rule.all, f"{where}.all")
        elif isinstance(rule, AnyRule):
            yield from _fields(rule.any, f"{where}.any")
        elif isinstance(rule, NoRule):
            yield from _fields(rule.none, f"{where}.none")
        else:
            yield where, rule


def _of_type(leaf: _Leaf, field: str, trigger: Trigger) -> Iterator[Fault]:
    on_profiles = trigger.type == "profile_change"
    if isinstance(leaf, Changed) and not on_profiles:
        yield Fault(field, f"no rule with changed, as the type is {trigger.type}: it is for profile_change only")
    elif on_profiles and not isinstance(leaf, Changed):
        yield Fault(field, "a rule with changed, as the type is profile_change: it hears of changes only")
    elif isinstance(leaf, InCart) and trigger.cart is None:
        yield Fault(field, "no rule about the cart, as cart is null")


def _of_change(leaf: Changed, field: str) -> Iterator[Fault]:
    for path_field, path in _paths(leaf.where, f"{field}.where"):
        if path.partition(".")[0] not in _CHANGE:
            yield Fault(path_field, "old or new, or a path in one of them")


def _paths(conditions: Iterable[object], field: str) -> Iterator[tuple[str, str]]:
    for index, condition in enumerate(conditions):
        where = f"{field}.{index}"
        for group in ("all", "any", "none"):
            yield from _paths(getattr(condition, group, ()), f"{where}.{group}")
        if path := getattr(condition, "path", ""):
            yield f"{where}.path", path


def _beginning(trigger: Trigger) -> Iterator[Fault]:
    """An episode begins with an event that meets a rule: there must be one that can be met."""
    if trigger.on_sessions or not trigger.must_include:
        return
    counted = list(leaves(trigger.must_include, counting=True))
    if not counted:
        yield Fault("must_include", "a rule that is not below none: it begins with an event that meets one")
    elif all(isinstance(leaf, Happened) and leaf.at_most == 0 for leaf in counted):
        yield Fault("must_include", "an event that happened: with at_most 0 alone nothing begins")


def _excluded(trigger: Trigger) -> Iterator[Fault]:
    """What must be included, and ends it by that."""
    excluding = dict(_excluding(trigger))
    required: list[_Leaf] = []
    alternatives: list[tuple[str, _Leaf]] = []
    for field, leaf in _counted(trigger.must_include, "must_include"):
        if ".any." in field:
            alternatives.append((field, leaf))
        else:
            required.append(leaf)
            yield from _met(field, required, excluding)
    for field, leaf in alternatives:
        yield from _met(field, [*required, leaf], dict(excluding))


def _excluding(trigger: Trigger) -> Iterator[tuple[str, Rule]]:
    for index, rule in enumerate(trigger.ended_by):
        usual = trigger.must_not_include is None
        yield f"{rule}, which ends it as must_not_include is not given" if usual else f"must_not_include.{index}", rule
    yield from _forbidden(trigger.must_include, "must_include")


def _met(field: str, given: Sequence[_Leaf], excluding: dict[str, Rule]) -> Iterator[Fault]:
    """A fault for each excluding rule that surely holds where all of these do; it is then forgotten."""
    for where in [where for where, rule in excluding.items() if _implied(rule, given)]:
        del excluding[where]
        yield Fault(field, f"a rule that can hold without {where}: as it is, it can never fire")


def _counted(rules: Iterable[Rule], field: str) -> Iterator[tuple[str, _Leaf]]:
    return ((where, leaf) for where, leaf in _fields(rules, field) if ".none." not in where)


def _forbidden(rules: Iterable[Rule], field: str) -> Iterator[tuple[str, Rule]]:
    """What is below a `none` that must hold."""
    for index, rule in enumerate(rules):
        where = f"{field}.{index}"
        if isinstance(rule, AllRules):
            yield from _forbidden(rule.all, f"{where}.all")
        elif isinstance(rule, NoRule):
            yield from ((f"{where}.none.{inner}", one) for inner, one in enumerate(rule.none))


def _implied(rule: Rule, given: Sequence[_Leaf]) -> bool:
    """Whether a rule surely holds where all of these do."""
    if isinstance(rule, AllRules):
        return all(_implied(one, given) for one in rule.all)
    if isinstance(rule, AnyRule):
        return any(_implied(one, given) for one in rule.any)
    if isinstance(rule, NoRule):
        return False
    return any(_implies(leaf, rule) for leaf in given)


def _implies(leaf: _Leaf, rule: _Leaf) -> bool:
    one, other = (Happened(event=each) if isinstance(each, str) else each for each in (leaf, rule))
    if not isinstance(one, Happened) or not isinstance(other, Happened):
        return _as_json(one) == _as_json(other)
    return (
        one.event == other.event
        and other.at_most is None
        and one.at_least >= other.at_least
        and other.same in ("", one.same)
        and {_as_json(asked) for asked in other.where} <= {_as_json(asked) for asked in one.where}
    )


def _as_json(part: object) -> str:
    """As text, in which 1 is not true."""
    return json.dumps(part, default=lambda model: model.model_dump(mode="json"), sort_keys=True)


def _ended_at_once(trigger: Trigger) -> Iterator[Fault]:
    """A rule that holds of a visit without any event ends whatever begins."""
    for index, rule in enumerate(trigger.ended_by):
        of_cart = any(isinstance(leaf, InCart) for leaf in leaves([rule]))
        if not of_cart and any_holds([rule], (), tuple):
            yield Fault(
                f"must_not_include.{index}", "a rule that does not hold before anything has happened: it ends all at once"
            )


def _settings(trigger: Trigger) -> Iterator[Fault]:
    if trigger.new_visit == "cancels" and trigger.type != "session_end" and trigger.wait_seconds <= trigger.session_seconds:
        yield Fault("new_visit", "goes_on, or a wait longer than session_seconds: as it is, it is over before a visit can be new")
    if trigger.restarted_by not in (None, _RESTARTS.get(trigger.type, trigger.restarted_by)):
        yield Fault("restarted_by", f"{_RESTARTS[trigger.type]}, as the type is {trigger.type}")
    if trigger.type == "profile_change" and trigger.trackers:
        yield Fault("trackers", "none, as it is about profiles")
    if isinstance(trigger.cancels, tuple) and trigger.name in trigger.cancels:
        yield Fault(f"cancels.{trigger.cancels.index(trigger.name)}", "another trigger than this one")
    if trigger.if_missing != "send" and not trigger.requires:
        yield Fault("if_missing", "send, or requires with what may be missing")


_RESTARTS = {"event": "nothing", "session_start": "nothing", "session_end": "any_event"}
"""Types that can be restarted in one way only."""


def _variables(trigger: Trigger) -> Iterator[Fault]:
    for index, path in enumerate(trigger.requires):
        yield from _variable(path, f"requires.{index}", trigger, _VARIABLES)
    for name, lookup in trigger.lookups.items():
        yield from _variable(lookup.key, f"lookups.{name}.key", trigger, _VARIABLES[:-1])


def _variable(path: str, field: str, trigger: Trigger, roots: Sequence[str]) -> Iterator[Fault]:
    root, _, rest = path.partition(".")
    first = rest.partition(".")[0]
    if root not in roots:
        yield Fault(field, f"a variable: what begins with {', '.join(f'{name}.' for name in roots)} or is one of them")
    elif root == "cart" and trigger.cart is None:
        yield Fault(field, "no variable of the cart, as cart is null")
    elif root == "metadata" and first not in trigger.metadata:
        yield Fault(field, f"one of the metadata that the trigger names: {_list(trigger.metadata)}")
    elif root == "lookup" and first not in trigger.lookups:
        yield Fault(field, f"one of the lookups that the trigger names: {_list(trigger.lookups)}")
    elif root == "event" and first not in _EVENT:
        yield Fault(field, f"something of an event: {', '.join(f'event.{name}' for name in _EVENT)}")


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "there are none"
