"""Versions, differences, proofs and publications, for people to read."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any, cast

from cli import show

_LONGEST = 200
_DONE = {
    "publish": "version {published} is in force",
    "unpublish": "out of force; version {version} is a draft",
    "pause": "paused; its messages wait",
    "resume": "resumed; what waits and is still valid is sent",
}


def done(act: str, answer: dict[str, Any]) -> Iterator[str]:
    """What became of a definition."""
    yield f"{answer['kind']}/{answer['name']}: {_DONE[act].format(**answer)}."
    for other in answer.get("with", []):
        yield f"{other['kind']}/{other['name']}: version {other['version']} is in force with it."


def versions(answer: dict[str, Any]) -> Iterator[str]:
    """A line for each version, the newest first, and below it what was done with it."""
    for row in answer["versions"]:
        mark = "  in force" if row["version"] == answer["published"] else ""
        yield f"{row['version']:>4}  {row['updated_at']}  {row['updated_by'] or '?'}  {_what(row)}{mark}"
        for deed in row["deeds"]:
            yield f"      {deed['at']}  {deed['by'] or '?'}  {deed['what']}"


def _what(row: dict[str, Any]) -> str:
    if row.get("deleted"):
        return "deleted"
    fields = ", ".join(row["changed"])
    if "restored" in row:
        return f"rolled back to version {row['restored']}: {fields}"
    return f"changed {fields}" if fields else "put"


def differences(answer: dict[str, Any]) -> Iterator[str]:
    """Field by field; longer texts line by line."""
    older, newer = f"version {answer['from']}", f"version {answer['to']}"
    if not answer["changes"]:
        yield f"{answer['kind']}/{answer['name']}: {older} and {newer} are the same."
    for change in answer["changes"]:
        old, new = change["old"], change["new"]
        if isinstance(old, str) and isinstance(new, str) and "\n" in old + new:
            names = (f"{change['field']}, {older}", f"{change['field']}, {newer}")
            yield from difflib.unified_diff(old.splitlines(), new.splitlines(), *names, lineterm="")
        else:
            yield f"{change['field']}: {_short(old)} → {_short(new)}"


def _short(value: object) -> str:
    text = "nothing" if value is None else json.dumps(_said(value), ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _said(value: object) -> object:
    """Without what a rule or a condition does not ask."""
    if isinstance(value, dict):
        return {name: _said(inner) for name, inner in value.items() if inner is not None}
    return [_said(inner) for inner in value] if isinstance(value, list) else value


def rolled_back(answer: dict[str, Any], to: int) -> Iterator[str]:
    """What is the newest version then, and what is still to be done."""
    about = f"{answer['kind']}/{answer['name']}"
    if not answer["changed"]:
        yield f"{about}: version {answer['version']} has that content already."
        return
    yield f"{about}: version {answer['version']} has the content of version {to} again: {', '.join(answer['changed'])}"
    if answer.get("published", answer["version"]) == answer["version"]:
        yield "It is in force."
    elif answer["tested"]:
        yield f"It was proven: `sendbridge publish {about}` puts it in force."
    else:
        yield "It is a draft that nobody has tested or proven."


def proofs(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """A proof's messages."""
    return cast("list[dict[str, Any]]", answer["proofs"])


def is_sent(proof: dict[str, Any]) -> bool:
    """Whether one of them went out."""
    return bool(proof["conclusion"]["outcome"] == "sent")


def proven(answer: dict[str, Any]) -> Iterator[str]:
    """A proof: what went out and came back, the variables, what is to be made of it, and what is in force now."""
    for proof in proofs(answer):
        yield from show.calls(proof["calls"])
    yield from show.variables(answer["variables"])
    template = answer["template"]
    for proof in proofs(answer):
        yield f"{proof['to']}: {show.conclusion(proof['conclusion'])}"
    about = f"{answer['trigger']}, version {answer['version']}, with template {template['name']}, version {template['version']}"
    if "publication" in answer:
        yield f"{about}: proven."
        yield from done("publish", answer["publication"])
    elif answer["proven"]:
        yield f"{about}: proven; `sendbridge publish trigger/{answer['trigger']}` puts it in force."
    else:
        yield f"{about}: not proven."
