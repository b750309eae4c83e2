"""The records that an engagement becomes on a contact's timeline: an activity, and for some a task to follow it up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue

from connectors.crms.dynamics_batch import Create
from connectors.crms.timeline import Entry
from shared.definitions import Destination
from shared.ids import record_uuid
from shared.jobs import CrmJob
from shared.scrub import for_xml

_SUBJECT = 200
_NAME = 200
_URL = 2000
_TEXT = 2000
"""Characters (UTF-16 units) of the columns, as the solution makes them."""

_OLDEST = datetime(1753, 1, 1, tzinfo=UTC)
_NEWEST = datetime(9000, 1, 1, tzinfo=UTC)
"""Dataverse refuses dates before; after, a due date could not be counted."""


@dataclass(frozen=True)
class Table:
    """An activity table: its entity set, and its navigation property to the contact it is about."""

    entity_set: str
    regarding: str


TASK = Table("tasks", "regardingobjectid_contact_task")

COLUMNS = ("campaignname", "deliveryname", "eventdate", "mirrorpageurl")
"""What every activity table has, after the prefix."""

CLICKED_URL = "trackingurl"
"""What that of clicks has besides."""


def records(destination: Destination, entry: Entry, table: Table) -> list[Create]:
    """The records of one engagement, the activity first."""
    task = _task(destination, entry.job)
    made = [_record(destination, entry, table, "activity", _activity(destination, entry.job))]
    return made if task is None else [*made, _record(destination, entry, TASK, "task", task)]


def _record(destination: Destination, entry: Entry, table: Table, kind: str, values: dict[str, JsonValue]) -> Create:
    values[f"{table.regarding}@odata.bind"] = f"/contacts({entry.contact_id})"
    if destination.owner:
        values["ownerid@odata.bind"] = f"/systemusers({destination.owner})"
    return Create(table.entity_set, record_uuid(destination.name, entry.job.engagement_id, kind), values)


def _activity(destination: Destination, job: CrmJob) -> dict[str, JsonValue]:
    prefix = destination.column_prefix
    values: dict[str, JsonValue] = {
        "subject": _cut(_email(job), _SUBJECT),
        f"{prefix}campaignname": _cut(job.campaign, _NAME),
        f"{prefix}deliveryname": _cut(job.delivery, _NAME),
        f"{prefix}eventdate": _date(_moment(job)),
        f"{prefix}mirrorpageurl": _cut(job.mirror_url, _URL),
    }
    if job.type == "clicked":
        values[f"{prefix}{CLICKED_URL}"] = _cut(job.url, _URL)
    if job.type == "bounced":
        values["description"] = _cut(_bounce(job), _TEXT)
    return values


def _task(destination: Destination, job: CrmJob) -> dict[str, JsonValue] | None:
    if job.type == "clicked" and destination.follow_up_clicks:
        return _to_do(destination, job, f"Follow up the click in {_email(job)}", f"Clicked: {job.url}")
    if job.type == "bounced" and destination.follow_up_bounces:
        return _to_do(destination, job, f"Mend the email address: {_email(job)} bounced", _bounce(job))
    return None


def _to_do(destination: Destination, job: CrmJob, subject: str, description: str) -> dict[str, JsonValue]:
    due = _moment(job) + timedelta(days=destination.follow_up_days)
    return {"subject": _cut(subject, _SUBJECT), "description": _cut(description, _TEXT), "scheduledend": _date(due)}


def _email(job: CrmJob) -> str:
    return f"{job.campaign} / {job.delivery}"


def _bounce(job: CrmJob) -> str:
    return " ".join(filter(None, (job.code, job.reason))) or "no reason given"


def _moment(job: CrmJob) -> datetime:
    return min(max(job.at, _OLDEST), _NEWEST)


def _date(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cut(text: str, limit: int) -> str:
    """Cut at `limit` UTF-16 units, which is how Dataverse counts, and never through a character; without what it refuses."""
    return for_xml(text).encode("utf-16-le", "replace")[: limit * 2].decode("utf-16-le", "ignore")
