"""What the deployment says, for people to read."""

from __future__ import annotations

import json
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
    if isinstance(value, list):
        return ",".join(map(_short, value))
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


def tested(answer: dict[str, Any]) -> Iterator[str]:
    """A test: what went out and came back, the variables, and what is to be made of it."""
    yield from calls(answer["calls"])
    yield from variables(answer["variables"])
    yield f"{_subject(answer)}: {conclusion(answer['conclusion'])}"
    if "published" in answer:
        yield f"{answer['integration']}: version {answer['published']} is in force."
    elif answer["proven"]:
        yield f"It is tested now: `sendbridge publish integration/{answer['integration']}` puts it in force."


def previewed(answer: dict[str, Any]) -> Iterator[str]:
    """A preview: what would go out, and the variables."""
    if answer["request"] is not None:
        yield from _request(answer["request"])
        yield ""
    yield from variables(answer["variables"])
    yield f"{_subject(answer)}: {answer['error'] or 'nothing was sent, this is what would be'}"


def _subject(answer: dict[str, Any]) -> str:
    version = f"version {answer['version']}" if answer["version"] else "not saved yet"
    return f"{answer['integration']}, {version}"


def calls(made: list[dict[str, Any]]) -> Iterator[str]:
    """What went out and what came back."""
    for call in made:
        yield from _request(call["request"])
        yield from _response(call)
        yield ""


def conclusion(said: dict[str, Any]) -> str:
    """What is to be made of an answer."""
    what = {
        "sent": f"sent, as {said['esp_message_id']}",
        "retry": "not sent; a message would be tried again",
        "unknown": "nobody can say whether it was sent",
        "park": "refused; a message would be parked",
        "misconfigured": "misconfigured; messages would wait until it is mended",
    }[said["outcome"]]
    after = f" after {said['retry_after_seconds']:g} s" if "retry_after_seconds" in said else ""
    return f"{what}{after}" + (f": {said['reason']}" if said["reason"] else "")


def _request(request: dict[str, Any]) -> Iterator[str]:
    yield f"> {request['method']} {request['url']}"
    yield from _rest(">", request)


def _response(call: dict[str, Any]) -> Iterator[str]:
    response = call["response"]
    if response is None:
        yield f"< nothing, after {call['milliseconds']} ms: {call['failure']}"
        return
    yield f"< {response['status']}, after {call['milliseconds']} ms"
    yield from _rest("<", response)


def _rest(mark: str, message: dict[str, Any]) -> Iterator[str]:
    """Headers and body, as far as they are shown."""
    yield from (f"{mark} {name}: {value}" for name, value in message["headers"].items())
    if message["body"]:
        yield mark
        yield from (f"{mark} {line}" for line in message["body"].splitlines())
    if message["cut"]:
        yield f"{mark} … (cut: {message['bytes']} bytes)"


def variables(lines: list[dict[str, Any]]) -> Iterator[str]:
    """Each with where it comes from and its value."""
    name = max((len(line["name"]) for line in lines), default=0)
    source = max((len(line["source"]) for line in lines), default=0)
    for line in lines:
        value = "" if line["value"] is None else json.dumps(line["value"], ensure_ascii=False)
        yield f"  {line['name']:<{name}}  {line['source']:<{source}}  {value[:80]}".rstrip()


def suppressions(address: str, found: list[dict[str, Any]]) -> Iterator[str]:
    """Why an address gets nothing."""
    if not found:
        yield f"{address}: nothing keeps it from getting messages."
    for one in found:
        yield f"{address}: {one['cause']} on {one['at']}, {one['reason'] or 'without a reason'} (said by {one['source']})"
