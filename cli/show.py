"""What the deployment says, for people to read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import JsonValue

_COLUMNS = ("status", "trigger", "integration", "campaign", "delivery", "visit_id", "profile_id", "attempts", "esp_message_id")


def trace(message: dict[str, Any]) -> Iterator[str]:
    """A message and its timeline: time, where, what, why, and the figures."""
    yield f"{message['message_id']}  {message['status']}"
    about = ((name, message.get(name)) for name in _COLUMNS[1:])
    yield "  " + "  ".join(f"{name}={value}" for name, value in about if value not in (None, "", 0))
    hops = sorted(message["trace"], key=lambda hop: str(hop["at"]))
    where = max((len(hop["hop"]) for hop in hops), default=0)
    what = max((len(hop["what"]) for hop in hops), default=0)
    for hop in hops:
        yield f"  {hop['at']}  {hop['hop']:<{where}}  {hop['what']:<{what}}  {_why(hop)}".rstrip()


def _why(hop: dict[str, Any]) -> str:
    figures = " ".join(f"{key}={_short(value)}" for key, value in (hop.get("data") or {}).items())
    return "  ".join(part for part in (hop.get("reason", ""), f"({figures})" if figures else "") if part)


def _short(value: JsonValue) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def traces(messages: list[dict[str, Any]]) -> Iterator[str]:
    """The messages of a visitor."""
    if not messages:
        yield "No message was decided for this visitor: no trigger has matched, or its wait is not over yet."
    for message in messages:
        yield from trace(message)


def parked(items: list[dict[str, Any]]) -> Iterator[str]:
    """Parked items, a few lines each."""
    if not items:
        yield "Nothing is parked."
    for item in items:
        yield f"{item['queue']}  {item['id']}  {item['parked_at'] or item['sent_at']}  received {item['receives']} times"
        yield f"  why   {item['reason']}"
        yield f"  body  {item['body']}{' … (cut)' if item['cut'] else ''}"


def redriven(answer: dict[str, Any]) -> Iterator[str]:
    """What a redrive did."""
    yield f"{answer['queue']}: {answer['redriven']} sent back, {answer['left']} still parked."
    if answer["missing"]:
        yield f"Not found among the parked items: {', '.join(answer['missing'])}"


def checks(found: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The doctor's findings, what is wrong last, where it is seen."""
    for check in sorted(found, key=lambda check: not check["ok"]):
        detail = f": {check['detail']}" if check["detail"] else ""
        yield f"{'ok   ' if check['ok'] else 'WRONG'}  {check['check']:<14}  {check['subject']}{detail}"
