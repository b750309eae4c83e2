"""What becomes of a message, by what its attempt came to.

`doubtful`: an earlier attempt may have gone out. `keyed`: the ESP takes the same bytes under the same key only once, and still
remembers the key.

| the attempt | doubtful | keyed | ledger | the job |
|---|---|---|---|---|
| taken | any | any | sent | done |
| refused | no, or keyed | any | parked | parked |
| refused | yes | no | parked, in doubt | parked |
| not taken | no | any | waiting | comes back, rendered anew |
| not taken | yes | any | unknown | comes back |
| misconfigured | no | any | waiting | comes back; the circuit is open |
| misconfigured | yes | any | unknown | comes back; the circuit is open |
| nobody knows | any | yes | unknown | comes back soon: the same bytes under the same key |
| nobody knows | any | no | unknown | comes back when the ESP's webhook or look-up should have told |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from connectors.esps.base import Outcome, Sent
from shared.errors import Misconfigured, Permanent, SendbridgeError, Transient, Unknown
from shared.ledger_rows import Status

Came: TypeAlias = Literal["taken", "refused", "not taken", "misconfigured", "nobody knows"]


@dataclass(frozen=True)
class End:
    """What becomes of a message."""

    status: Status
    job: Literal["done", "parked", "again", "when told"]
    doubtful: bool = False
    """Whether it may have gone out."""


OUTCOMES: Mapping[tuple[Came, bool, bool], End] = {
    # came, doubtful, keyed
    ("taken", False, False): End("sent", "done"),
    ("taken", False, True): End("sent", "done"),
    ("taken", True, False): End("sent", "done"),
    ("taken", True, True): End("sent", "done"),
    ("refused", False, False): End("parked", "parked"),
    ("refused", False, True): End("parked", "parked"),
    ("refused", True, False): End("parked", "parked", doubtful=True),
    # Under the same key, what was taken before would not be refused now.
    ("refused", True, True): End("parked", "parked"),
    ("not taken", False, False): End("waiting", "again"),
    ("not taken", False, True): End("waiting", "again"),
    ("not taken", True, False): End("unknown", "again", doubtful=True),
    ("not taken", True, True): End("unknown", "again", doubtful=True),
    ("misconfigured", False, False): End("waiting", "again"),
    ("misconfigured", False, True): End("waiting", "again"),
    ("misconfigured", True, False): End("unknown", "again", doubtful=True),
    ("misconfigured", True, True): End("unknown", "again", doubtful=True),
    ("nobody knows", False, True): End("unknown", "again", doubtful=True),
    ("nobody knows", True, True): End("unknown", "again", doubtful=True),
    ("nobody knows", False, False): End("unknown", "when told", doubtful=True),
    ("nobody knows", True, False): End("unknown", "when told", doubtful=True),
}


def came_to(outcome: Outcome | Exception, *, posted: bool) -> Came:
    """What an attempt came to. What is no outcome is a bug: once something was posted, nobody knows what became of it."""
    if isinstance(outcome, Sent):
        return "taken"
    if isinstance(outcome, Permanent):
        return "refused"
    if isinstance(outcome, Misconfigured):
        return "misconfigured"
    if isinstance(outcome, Unknown) or not isinstance(outcome, SendbridgeError):
        return "nobody knows" if posted else "not taken"
    return "not taken"


def reason_of(error: Exception) -> str:
    """Only our own errors are known to hold no address."""
    return error.reason if isinstance(error, SendbridgeError) else type(error).__name__


def wait_of(error: Exception) -> float | None:
    """Seconds to wait, if somebody said so."""
    return error.retry_after if isinstance(error, Transient) else None
