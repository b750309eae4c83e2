"""Engagements onto timelines: contacts, one batch, and a hop on each message's trace.

A crash anywhere has the jobs come back; the records in the CRM are only ever created, and a hop is noted once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pydantic import JsonValue

from connectors.crms.timeline import ContactGone, Entry, Outcome, Written
from shared.clock import Clock
from shared.errors import Busy, Misconfigured, Permanent, SendbridgeError, Transient
from shared.exchange import run
from shared.jobs import CrmJob, Hop
from shared.ledger import Ledger
from shared.observe import count
from shared.queues import Batch
from shared.state import Circuits
from sync_crm.contacts import Contact, Finder, Nobody

HOP = "sync_crm"

Result: TypeAlias = Outcome | Nobody


@dataclass(frozen=True)
class Crm:
    """One destination, and what is needed to write to it."""

    finder: Finder
    circuits: Circuits
    ledger: Ledger
    clock: Clock
    environment: str

    @property
    def circuit(self) -> str:
        """The name of the destination's circuit."""
        return f"destination#{self.finder.destination}"


def synchronise(batch: Batch[CrmJob], crm: Crm) -> None:
    """Writes every job of the batch, or has it retried or parked."""
    try:
        results = _results([record.body for record in batch.records], crm)
        _note([(record.body, result) for record, result in zip(batch.records, results, strict=True)], crm)
    except Exception as error:  # befell all of them: none is lost, all come back
        for record in batch.records:
            batch.retry(record, error)
        return
    for record, result in zip(batch.records, results, strict=True):
        if isinstance(result, SendbridgeError):
            batch.settle(record, result)


def _results(jobs: Sequence[CrmJob], crm: Crm) -> list[Result]:
    """What became of each job. Raises what befell all and may pass."""
    crm.circuits.check(crm.circuit)
    try:
        results = _write(jobs, crm.finder)
    except Permanent as error:
        results = [error] * len(jobs)
    except SendbridgeError as error:
        _failed(error, crm)
        raise
    trouble = _trouble(results)
    if trouble is None:
        crm.circuits.succeeded(crm.circuit)
    else:
        _failed(trouble, crm)
    return results


def _failed(error: SendbridgeError, crm: Crm) -> None:
    if not isinstance(error, Busy):
        crm.circuits.failed(crm.circuit, error)
    if isinstance(error, Misconfigured):
        count("Misconfigured", crm.environment)


def _trouble(results: Sequence[Result]) -> SendbridgeError | None:
    """What single outcomes say of the destination as a whole: something to mend, a wait it asks for, or that nothing passes."""
    errors = [result for result in results if isinstance(result, SendbridgeError) and not isinstance(result, Permanent)]
    if not errors:
        return None
    telling = [e for e in errors if not isinstance(e, Transient) or e.retry_after is not None]
    return telling[0] if telling else errors[0] if len(errors) == len(results) else None


def _write(jobs: Sequence[CrmJob], finder: Finder) -> list[Result]:
    results, gone = _attempt(jobs, finder)
    again = [index for index in gone if isinstance(results[index], ContactGone)]
    if again:
        for index in again:
            finder.forget(jobs[index].profile_id, gone[index])
        second, _ = _attempt([jobs[index] for index in again], finder)
        for index, result in zip(again, second, strict=True):
            results[index] = result
    return results


def _attempt(jobs: Sequence[CrmJob], finder: Finder) -> tuple[list[Result], Mapping[int, Contact]]:
    """What became of each job, and which were written for a contact that was only remembered."""
    found = finder.find(job.profile_id for job in jobs)
    contacts = {index: one for index, job in enumerate(jobs) if isinstance(one := found[job.profile_id], Contact)}
    entries = [Entry(jobs[index], contact.id) for index, contact in contacts.items()]
    outcomes = dict(zip(contacts, run(finder.connector.write(entries), finder.send) if entries else [], strict=True))
    results: list[Result] = []
    for index, job in enumerate(jobs):
        contact = found[job.profile_id]
        results.append(outcomes[index] if isinstance(contact, Contact) else contact)
    return results, {index: contact for index, contact in contacts.items() if contact.remembered}


def _note(results: Sequence[tuple[CrmJob, Result]], crm: Crm) -> None:
    by_message: dict[str, dict[str, Hop]] = defaultdict(dict)
    for job, result in results:
        hop = _hop(job, result, crm.clock)
        if hop is not None:
            by_message[job.message_id][f"{job.destination} {job.engagement_id} {hop.what}"] = hop
    for message, hops in by_message.items():
        crm.ledger.note_once(message, hops)


def _hop(job: CrmJob, result: Result, clock: Clock) -> Hop | None:
    """What the trace says of a result; nothing while it is to be retried."""
    about: dict[str, JsonValue] = {"destination": job.destination, "engagement": job.engagement_id, "type": job.type}
    if isinstance(result, Written):
        figures: dict[str, JsonValue] = {"status": result.status, "milliseconds": result.milliseconds}
        reason = "" if result.created else "it was there already"
        return Hop(at=clock(), hop=HOP, what="written", reason=reason, data=about | figures)
    if isinstance(result, Nobody):
        return Hop(at=clock(), hop=HOP, what="not written", reason=result.reason, data=about)
    if isinstance(result, Permanent):
        return Hop(at=clock(), hop=HOP, what="parked", reason=result.reason, data=about)
    return None
