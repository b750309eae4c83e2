"""Definitions in YAML files, one or several documents each: `kind`, `name`, and the definition's fields.

`${NAME}` in any text is filled from the environment (`$${NAME}` is a literal one). A secret is `{env: NAME}`, or
`{secret: true}` to keep the value that the deployment has. Every mistake is told with its file, line and field.
"""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from pydantic import JsonValue

from cli.errors import BadInput
from shared.catalogue import unmask
from shared.definitions import KINDS, Kind
from shared.provided import lacking
from shared.rule_faults import faults_of
from shared.triggers import Trigger
from shared.validation import Fault, check, dotted, marks_of, mismatches, references_of, secrets_of

_VARIABLE = re.compile(r"\$*\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_DEEPEST = 50


@dataclass(frozen=True)
class Document:
    """One definition of a file. `body` may hold secrets, so a `repr` does not show it."""

    kind: Kind
    name: str
    body: dict[str, JsonValue] = field(repr=False)
    path: Path
    node: yaml.Node = field(repr=False)

    @property
    def label(self) -> str:
        """`trigger/abandoned_cart`."""
        return f"{self.kind}/{self.name}"

    def mistake(self, fault: tuple[str, str]) -> str:
        """File, line and field of a fault, and what was expected there."""
        return f"{self.path}:{_line(self.node, fault[0])}: {fault[0]}: expected {fault[1]}"


class _Loader(yaml.SafeLoader):
    """Dates stay text, as JSON has none; a key that is there twice is refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        """Raises ConstructorError at the second of two equal keys."""
        keys = [key.value for key, _ in node.value]
        for index, key in enumerate(keys):
            if key in keys[:index]:
                raise yaml.constructor.ConstructorError(None, None, f"{key} is here twice", node.value[index][0].start_mark)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(paths: Iterable[Path], environ: Mapping[str, str] = os.environ) -> list[Document]:
    """All definitions of these files and directories, in the order in which they can be applied.

    Raises BadInput with every mistake, a line each, if anything is wrong with any of them.
    """
    mistakes: list[str] = []
    documents = [document for path in _files(paths) for document in _documents(path, environ, mistakes)]
    seen: dict[str, Document] = {}
    for document in documents:
        if other := seen.get(document.label):
            mistakes.append(document.mistake(("name", f"a name of its own: {other.path} has a {document.label} as well")))
        seen[document.label] = document
    if not mistakes:
        mistakes += [document.mistake(fault) for document in documents for fault in _among(document, seen)]
    if mistakes:
        raise BadInput("\n".join(mistakes))
    order = list(KINDS)
    return _referred_first(sorted(documents, key=lambda document: order.index(document.kind)), seen)


def _among(document: Document, seen: Mapping[str, Document]) -> list[Fault]:
    """Where a definition does not go with the others of the files."""

    def find(kind: Kind, name: str) -> Mapping[str, JsonValue] | None:
        return _body(seen.get(f"{kind}/{name}"))

    faults = mismatches(document.kind, document.body, find)
    return faults or (lacking(document.body, find) if document.kind == "trigger" else [])


def _body(document: Document | None) -> Mapping[str, JsonValue] | None:
    return document.body if document else None


def _referred_first(documents: list[Document], labelled: Mapping[str, Document]) -> list[Document]:
    """Each after those that it refers to, where they do not refer to each other."""
    placed: dict[str, Document] = {}

    def place(document: Document, waiting: tuple[str, ...] = ()) -> None:
        if document.label in placed or document.label in waiting:
            return
        for _, kind, name in references_of(document.kind, document.body):
            if other := labelled.get(f"{kind}/{name}"):
                place(other, (*waiting, document.label))
        placed[document.label] = document

    for document in documents:
        place(document)
    return [*placed.values()]


def read_value(path: Path) -> JsonValue:
    """A mapping of a YAML or JSON file, as it is. Raises BadInput."""
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506  # it is a SafeLoader
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError, TypeError):
        raise BadInput(f"{path}: the file must be YAML or JSON, in UTF-8") from None
    filling = _Filling({}, literal=True)
    body = filling.fill(value, "", 0)
    for place, expected in filling.faults:
        raise BadInput(f"{path}: {place}: expected {expected}")
    if not isinstance(body, dict):
        raise BadInput(f"{path}: expected a mapping")
    return body


def _files(paths: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(one for one in path.rglob("*") if one.suffix in (".yaml", ".yml") and one.is_file())
            if not inside:
                raise BadInput(f"{path}: there are no .yaml files here")
            found += inside
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def _documents(path: Path, environ: Mapping[str, str], mistakes: list[str]) -> Iterable[Document]:
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError):
        raise BadInput(f"{path}: the file must be text in UTF-8, without control characters") from None
    try:
        while loader.check_node():
            node = loader.get_node()
            value = loader.construct_document(node) if node else None
            if node and value is not None:
                yield from _document(path, node, value, environ, mistakes)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        mistakes.append(f"{path}:{line}: the file must be YAML: {error.problem}")
    except (ValueError, RecursionError, TypeError):
        mistakes.append(f"{path}:{loader.line + 1}: the file must be plain YAML, not nested too deep")
    finally:
        loader.dispose()


def _document(path: Path, node: yaml.Node, value: object, environ: Mapping[str, str], mistakes: list[str]) -> Iterable[Document]:
    filling = _Filling(environ)
    body = filling.fill(value, "", 0)
    kind = body.pop("kind", None) if isinstance(body, dict) else None
    name = body.get("name") if isinstance(body, dict) else None
    if not isinstance(body, dict) or kind not in KINDS or not isinstance(name, str):
        wrong = ("name", "a name") if kind in KINDS else ("kind", f"one of {', '.join(KINDS)}")
        mistakes.append(f"{path}:{_line(node, wrong[0])}: {wrong[0]}: expected {wrong[1]}")
        return
    document = Document(kind, name, body, path, node)
    faults = filling.faults or _faults(document, filling.secrets)
    mistakes += [document.mistake(fault) for fault in faults]
    yield document


def _faults(document: Document, from_environment: list[str]) -> list[Fault]:
    """What is wrong with a definition by itself; secrets that are kept are taken to be right."""
    marks = marks_of(document.body)
    definition, faults = check(document.kind, unmask(document.body, dict.fromkeys(marks, "kept")))
    if definition is None:
        return faults
    faults += faults_of(definition) if isinstance(definition, Trigger) else []
    places = secrets_of(definition).keys()
    faults += [Fault(dotted(path), "a value: this is no secret") for path in marks if path not in places]
    faults += [
        Fault(dotted(path), "a text: {env: …} is for secrets, use ${…} here") for path in from_environment if path not in places
    ]
    return faults


def escaped(value: JsonValue) -> JsonValue:
    """The value as a file has to say it, so that nothing in it is taken for a variable."""
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: "$" + found[0], value)
    if isinstance(value, dict):
        return {key: escaped(item) for key, item in value.items()}
    return [escaped(item) for item in value] if isinstance(value, list) else value


class _Filling:
    """Replaces variables by their values, and notes what is missing and where secrets were put; `literal` leaves all as it is."""

    def __init__(self, environ: Mapping[str, str], *, literal: bool = False) -> None:
        self._environ, self._literal = environ, literal
        self.faults: list[Fault] = []
        self.secrets: list[str] = []

    def fill(self, value: object, path: str, depth: int) -> JsonValue:
        """The value at this path, with variables and secrets in place."""
        if depth > _DEEPEST:
            self.faults.append(Fault(dotted(path)[:200], f"at most {_DEEPEST} levels"))
            return None
        if isinstance(value, str):
            return value if self._literal else _VARIABLE.sub(lambda found: self._text(found, path), value)
        if isinstance(value, dict):
            return self._mapping(value, path, depth)
        if isinstance(value, list):
            return [self.fill(item, f"{path}/{index}", depth + 1) for index, item in enumerate(value)]
        if value is None or isinstance(value, bool | int | float):
            return value
        self.faults.append(Fault(dotted(path), "a text, number, list or mapping: put it in quotes"))
        return None

    def _mapping(self, value: dict[object, object], path: str, depth: int) -> JsonValue:
        name = value.get("env")
        if len(value) == 1 and isinstance(name, str) and not self._literal:
            self.secrets.append(path)
            return self._variable(name, path)
        for key in value:
            if not isinstance(key, str):
                self.faults.append(Fault(dotted(f"{path}/{key}"), "a key that is text: put it in quotes"))
        return {str(key): self.fill(item, f"{path}/{key}", depth + 1) for key, item in value.items()}

    def _text(self, found: re.Match[str], path: str) -> str:
        return found[0][1:] if found[0].startswith("$$") else self._variable(found[1], path)

    def _variable(self, name: str, path: str) -> str:
        if name not in self._environ:
            self.faults.append(Fault(dotted(path), f"the environment variable {name}, which is not set"))
        return self._environ.get(name, "")


def _line(node: yaml.Node, name: str) -> int:
    """The line of a field, or of the innermost thing around it that is there."""
    line: int = node.start_mark.line + 1
    steps = name.split(".") if name else []
    while steps:
        for length in range(len(steps), 0, -1):
            inner = _inner(node, ".".join(steps[:length]))
            if inner is not None:
                break
        else:
            return line
        key, node = inner
        line, steps = key.start_mark.line + 1, steps[length:]
    return line


def _inner(node: yaml.Node, step: str) -> tuple[yaml.Node, yaml.Node] | None:
    """What is under a key or list position: where it begins, and the value."""
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
        return node.value[int(step)], node.value[int(step)]
    return None
