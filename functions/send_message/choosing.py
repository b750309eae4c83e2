"""Whether a message waits because its trigger or its integration is switched off, and which integration it goes through: its
own, or the one to fail over to while the first one's ESP is down.

Nothing goes through both: once an attempt through the first may have gone out, the message stays with it.
"""

from __future__ import annotations

from datetime import datetime

from connectors.registry import ESPS
from send_message.checks import UNPUBLISHED
from send_message.outbox import Outbox, circuit
from send_message.settling import Ending, Settler
from send_message.work import MARGIN, Chosen, Run, Work
from shared.catalogue import Versioned
from shared.definitions import Integration
from shared.errors import Misconfigured, Transient

_SOON, _LOOKED_AFTER = 5.0, 300.0
"""Seconds after which a message whose trigger or integration is switched off is looked at again: first soon, then each time in
twice the time up to the latter. So who mends something in a minute has it going again within another one."""

_OFTEN, _MOST = 100, 180
"""Receives up to which it is looked at that often, and with which it must get along: SQS parks what it gave out too often."""


def choose(run: Run, settler: Settler, work: Work) -> bool:
    """Whether the message can go on. Raises Transient while no ESP can be reached, Misconfigured if a definition is missing."""
    outbox, now = run.outbox, run.outbox.clock()
    if work.trigger is None and not work.doubtful and outbox.templates.get(work.job.template) is None:
        # Both were unpublished. Without the template it could not even be checked.
        settler.add(Ending(work, "skipped", outbox.hop("skipped", UNPUBLISHED)))
        return False
    work.chosen = _own(outbox, work)
    if now > work.job.valid_until:
        return True
    if reason := _switched_off(outbox, work):
        _wait(run, settler, work, reason)
        return False
    try:
        _check(outbox, work)
    except Transient as down:
        other = None if work.doubtful else _other(outbox, work.via.integration)
        if other is None:
            wait = down.retry_after if down.retry_after is not None else 1
            raise Transient(down.reason, retry_after=work.waits(now, wait)) from None
        work.chosen, work.let_through = _chosen(outbox, work, other), other.definition.name
    if run.remaining() < work.via.integration.timeout_seconds + MARGIN:
        raise Transient("too little is left of this invocation", retry_after=0)
    return True


def _check(outbox: Outbox, work: Work) -> None:
    if work.let_through != work.via.integration.name:
        outbox.circuits.check(circuit(work.via.integration))
        work.let_through = work.via.integration.name


def _own(outbox: Outbox, work: Work) -> Chosen:
    """What it was decided with; or, if an attempt may have gone out, what that one went through."""
    job, row = work.job, work.row
    name, version = job.integration, job.integration_version
    if row is not None and row.claim.tried_at:
        name, version = row.claim.integration, row.claim.integration_version
    try:
        return _chosen(outbox, work, outbox.integrations.at(name, version) if version else outbox.integrations.require(name))
    except Misconfigured:
        current = outbox.integrations.get(name)
        other = _other(outbox, current.definition) if current and not (row and row.claim.tried_at) else None
        if other is None:
            raise
        return _chosen(outbox, work, other)


def _chosen(outbox: Outbox, work: Work, found: Versioned[Integration]) -> Chosen:
    template = outbox.templates.require(work.job.template).definition
    return Chosen(found.definition, found.version, ESPS.load(found.definition.connector), template)


def _other(outbox: Outbox, first: Integration) -> Versioned[Integration] | None:
    """The integration to fail over to, if it can be used now."""
    other = outbox.integrations.get(first.failover) if first.failover else None
    if other is None or not other.definition.enabled or other.definition.channel != first.channel:
        return None
    try:
        outbox.circuits.check(circuit(other.definition))
    except Transient:
        return None
    return other


def _switched_off(outbox: Outbox, work: Work) -> str:
    """What of that the message needs is switched off; empty if nothing is."""
    if work.trigger is not None and not work.trigger.enabled:
        return f"the trigger {work.trigger.name} is paused"
    name = work.via.integration.name
    return "" if outbox.integrations.require(name).definition.enabled else f"the integration {name} is paused"


def _wait(run: Run, settler: Settler, work: Work, reason: str) -> None:
    outbox = run.outbox
    now = outbox.clock()
    error = Transient(reason, retry_after=work.waits(now, _looked_after(work, now)))
    if work.row is not None and (work.row.trace[-1].reason == reason or work.row.claim.tried_at):
        raise error
    settler.add(Ending(work, "waiting", outbox.hop("waits", reason), error))


def _looked_after(work: Work, now: datetime) -> float:
    """Seconds after which it is looked at again: more often at first, and so that it lasts until its validity ends."""
    if work.record.receives <= _OFTEN:
        return min(_SOON * 2.0 ** (work.record.receives - 1), _LOOKED_AFTER)
    left = (work.job.valid_until - now).total_seconds()
    return max(_LOOKED_AFTER, left / max(_MOST - work.record.receives, 1))
