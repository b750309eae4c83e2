"""The error tree: what became of an outside call, and what a caller did wrong.

Every outside call ends in success or in one of three outcomes. `outcome_of_status` is the only table from HTTP status to
outcome; a connector may override rows of it.
"""

from __future__ import annotations


class SendbridgeError(Exception):
    """Base of all errors raised on purpose. `reason` may be logged, parked and shown: it holds no secret and no address."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Transient(SendbridgeError):
    """May succeed later: retried after `retry_after` seconds if the vendor said so, else after a backoff."""

    def __init__(self, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Unknown(Transient):
    """The vendor may have acted on the request, or not: the connection broke, or the answer could not be read."""


class Busy(Transient):
    """Another of our own processes is doing it: nothing is wrong, look again soon."""


class Permanent(SendbridgeError):
    """Will not succeed by retrying: parked with its reason."""


class Misconfigured(SendbridgeError):
    """Nothing will succeed until a person changes something: the circuit opens and an alarm goes off."""


class Unauthorized(SendbridgeError):
    """The vendor refused our access token (401): one forced refresh, then `Misconfigured`."""


class BadRequest(SendbridgeError):
    """A caller's mistake: answered with problem JSON. `field` names where, `status` is the HTTP status.

    `faults` lists several mistakes at once: each a field and what was expected there. `headers` belong to the answer (`allow`
    with 405, `retry-after` with 429).
    """

    def __init__(
        self,
        reason: str,
        *,
        field: str | None = None,
        status: int = 400,
        faults: tuple[tuple[str, str], ...] = (),
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(reason)
        self.field = field
        self.status = status
        self.faults = faults
        self.headers = headers


_RETRYABLE = frozenset({408, 425, 429})


def outcome_of_status(status: int, reason: str, *, retry_after: float | None = None) -> SendbridgeError | None:
    """The outcome of a response with this HTTP status; None for success (2xx)."""
    if 200 <= status < 300:
        return None
    if status in _RETRYABLE or status >= 500:
        return Transient(reason, retry_after=retry_after)
    if status == 401:
        return Unauthorized(reason)
    if status in (403, 404, 405):
        return Misconfigured(reason)
    return Permanent(reason)
