"""The fields of definitions as people read them: name, type, default and meaning, from the source that declares them."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import shared.auth
import shared.definitions
import shared.fields
import shared.rules
import shared.trackers
import shared.triggers

_PLAIN = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "SecretStr": "secret",
    "JsonValue": "any JSON",
}
_LIMITS = {
    "pattern": "matches {}",
    "min_length": "at least {}",
    "max_length": "at most {}",
    "ge": "from {}",
    "gt": "above {}",
    "le": "to {}",
}


@dataclass(frozen=True)
class Field:
    """One field, each part as Markdown that a table can hold."""

    name: str
    type: str
    default: str
    doc: str


@dataclass(frozen=True)
class Model:
    """One type of definitions or of their parts; `mentioned` are the other types that its fields name."""

    name: str
    doc: str
    fields: tuple[Field, ...]
    mentioned: tuple[str, ...]


@cache
def _source() -> tuple[dict[str, ast.ClassDef], dict[str, tuple[ast.expr, str]]]:
    """Classes by name, and aliases by name with what is said of them."""
    modules = (shared.definitions, shared.auth, shared.fields, shared.trackers, shared.triggers, shared.rules)
    body = [node for module in modules for node in ast.parse(inspect.getsource(module)).body]
    classes = {node.name: node for node in body if isinstance(node, ast.ClassDef)}
    named: dict[str, tuple[ast.expr, str]] = {}
    for node, doc in _with_docs(body):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            named[node.targets[0].id] = node.value, doc
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            named[node.target.id] = node.value, doc
    return classes, named


def _with_docs(body: Sequence[ast.stmt]) -> Iterator[tuple[ast.stmt, str]]:
    for node, after in zip(body, [*body[1:], ast.Pass()], strict=True):
        said = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
        yield node, " ".join(str(said).split())


def models(name: str) -> list[Model]:
    """The type of this name, and those that its fields are made of, in the order in which they are met."""
    found: dict[str, Model] = {}
    wanted = [name]
    while wanted:
        one = wanted.pop(0)
        if one not in found:
            found[one] = _model(one)
            wanted += _classes_in(found[one].mentioned)
    return list(found.values())


def _classes_in(names: Sequence[str]) -> list[str]:
    classes, named = _source()
    nested = [inner for name in names if name in named for inner in _names(named[name][0])]
    return [name for name in (*names, *nested) if name in classes]


def aliases(of: Sequence[Model]) -> list[tuple[str, str]]:
    """What the named types of these models' fields are."""
    _, named = _source()
    used = dict.fromkeys(name for model in of for name in model.mentioned if name in named)
    return [(name, " ".join(filter(None, (_type(named[name][0]) + ".", named[name][1])))) for name in used]


def _model(name: str) -> Model:
    classes, _ = _source()
    node = classes[name]
    inherited = [_model(base.id) for base in node.bases if isinstance(base, ast.Name) and base.id in classes]
    fields = [field for base in inherited for field in base.fields]
    mentioned = [one for base in inherited for one in base.mentioned]
    for statement, doc in _with_docs(node.body):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            kind, default = _typed(statement)
            fields.append(Field(statement.target.id, kind, default, _cell(doc)))
            mentioned += _names(statement.annotation)
    return Model(name, " ".join((ast.get_docstring(node) or "").split()), tuple(fields), tuple(dict.fromkeys(mentioned)))


def _names(node: ast.AST) -> list[str]:
    found = [inner for inner in ast.walk(node) if isinstance(inner, ast.Name)]
    return [inner.id for inner in sorted(found, key=lambda inner: (inner.lineno, inner.col_offset))]


def _typed(field: ast.AnnAssign) -> tuple[str, str]:
    kind, value = _type(field.annotation), field.value
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "Field":
        limits = _limits(value)
        return " ".join(filter(None, (kind, limits))), _default(value)
    return kind, "required" if value is None else _literal(value)


def _default(field: ast.Call) -> str:
    """Of a `Field(...)`: its default, or what its factory makes."""
    given = {keyword.arg: keyword.value for keyword in field.keywords}
    made = given.get("default_factory")
    if isinstance(made, ast.Lambda):
        [unpacked] = [node for node in ast.walk(made) if isinstance(node, ast.Name)]
        return _literal(_source()[1][unpacked.id][0])
    if made is not None:
        return "empty"
    return _literal(given["default"]) if "default" in given else "required"


def _literal(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        return f"`{ast.unparse(node.func)}`"
    value = ast.literal_eval(node)
    if value in ((), {}, ""):
        return "empty"
    if isinstance(value, str):
        return _code(value)
    return _code(json.dumps(value))


def _type(node: ast.expr) -> str:
    if isinstance(node, ast.BinOp):
        return f"{_type(node.left)} or {_type(node.right)}"
    if isinstance(node, ast.Name):
        return _PLAIN.get(node.id, f"`{node.id}`")
    if not isinstance(node, ast.Subscript):
        return f"`{_cell(ast.unparse(node))}`"
    inner = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    return _GENERICS[ast.unparse(node.value)](inner)


def _annotated(inner: list[ast.expr]) -> str:
    limits = [_limits(call) for call in inner[1:] if isinstance(call, ast.Call)]
    return " ".join(filter(None, (_type(inner[0]), *limits)))


def _limits(call: ast.Call) -> str:
    limits = [_LIMITS[k.arg].format(_limit(k.value)) for k in call.keywords if k.arg in _LIMITS]
    return f"({', '.join(limits)})" if limits else ""


def _limit(node: ast.expr) -> str:
    value = ast.literal_eval(node) if isinstance(node, ast.Constant) else ast.unparse(node)
    return _code(value) if isinstance(node, ast.Constant) and isinstance(value, str) else str(value)


def _bare(node: ast.expr) -> str:
    return str(ast.literal_eval(node))


def _code(text: str) -> str:
    marks = "``" if "`" in text else "`"
    return f"{marks}{_cell(text)}{marks}"


def _choice(inner: list[ast.expr]) -> str:
    return " or ".join(f"`{_bare(one)}`" if _bare(one) else "empty" for one in inner)


_GENERICS: dict[str, Callable[[list[ast.expr]], str]] = {
    "Annotated": _annotated,
    "Literal": _choice,
    "tuple": lambda inner: f"list of {_type(inner[0])}",
    "dict": lambda inner: f"map of {_type(inner[0])} to {_type(inner[1])}",
}


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
