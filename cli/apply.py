"""`apply`, `check`, `diff` and `export`: definitions between YAML files and a deployment."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import yaml
from pydantic import JsonValue

from cli import show_life
from cli.api import Answer, Api
from cli.command import Command, api_of, say, wants_json
from cli.errors import BadInput, CommandError, Refused
from cli.files import Document, escaped, read
from cli.naming import named
from shared.definitions import KINDS
from shared.validation import references_of

_NOTHING = {
    "integration": "nothing is sent by it",
    "template": "nothing is sent with it",
    "trigger": "it does not fire",
}
_PROVING = {
    "integration": ("tested and published", "sendbridge test {} --to ADDRESS --publish"),
    "template": ("proven and published, with a trigger", "sendbridge proof TRIGGER --to ADDRESS --publish"),
    "trigger": ("proven and published", "sendbridge proof {} --to ADDRESS --publish"),
}


@dataclass(frozen=True)
class Result:
    """What applying a definition did, or would do."""

    document: Document
    created: bool
    changed: tuple[str, ...]
    version: int
    published: int | None
    """The version that is in force; of what needs no publishing, always this one."""
    tested: bool
    """Whether it may be published as it is."""

    @property
    def what(self) -> str:
        """`created`, `changed` or `unchanged`."""
        if self.created:
            return "created"
        return "changed" if self.changed else "unchanged"

    def line(self) -> str:
        """For people."""
        fields = f": {', '.join(self.changed)}" if self.what == "changed" else ""
        return f"{self.what:<9}  {self.document.label}{fields}"

    @property
    def note(self) -> str:
        """What is still to be done; empty if nothing is."""
        if self.published == self.version:
            return ""
        document = self.document
        now = f"version {self.published} stays in force" if self.published else _NOTHING[document.kind]
        if self.tested:
            until, how = "published", f"sendbridge publish {document.label}"
        else:
            until, how = _PROVING[document.kind]
        return f"draft      {document.label}: {now} until version {self.version} is {until}: `{how.format(document.name)}`"

    def as_json(self) -> Answer:
        """For programs."""
        document = self.document
        return {
            "kind": document.kind,
            "name": document.name,
            "what": self.what,
            "version": self.version,
            "changed": [*self.changed],
            "published": self.published,
        }


def diff(api: Api, documents: list[Document]) -> list[Result]:
    """What applying would do. Raises BadInput with every mistake that the deployment finds, a line each."""
    together = _together(documents)
    mistakes: list[str] = []
    results = []
    for document in documents:
        try:
            results.append(_put(api, document, {"dry_run": "true", **together[document.label]}))
        except Refused as error:
            mistakes += _mistakes(document, error)
    if mistakes:
        raise BadInput("\n".join(mistakes))
    return results


def _together(documents: list[Document]) -> dict[str, dict[str, str]]:
    """For each definition, which others of the files it refers to, or refer to it: they are judged together, not one by one."""
    labels = {document.label for document in documents}
    found: dict[str, set[str]] = {label: set() for label in labels}
    for document in documents:
        for _, kind, name in references_of(document.kind, document.body):
            other = f"{kind}/{name}"
            if other in labels:
                found[document.label].add(other)
                found[other].add(document.label)
    return {label: {"assuming": ",".join(sorted(others))} if others else {} for label, others in found.items()}


def apply(api: Api, documents: list[Document]) -> Iterator[Result]:
    """Applies what differs, one after the other, having had the deployment check all of them first."""
    results, together = diff(api, documents), _together(documents)
    absent = {result.document.label for result in results if result.created}
    waiting = []
    for planned in results:
        document = planned.document
        if planned.what == "unchanged":
            yield planned
        elif f"integration/{document.body.get('failover')}" in absent:
            # Two integrations that stand in for each other: one of them has to be there first.
            _put(api, replace(document, body={**document.body, "failover": ""}), together[document.label])
            waiting.append(planned)
        else:
            yield _put(api, document, together[document.label])
        absent.discard(document.label)
    for planned in waiting:
        yield replace(_put(api, planned.document, {}), created=planned.created, changed=planned.changed)


def _put(api: Api, document: Document, query: dict[str, str]) -> Result:
    answer = api.put("definitions", document.kind, document.name, body=document.body, **query)
    changed = tuple(cast("list[str]", answer["changed"]))
    version = cast("int", answer["version"])
    published = cast("int | None", answer.get("published", version))
    return Result(document, bool(answer["created"]), changed, version, published, bool(answer.get("tested", True)))


def _mistakes(document: Document, error: Refused) -> Iterable[str]:
    if not error.faults:
        return [f"{document.path}: {document.label}: {error}"]
    return [document.mistake(fault) for fault in error.faults]


def export(api: Api) -> Iterator[tuple[str, str, str]]:
    """Every definition as kind, name and the YAML that `apply` takes back; secrets are `{secret: true}`."""
    listed = cast("list[dict[str, str]]", api.get("definitions")["definitions"])
    for row in sorted(listed, key=lambda row: (list(KINDS).index(row["kind"]), row["name"])):  # type: ignore[arg-type]
        found = api.get("definitions", row["kind"], row["name"])
        definition = cast("dict[str, JsonValue]", found["definition"])
        head: dict[str, JsonValue] = {"kind": row["kind"], "name": row["name"]}
        yield row["kind"], row["name"], as_yaml({**head, **cast("dict[str, JsonValue]", escaped(definition))})


def write_export(api: Api, directory: Path) -> list[Path]:
    """Writes each definition to `kind/name.yaml` below a directory; the paths written."""
    written = []
    for kind, name, text in export(api):
        path = directory / kind / f"{name}.yaml"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}") from None
        written.append(path)
    return written


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, as a person would write them."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def as_yaml(value: JsonValue) -> str:
    """Block style, keys in their own order, nothing folded."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


def _files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--file", dest="files", nargs="+", type=Path, required=True, metavar="DIR|FILE")


def _apply(options: argparse.Namespace) -> int:
    documents = read(options.files)
    done, notes = [], []
    for result in apply(api_of(options), documents):
        done.append(result.as_json())
        notes += [result.note] if result.note else []
        if not wants_json(options):
            print(result.line(), flush=True)
    say(options, done, notes)
    return 0


APPLY = Command(_files, _apply)


def _check(options: argparse.Namespace) -> int:
    documents = read(options.files)
    results = diff(api_of(options), documents)
    said = f"{len(documents)} definition{'s' if len(documents) != 1 else ''}: nothing is wrong with them."
    say(options, [result.as_json() for result in results], [said])
    return 0


CHECK = Command(_files, _check)


def _diff_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="[KIND/]NAME", help="two versions of this definition")
    parser.add_argument("--from", dest="older", type=int, metavar="N", help="the older one (what is in force, or came before)")
    parser.add_argument("--to", dest="newer", type=int, metavar="M", help="the newer one (the newest)")
    parser.add_argument(
        "-f", "--file", dest="files", nargs="+", type=Path, metavar="DIR|FILE", help="instead: what apply would change"
    )


def _diff(options: argparse.Namespace) -> int:
    versions = options.older is not None or options.newer is not None
    if bool(options.name) == bool(options.files) or (options.files and versions):
        raise BadInput("diff: give files with -f, or the name of a definition, with --from and --to if you like.")
    if options.name:
        return _diff_versions(options)
    documents = read(options.files)
    results = diff(api_of(options), documents)
    say(options, [result.as_json() for result in results], (result.line() for result in results))
    return int(any(result.what != "unchanged" for result in results))


def _diff_versions(options: argparse.Namespace) -> int:
    api = api_of(options)
    kind, name = named(api, options.name)
    query = {"from": options.older, "to": options.newer}
    answer = api.get("definitions", kind, name, "diff", **{key: str(value) for key, value in query.items() if value is not None})
    say(options, answer, show_life.differences(answer))
    return int(bool(answer["changes"]))


DIFF = Command(_diff_arguments, _diff)


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="a file each, instead of all on stdout")


def _export(options: argparse.Namespace) -> int:
    api = api_of(options)
    if options.output:
        written = write_export(api, options.output)
        say(options, [*map(str, written)], map(str, written))
        return 0
    texts = [text for _, _, text in export(api)]
    say(options, {"yaml": "---\n".join(texts)}, ["---\n".join(texts).rstrip("\n")])
    return 0


EXPORT = Command(_export_arguments, _export)
