"""`$filter`: a part of OData's expression language, type-checked against the table, compiled to a predicate.

Comparisons (eq, ne, gt, ge, lt, le) of a property with a literal, `contains`, `startswith`, `endswith`, `and`, `or`,
`not`, parentheses, parameter aliases. Text compares without regard to case, as the environment's SQL collation does.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.sandbox.dynamics_errors import bad_query, no_property
from tests.sandbox.dynamics_schema import EDM, Column, Table
from tests.sandbox.dynamics_values import day, stamp

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>'(?:[^']|'')*')
  | (?P<guid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![\w-]))
  | (?P<stamp>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d))
  | (?P<day>\d{4}-\d\d-\d\d)
  | (?P<number>-?\d+(?:\.\d+)?)
  | (?P<alias>@\w+)
  | (?P<word>[A-Za-z_][\w/.]*)
  | (?P<mark>[(),])
)""",
    re.VERBOSE,
)
_LITERALS = {"text": "Edm.String", "guid": "Edm.Guid", "stamp": "Edm.DateTimeOffset", "day": "Edm.Date"}
_COMPARE: dict[str, Callable[..., bool]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_KINDS = {"eq": "Equal", "ne": "NotEqual", "gt": "GreaterThan", "ge": "GreaterThanOrEqual"} | {
    "lt": "LessThan",
    "le": "LessThanOrEqual",
}
_FUNCTIONS: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda text, part: part in text,
    "startswith": str.startswith,
    "endswith": str.endswith,
}
MAX_DEPTH = 100
Row = Mapping[str, object]
Test = Callable[[Row], bool]


@dataclass
class Filter:
    """A compiled filter. `equals` are the column = text pairs every row that passes has, for an index."""

    passes: Test
    equals: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Literal:
    edm: str
    value: object


def compile_filter(table: Table, text: str, aliases: Mapping[str, str]) -> Filter:
    """Compile `text`. Raises `ODataError` 400 for what the Web API refuses."""
    return _Parser(table, text, aliases).whole()


class _Parser:
    def __init__(self, table: Table, text: str, aliases: Mapping[str, str]) -> None:
        self.table, self.text, self.aliases = table, text, aliases
        self.tokens = _tokens(text)
        self.at = self.depth = 0

    def whole(self) -> Filter:
        found = self._or()
        if self.at != len(self.tokens):
            raise self._wrong()
        return found

    def _or(self) -> Filter:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise bad_query("The recursion limit has been exceeded.")
        parts = [self._and()]
        while self._skip("or"):
            parts.append(self._and())
        self.depth -= 1
        if len(parts) == 1:
            return parts[0]
        return Filter(lambda row: any(part.passes(row) for part in parts))

    def _and(self) -> Filter:
        parts = [self._unary()]
        while self._skip("and"):
            parts.append(self._unary())
        if len(parts) == 1:
            return parts[0]
        equals = {name: value for part in parts for name, value in part.equals.items()}
        return Filter(lambda row: all(part.passes(row) for part in parts), equals)

    def _unary(self) -> Filter:
        if self._skip("not"):
            inner = self._unary()
            return Filter(lambda row: not inner.passes(row))
        if self._skip("("):
            inner = self._or()
            self._expect(")")
            return inner
        return self._call() if self._peek() in _FUNCTIONS else self._comparison()

    def _call(self) -> Filter:
        name = self._next()[1]
        self._expect("(")
        column = self._column()
        self._expect(",")
        literal = self._literal()
        self._expect(")")
        test, part, key = _FUNCTIONS[name], str(literal.value).casefold(), column.read_name
        self._check(column, literal, "Equal")
        return Filter(lambda row: row.get(key) is not None and test(str(row[key]).casefold(), part))

    def _comparison(self) -> Filter:
        column = self._column()
        name = self._next()[1]
        if name not in _KINDS:
            raise self._wrong()
        literal = self._literal()
        self._check(column, literal, _KINDS[name])
        return _compared(column.read_name, name, literal.value)

    def _column(self) -> Column:
        kind, name = self._next()
        if kind != "word":
            raise self._wrong()
        column = self.table.columns.get(name)
        if column is None:
            raise no_property(name, self.table.logical)
        return column

    def _literal(self) -> _Literal:
        kind, text = self._next()
        if kind == "alias":
            return _Parser(self.table, self.aliases.get(text, "null"), {})._literal()
        if kind == "word" and text in {"true", "false", "null"}:
            edm = "null" if text == "null" else "Edm.Boolean"
            return _Literal(edm, {"true": True, "false": False, "null": None}[text])
        if kind == "number":
            return _Literal("Edm.Double", float(text)) if "." in text else _Literal("Edm.Int32", int(text))
        if kind not in _LITERALS:
            raise self._wrong()
        return _Literal(_LITERALS[kind], _value(kind, text))

    def _check(self, column: Column, literal: _Literal, kind: str) -> None:
        edm = EDM[column.kind]
        day_as_stamp = edm == "Edm.DateTimeOffset" and literal.edm == "Edm.Date"
        if literal.edm not in {edm, "null"} and not day_as_stamp:
            raise bad_query(
                "A binary operator with incompatible types was detected. Found operand types "
                f"'{edm}' and '{literal.edm}' for operator kind '{kind}'."
            )

    def _peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def _next(self) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise self._wrong()
        self.at += 1
        return self.tokens[self.at - 1]

    def _skip(self, word: str) -> bool:
        if self._peek() == word:
            self.at += 1
            return True
        return False

    def _expect(self, mark: str) -> None:
        if not self._skip(mark):
            raise self._wrong()

    def _wrong(self) -> Exception:
        return bad_query(f"Syntax error at position {self.at} in '{self.text[:200]}'.")


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at, text = [], 0, text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise bad_query(f"Syntax error: character '{text[at]}' is not valid at position {at} in '{text[:200]}'.")
        tokens.append((found.lastgroup, found[found.lastgroup]))
        at = found.end()
    return tokens


def _value(kind: str, text: str) -> object:
    if kind == "text":
        return text[1:-1].replace("''", "'").casefold()
    if kind == "guid":
        return text.lower()
    try:
        return stamp(text) if kind == "stamp" else day(text)
    except ValueError:
        raise bad_query(f"Unrecognized literal '{text}'.") from None


def _folded(value: object) -> object:
    return value.casefold() if isinstance(value, str) else value


def _compared(name: str, op: str, value: object) -> Filter:
    value = _folded(value)
    if op == "eq":
        return Filter(lambda row: _folded(row.get(name)) == value, {name: value} if isinstance(value, str) else {})
    if op == "ne":
        return Filter(lambda row: _folded(row.get(name)) != value)
    compare = _COMPARE[op]
    return Filter(lambda row: None not in {row.get(name), value} and compare(_folded(row[name]), value))
