"""Whether a post comes from whom it should: the proofs that every format can be used with.

Everything is compared in constant time, and with each of a tracker's secrets, of which two may be valid at once.
"""

from __future__ import annotations

from pydantic import JsonValue

from connectors.base import Post
from connectors.bodies import parsed
from connectors.trackers.base import TrackerFormat
from shared.clock import Clock
from shared.errors import BadRequest
from shared.exchange import Exchange
from shared.signatures import basic_user, is_one_of, verify_authorization, verify_hmac, verify_standard_webhook
from shared.trackers import Tracker


def prove(connector: TrackerFormat, tracker: Tracker, post: Post, clock: Clock) -> Exchange[None] | None:
    """Returns if a post proves what the tracker asks for. Raises BadRequest (401) that says why it is refused.

    What it returns, if anything, is to be run: the format has to fetch something before it knows.
    """
    secrets = [secret.get_secret_value() for secret in tracker.secrets]
    if tracker.proof == "vendor":
        return connector.verify(tracker, post, clock)
    if tracker.proof == "standard_webhooks":
        verify_standard_webhook(post.headers, post.body, secrets, clock)
    elif tracker.proof == "hmac":
        verify_hmac(post.headers, post.body, secrets, tracker.hmac, clock)
    elif tracker.proof in ("basic", "bearer"):
        verify_authorization(post.headers, tracker.proof, secrets)
    elif tracker.proof != "none":
        _prove_key(connector, tracker, post, secrets)
    return None


def _prove_key(connector: TrackerFormat, tracker: Tracker, post: Post, secrets: list[str]) -> None:
    field, given = _key(connector, tracker, post)
    if not is_one_of(given.encode(errors="surrogatepass"), secrets):
        raise BadRequest(f"{field} must hold a key of this tracker", field=field, status=401)


def _key(connector: TrackerFormat, tracker: Tracker, post: Post) -> tuple[str, str]:
    """Where a post should have its key, and what it has there."""
    if tracker.proof == "header":
        return tracker.header.lower(), post.headers.get(tracker.header.lower(), "")
    if tracker.proof == "query":
        return tracker.parameter, post.query.get(tracker.parameter, "")
    name = connector.write_key
    return name, basic_user(post.headers) or post.query.get(name, "") or _in_body(post, name)


def _in_body(post: Post, name: str) -> str:
    try:
        body: JsonValue = parsed(post.body)
    except BadRequest:
        return ""  # who proves nothing is told no more than that
    found = body.get(name) if isinstance(body, dict) else None
    return found if isinstance(found, str) else ""
