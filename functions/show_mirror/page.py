"""The mirror page: what was sent, to whoever has its link, and to nobody's search index."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from shared.clock import Clock
from shared.ledger import Ledger
from shared.ledger_rows import Message
from shared.links import Links
from shared.mirrors import Mirrors

# The HTML was made from templates and from what visitors did. It may be looked at and its links followed; nothing in it runs,
# sends a form, or sees where it is.
_POLICY = (
    "default-src 'none'; img-src https: data:; style-src 'unsafe-inline' https:; font-src https: data:;"
    " form-action 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox allow-popups allow-popups-to-escape-sandbox"
)

_HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": _POLICY,
    "cache-control": "private, no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex, nofollow",
}

_PAGE = '<!doctype html><html lang="en"><title>{0}</title><p>{0}</p></html>'


_TEXT = '<!doctype html><html><meta name="viewport" content="width=device-width"><p style="white-space:pre-wrap">{0}</p></html>'


@dataclass(frozen=True)
class Gallery:
    """What showing needs. A message can be looked at for `valid_for` after it was sent: the bucket forgets some time later."""

    links: Links
    ledger: Ledger
    mirrors: Mirrors
    valid_for: timedelta
    clock: Clock


def show(event: dict[str, object], gallery: Gallery) -> dict[str, object]:
    """The answer to a request (API Gateway payload 2.0): the page; 404 for a link that is not ours, 410 once it has expired."""
    parameters = cast("Mapping[str, str]", event.get("pathParameters") or {})
    message_id, signature = parameters.get("message_id", ""), parameters.get("signature", "")
    if not gallery.links.valid("mirror", message_id, signature):
        return _answer(404, _PAGE.format("There is no such page."))
    message = gallery.ledger.read(message_id)
    valid = message is not None and gallery.clock() < _sent_at(message) + gallery.valid_for
    content = gallery.mirrors.read(message.claim.kept) if message and valid else None
    if content is None:
        return _answer(410, _PAGE.format("This message can no longer be shown."))
    return _answer(200, content.html or _TEXT.format(html.escape(content.text)))


def _sent_at(message: Message) -> datetime:
    return next((hop.at for hop in reversed(message.trace) if hop.what == "sent"), message.created_at)


def _answer(status: int, page: str) -> dict[str, object]:
    return {"statusCode": status, "headers": _HEADERS, "body": page}
