"""The variables that a message uses, where the value of each comes from, and which have none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pydantic import JsonValue

from shared.content import over
from shared.definitions import Integration, Template
from shared.mapping import at
from shared.variables import Variable, variables_of

_ITEMS = 5
_LONGEST = 500
_INDEX = re.compile(r"\[(\d+)\]")


class Line(NamedTuple):
    """One variable. `source` is `profile`, `cart`, `event`, `message`, `default` or `missing`."""

    name: str
    source: str
    value: JsonValue
    """Of what is in a list, the first few."""
    used_in: Sequence[str]
    required: bool
    """Whether there is no message without it."""

    @property
    def lacks(self) -> bool:
        """Whether it keeps the message from going out."""
        return self.required and self.source == "missing"

    def as_json(self) -> JsonValue:
        """As the API shows it."""
        value = self.value[:_LONGEST] if isinstance(self.value, str) else self.value
        fields: list[JsonValue] = [*self.used_in]
        return {"name": self.name, "source": self.source, "value": value, "used_in": fields, "required": self.required}


def lines(template: Template, integration: Integration, given: Mapping[str, JsonValue]) -> list[Line]:
    """The variables of both. `given` is what there is without the template's defaults. Raises Permanent if it is not Liquid."""
    everything = over(template.defaults, given)
    found: dict[str, list[tuple[str, Variable]]] = {}
    for where, variables in (
        (f"template {template.name}", variables_of(template)),
        (f"integration {integration.name}", variables_of(integration, template.defaults)),
    ):
        for variable in variables:
            found.setdefault(variable.name, []).append((where, variable))
    return [_line(name, uses, given, everything) for name, uses in sorted(found.items())]


def _line(
    name: str, uses: Sequence[tuple[str, Variable]], given: Mapping[str, JsonValue], everything: Mapping[str, JsonValue]
) -> Line:
    value, known = _value(given, name), _value(everything, name)
    origin = uses[0][1].origin
    if known is None and origin != "message":
        source = "missing"
    elif value is None and origin != "message":
        source, value = "default", known
    else:
        source = "default" if origin == "unknown" else origin
    where = [f"{of}, {field}" for of, variable in uses for field in variable.fields]
    return Line(name, source, value, where, not all(variable.optional for _, variable in uses))


def _value(values: JsonValue | Mapping[str, JsonValue], name: str) -> JsonValue:
    """What is at a name like `profile.first_name`, `events[0].name` or `cart[].price`; None if nothing is."""
    path, each, rest = _INDEX.sub(r".\1", name).partition("[]")
    found = at(dict(values) if isinstance(values, Mapping) else values, path)
    if not each or found is None:
        return found
    items = found if isinstance(found, list) else []
    inner: list[JsonValue] = [_value(item, rest.removeprefix(".")) if rest else item for item in items[:_ITEMS]]
    return inner if all(one is not None for one in inner) else None
