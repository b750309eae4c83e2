"""The inbox as a person reads it."""

from html import escape
from typing import TYPE_CHECKING

from tests.sandbox.clock import iso

if TYPE_CHECKING:
    from tests.sandbox.esp_events import Accepted

STYLE = (
    "<meta charset=utf-8><style>body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ddd;padding:.4rem .6rem;text-align:left;"
    "vertical-align:top}iframe{width:100%;height:32rem;border:1px solid #ddd}code{color:#666}</style>"
)


def inbox_page(messages: "list[Accepted]") -> str:
    """Every message Postbird took, newest first."""
    rows = "".join(_row(m) for m in reversed(messages)) or "<tr><td colspan=4>Nothing yet.</td></tr>"
    return (
        f"<!doctype html>{STYLE}<title>Postbird inbox</title><h1>Inbox: {len(messages)} messages</h1>"
        f"<table><tr><th>taken<th>to<th>subject<th>what became of it</tr>{rows}</table>"
    )


def message_page(accepted: "Accepted") -> str:
    """One message as its reader sees it, in a frame without scripts, and the facts about it."""
    message = accepted.message
    facts = {
        "from": f"{message.sender.name} <{message.sender.email}>",
        "to": f"{message.to.name} <{message.to.email}>",
        "taken": iso(accepted.accepted),
        "id": accepted.id,
        "idempotency key": accepted.idempotency_key or "none",
        **{f"metadata {key}": value for key, value in message.metadata.items()},
        **{f"header {key}": value for key, value in message.headers.items()},
    }
    rows = "".join(f"<tr><th>{escape(name)}<td>{escape(value)}</tr>" for name, value in facts.items())
    return (
        f"<!doctype html>{STYLE}<title>{escape(message.subject)}</title><p><a href=/inbox>inbox</a>"
        f"<h1>{escape(message.subject)}</h1><table>{rows}</table><h2>HTML</h2>"
        f'<iframe sandbox srcdoc="{escape(message.html)}"></iframe>'
        f"<h2>Text</h2><pre>{escape(message.text)}</pre>"
    )


def _row(accepted: "Accepted") -> str:
    events = ", ".join(str(event["type"]).removeprefix("message.") for event in accepted.events)
    link = f'<a href="/inbox/{accepted.id}">{escape(accepted.message.subject)}</a>'
    return (
        f"<tr><td>{iso(accepted.accepted, 'seconds')}<td>{escape(accepted.message.to.email)}<td>{link}<td>{escape(events)}</tr>"
    )
