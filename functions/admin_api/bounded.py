"""Calls to vendors within the time that a caller of the admin API waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from shared.errors import Transient
from shared.exchange import Request, Response
from shared.tokens import Send


def until(send: Send, ends: float, monotonic: Callable[[], float], most: float = float("inf")) -> Send:
    """A `send` that never lasts beyond `ends`, nor longer than `most` seconds. Raises Transient once there is no time left."""

    def bounded(request: Request) -> Response:
        left = ends - monotonic()
        if left <= 0:
            raise Transient("no answer within the time for this")
        return send(replace(request, timeout=min(request.timeout, left, most)))

    return bounded
