"""What `sync_crm` and a CRM's connector say to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from shared.errors import Permanent, SendbridgeError
from shared.jobs import CrmJob


@dataclass(frozen=True)
class Entry:
    """One engagement for the timeline of one contact."""

    job: CrmJob
    contact_id: str


@dataclass(frozen=True)
class Written:
    """The timeline has the entry. `created` is false if all of it was there already, from an earlier attempt."""

    created: bool
    status: int
    """HTTP status of the activity."""
    milliseconds: int
    """How long the request took that it was part of."""


class ContactGone(Permanent):
    """The contact is no longer in the CRM."""


Outcome: TypeAlias = Written | SendbridgeError
"""What became of an entry."""
