"""Browsers that post by themselves: which sites may (CORS), and what they are told.

`navigator.sendBeacon` and requests with the content type text/plain are posted without being asked for (no preflight), so the
origin is looked at again when a post comes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from connectors.base import Post
from connectors.trackers.base import Reply, TrackerFormat
from shared.errors import BadRequest
from shared.trackers import Tracker

_ASKED = "access-control-request-method"
_NAMES = re.compile(r"[A-Za-z0-9-]+(, ?[A-Za-z0-9-]+){0,30}")
_KEPT = "7200"
"""Seconds for which a browser need not ask again: what Chromium keeps at most."""


def cors(tracker: Tracker, headers: Mapping[str, str]) -> dict[str, str]:
    """The headers by which a browser lets its page see the answer, whatever the answer is. None for a site that is not listed."""
    if not tracker.origins:
        return {}
    listed = _listed(tracker, headers.get("origin", ""))
    if not listed:
        return {"vary": "origin"}
    # Snowplow's tracker, for one, asks with credentials, for which the answer must name the origin.
    credentials = {"access-control-allow-credentials": "true"} if listed != "*" else {}
    return {"vary": "origin", "access-control-allow-origin": listed, **credentials}


def preflight(tracker: Tracker, connector: TrackerFormat, post: Post) -> Reply | None:
    """The answer to a browser's question whether a page may post; None if that is not what is asked."""
    if post.method != "OPTIONS" or _ASKED not in post.headers:
        return None
    if not _listed(tracker, post.headers.get("origin", "")):
        raise BadRequest("this site may not post here: it is not in the tracker's origins", field="origin", status=403)
    asked = post.headers.get("access-control-request-headers", "")
    names = {"access-control-allow-headers": asked} if _NAMES.fullmatch(asked) else {}
    methods = ", ".join(connector.methods)
    return Reply(204, headers={"access-control-allow-methods": methods, "access-control-max-age": _KEPT, **names})


def check_origin(tracker: Tracker, post: Post) -> None:
    """Raises BadRequest (403) for a page of a site that is not listed, if all that proves who posts is a write key: no secret."""
    origin = post.headers.get("origin", "")
    if tracker.proof == "write_key" and origin and not _listed(tracker, origin):
        raise BadRequest("this site may not post here: it is not in the tracker's origins", field="origin", status=403)


def _listed(tracker: Tracker, origin: str) -> str:
    """The origin if it is listed by name, `*` if all are, else nothing."""
    if origin and origin.lower() in tracker.origins:
        return origin
    return "*" if "*" in tracker.origins else ""
