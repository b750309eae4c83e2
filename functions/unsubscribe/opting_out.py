"""A request to unsubscribe. The link says who, and from what; its signature, that we said so to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from shared.clock import Clock
from shared.ids import engagement_id
from shared.jobs import Engagement, EngagementsJob
from shared.ledger import Ledger
from shared.ledger_rows import Message
from shared.links import Links, unsubscription
from shared.person import ADDRESS_OF, Suppression
from shared.profiles import Profiles
from shared.queues import Queue
from unsubscribe.page import NOT_FOUND, confirmation, page, question


@dataclass(frozen=True)
class Desk:
    """What opting out needs."""

    links: Links
    profiles: Profiles
    ledger: Ledger
    engagements: Queue
    clock: Clock


@dataclass(frozen=True)
class _Link:
    message_id: str
    profile_id: str
    channel: str


def answer(event: dict[str, object], desk: Desk) -> dict[str, object]:
    """The answer to a request (API Gateway payload 2.0).

    A POST unsubscribes, whatever its body says: mail programs post `List-Unsubscribe=One-Click` (RFC 8058), and nobody else posts
    here but by the page's button. A GET only shows that: programs that look through mail follow its links.
    """
    link = _link(event, desk.links)
    if link is None:
        return page(404, NOT_FOUND)
    if _method(event) != "POST":
        return question(link.channel)
    _opt_out(link, desk)
    return confirmation(link.channel)


def _link(event: dict[str, object], links: Links) -> _Link | None:
    """What the link says, if it is one of ours."""
    given = cast("Mapping[str, str]", event.get("pathParameters") or {})
    link = _Link(given.get("message_id", ""), given.get("profile_id", ""), given.get("channel", ""))
    parts = (link.message_id, link.profile_id, link.channel)
    signed = links.valid("unsubscribe", unsubscription(*parts), given.get("signature", ""))
    return link if signed and link.channel in ADDRESS_OF and not any("/" in part for part in parts) else None


def _method(event: dict[str, object]) -> str:
    context = cast("Mapping[str, Mapping[str, str]]", event.get("requestContext") or {})
    return context.get("http", {}).get("method", "")


def _opt_out(link: _Link, desk: Desk) -> None:
    """Told first: what is on the queue opts the person out too, should nothing more come of this. If it fails, all the same."""
    message = desk.ledger.read(link.message_id)
    try:
        _tell(message, desk)
    except Exception:
        _stop(link, message, desk)
        raise
    _stop(link, message, desk)


def _stop(link: _Link, message: Message | None, desk: Desk) -> None:
    """The address is the one that the message went to; if the ledger has forgotten, the one that the person has now."""
    channel, _, address = message.claim.sent_to.partition("#") if message else ("", "", "")
    known = address if channel == link.channel else ""
    reason = Suppression(link.channel, "unsubscribed", "unsubscribed", desk.clock(), "unsubscribe link", known)
    desk.profiles.suppress(link.profile_id, reason)


def _tell(message: Message | None, desk: Desk) -> None:
    """Has the ledger and the CRM know, once for each message. Nothing is to be told of one that the ledger has forgotten."""
    known = engagement_id(message.id, "unsubscribed") if message else ""
    if message is None or known in message.engagements:
        return
    now = desk.clock()
    engagement = Engagement(
        id=known,
        message_id=message.id,
        integration=message.integration,
        type="unsubscribed",
        at=now,
        received_at=now,
    )
    desk.engagements.send(EngagementsJob(engagements=(engagement,)))
