"""Whether somebody gives every variable that a message uses: the profile, the visit, the trigger, or the template's defaults.

Only what a message cannot do without is asked for: a variable with a default, or one that is only asked whether it is there, may
be missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TypeVar

from pydantic import JsonValue

from shared.catalogue import unmask
from shared.definitions import Integration, Kind, Template, kind_of
from shared.errors import Permanent
from shared.fields import Definition
from shared.triggers import Trigger
from shared.validation import Body, Fault, Find, check, marks_of
from shared.variables import Origin, Variable, variables_of

D = TypeVar("D", bound=Definition)

_SECOND = re.compile(r"\.([^.\[]+)")
_MOST = 5


def unknown_in(template: Template) -> list[Fault]:
    """The variables of a template that no trigger whatever gives."""
    return [
        Fault(variable.fields[0], f"no variable {variable.name}: there is none of this name, and none in defaults")
        for variable in _needed(template)
        if variable.origin == "unknown"
    ]


def lacking(body: Body, find: Find) -> list[Fault]:
    """What a trigger does not give of what its template and its integration use.

    What is not known of them is not judged.
    """
    trigger = _made(Trigger, body)
    if trigger is None:
        return []
    template, integration = _pair(trigger, find)
    both = (("template", template), ("integration", integration if template else None))
    return [fault for field, other in both if other for fault in _as_trigger_s(field, trigger, other, template)]


def lacking_in(kind: Kind, body: Body, triggers: Iterable[Body], find: Find) -> list[Fault]:
    """What a template, or an integration, uses that one of the triggers that use it does not give."""

    def found(other: Kind, name: str) -> Body | None:
        return body if (other, name) == (kind, body.get("name")) else find(other, name)

    return [fault for one in triggers if one.get(kind) == body.get("name") for fault in _as_used(kind, one, found)]


def _as_used(kind: Kind, body: Body, find: Find) -> Iterator[Fault]:
    trigger = _made(Trigger, body)
    if trigger is None:
        return
    template, integration = _pair(trigger, find)
    definition = template if kind == "template" else integration
    for variable, why in _missing(trigger, definition, template) if definition and template else ():
        yield Fault(variable.fields[0], f"only variables that trigger {trigger.name} gives: {why}")


def _as_trigger_s(field: str, trigger: Trigger, other: Template | Integration, template: Template | None) -> Iterator[Fault]:
    said = [f"its {variable.fields[0]} has {variable.name}, and {why}" for variable, why in _missing(trigger, other, template)]
    if said:
        yield Fault(field, f"one whose variables this trigger gives: {'; '.join(said[:_MOST])}")


def _missing(trigger: Trigger, definition: Template | Integration, template: Template | None) -> Iterator[tuple[Variable, str]]:
    told: set[tuple[str, str]] = set()
    for variable in _needed(definition, template):
        why = _why_not(trigger, variable.name, variable.origin)
        if why and (variable.fields[0], why) not in told:
            told.add((variable.fields[0], why))
            yield variable, why


def _why_not(trigger: Trigger, name: str, origin: Origin) -> str:
    """Why a variable has no value; empty if it may have one."""
    second = _SECOND.search(name)
    if origin == "unknown":
        return f"there is no {name}, and none in the template's defaults"
    if origin == "cart" and trigger.cart is None:
        return "there is no cart: the trigger has `cart: null`"
    if origin == "metadata" and second and second[1] not in trigger.metadata:
        return f"the trigger's metadata has no {second[1]}"
    if origin == "lookup" and second and second[1] not in trigger.lookups:
        return f"the trigger's lookups have no {second[1]}"
    return ""


def _needed(definition: Template | Integration, template: Template | None = None) -> list[Variable]:
    """The variables that it cannot do without; none if it is not Liquid, which is told otherwise."""
    try:
        found = variables_of(definition, template.defaults if template else None)
    except Permanent:
        return []
    return [variable for variable in found if not (variable.optional or variable.asked)]


def _pair(trigger: Trigger, find: Find) -> tuple[Template | None, Integration | None]:
    return (
        _made(Template, find("template", trigger.template) or {}),
        _made(Integration, find("integration", trigger.integration) or {}),
    )


def _made(model: type[D], body: Body) -> D | None:
    """The definition of a body, whose secrets do not matter; None if it is not known, or not valid."""
    if not body:
        return None
    value: JsonValue = dict(body)
    made = check(kind_of(model), unmask(value, dict.fromkeys(marks_of(value), "kept")))[0]
    return made if isinstance(made, model) else None
