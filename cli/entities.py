"""`entities`: rows of custom entities, such as products and stores, which messages look up. Each is kept until it is deleted."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from pydantic import JsonValue, ValidationError

from cli.api import Answer
from cli.command import api_of, common_options, say
from cli.errors import BadInput
from shared.entities import EntityRow
from shared.problem import first_problem
from shared.runs import in_runs

_MOST_ROWS = 500
_LARGEST = 900_000
"""Bytes of one request: the API takes 1 MB."""

_MOST_FAULTS = 20

_WHOLE = {"entity", "key", "attributes", "changed_at"}
"""What a row has that says itself which of its fields are attributes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds `put`, `get` and `delete`."""
    actions = parser.add_subparsers(required=True, metavar="ACTION", dest="do")
    common = [common_options()]
    put = actions.add_parser(
        "put", parents=common, help="write the rows of a file over what is there; none, if one of them is wrong"
    )
    put.add_argument("entity", help="as in a trigger's lookups: products, stores, …")
    put.add_argument("-f", "--file", type=Path, required=True, metavar="FILE", help="JSON lines (.jsonl), or .csv with a header")
    put.add_argument("--key", default="key", metavar="NAME", help="the field that is the key of a row (key)")
    for name, text in (("get", "show a row"), ("delete", "delete a row")):
        one = actions.add_parser(name, parents=common, help=text)
        one.add_argument("entity")
        one.add_argument("key")


def run(options: argparse.Namespace) -> int:
    """Does it. Raises CommandError."""
    act = {"put": _put, "get": _get, "delete": _delete}[options.do]
    return act(options)


def _get(options: argparse.Namespace) -> int:
    row = api_of(options).get("entities", options.entity, options.key)
    say(options, row, [json.dumps(row["attributes"], ensure_ascii=False, indent=2), f"put at {row['changed_at']}"])
    return 0


def _delete(options: argparse.Namespace) -> int:
    answer = api_of(options).delete("entities", options.entity, options.key)
    say(options, answer, [f"{options.entity}: {options.key} is deleted."])
    return 0


def _put(options: argparse.Namespace) -> int:
    rows = _read(options.file, options.entity, options.key)
    api, done = api_of(options), 0
    for some in _in_parts(rows):
        api.post("entities", options.entity, body=[row.model_dump(mode="json") for row in some])
        done += len(some)
    answer: Answer = {"entity": options.entity, "put": done}
    say(options, answer, [f"{options.entity}: {'1 row is' if done == 1 else f'{done} rows are'} put."])
    return 0


def _read(path: Path, entity: str, key: str) -> list[EntityRow]:
    """All rows of a file. Raises BadInput that names the lines that are wrong."""
    faults: list[str] = []
    rows: dict[str, EntityRow] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for line, fields in _lines(path, file):
                try:
                    row = _row(fields, entity, key)
                except ValueError as error:
                    faults.append(f"line {line}: {_said(error)}")
                    continue
                if row.key in rows:
                    faults.append(f"line {line}: {key}: another one than in a line before")
                rows[row.key] = row
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} cannot be read: it must be UTF-8.") from None
    except csv.Error as error:
        raise BadInput(f"{path} cannot be read: {error}.") from None
    if faults:
        more = [f"and {len(faults) - _MOST_FAULTS} more"] if len(faults) > _MOST_FAULTS else []
        raise BadInput("\n".join([f"{path}: nothing was put, as these lines are wrong:", *faults[:_MOST_FAULTS], *more]))
    if not rows:
        raise BadInput(f"{path} has no rows.")
    return [*rows.values()]


def _said(error: ValueError) -> str:
    return first_problem(error) if isinstance(error, ValidationError) else str(error)


def _lines(path: Path, file: TextIO) -> Iterator[tuple[int, JsonValue]]:
    """The rows, of JSON lines as they are, with the numbers of their lines."""
    if path.suffix == ".csv":
        reader = csv.DictReader(file, strict=True)
        for fields in reader:
            yield reader.line_num, {name: text for name, text in fields.items() if name and text}
        return
    for number, line in enumerate(file, 1):
        if line.strip():
            yield number, line


def _row(fields: JsonValue, entity: str, key: str) -> EntityRow:
    """A row; also one as `get --json` shows it, and `simulate` reads. A number is a key as well as a text. Raises ValueError."""
    known: JsonValue = json.loads(fields) if isinstance(fields, str) else fields
    if not isinstance(known, dict):
        raise ValueError("expected a JSON object")
    attributes = known.get("attributes")
    if not isinstance(attributes, dict) or not known.keys() <= _WHOLE:
        attributes = {name: value for name, value in known.items() if name != key}
    else:
        key = "key"
        if known.get("entity", entity) != entity:
            raise ValueError(f"entity: expected {entity}, or none")
    if key not in known:
        raise ValueError(f"{key}: a value, as it is the row's key")
    value = known[key]
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return EntityRow.model_validate({"key": text, "attributes": attributes})


def _in_parts(rows: Iterable[EntityRow]) -> Iterator[Sequence[EntityRow]]:
    """The rows in as few requests as they fit into."""
    return in_runs(rows, lambda row: len(row.model_dump_json().encode()) + 2, most=_MOST_ROWS, largest=_LARGEST)
