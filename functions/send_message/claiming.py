"""From checked messages to requests that may be posted: rendered, kept, and claimed in the ledger."""

from __future__ import annotations

import json
from collections.abc import Sequence

from send_message.doubts import meet
from send_message.settling import Ending, Settler
from send_message.work import Run, Work
from shared.claims import Change, Fresh
from shared.content import render_content
from shared.errors import Permanent, Transient
from shared.ledger_rows import Claim
from shared.statements import Refused, Result

_KEPT_AT_ONCE = 4_000_000
"""Characters of HTML and text in one object: it is held in memory while it is written."""


def prepare(run: Run, settler: Settler, works: Sequence[Work]) -> tuple[list[list[Work]], list[Work]]:
    """The messages of these that are ours to post, in groups that one request holds; and those that have a row unlike we thought,
    of which it must be decided anew.
    """
    rendered = run.each(works, lambda work: _rendered(run, settler, work))
    groups = grouped(rendered)
    wanted = _kept(run, groups)
    claimed, others = _claimed(run, settler, wanted)
    return [left for group in groups if (left := [work for work in group if work in claimed])], others


def _rendered(run: Run, settler: Settler, work: Work) -> bool:
    if work.repeat:
        return True
    if work.profile is None:
        raise AssertionError("nobody to send to")
    try:
        work.content = render_content(work.job, work.via.template, work.via.integration, work.profile, run.outbox.links)
    except Permanent as error:
        hop = run.outbox.hop("parked", error.reason, {"attempt": work.attempt})
        settler.add(Ending(work, "parked", hop, error, doubtful=work.doubtful))
        run.unsent += [] if work.doubtful else [work]
        return False
    return True


def grouped(works: Sequence[Work]) -> list[list[Work]]:
    """The messages by request, as many in one as the vendor takes. What is posted again goes alone, as its key demands."""
    groups: list[list[Work]] = []
    filling: dict[tuple[str, ...], list[Work]] = {}
    for work in works:
        if work.repeat or work.via.esp.most == 1:
            groups.append([work])
            continue
        alike = _alike(work)
        group = filling.get(alike)
        if group is None or len(group) >= work.via.esp.most:
            group = filling[alike] = []
            groups.append(group)
        group.append(work)
    return groups


def _alike(work: Work) -> tuple[str, ...]:
    integration, outgoing = work.via.integration, work.outgoing
    headers = json.dumps(dict(outgoing.headers), sort_keys=True) if outgoing.headers else ""
    return integration.name, str(work.via.version), work.via.esp.alike(outgoing), outgoing.url, headers


def _kept(run: Run, groups: Sequence[Sequence[Work]]) -> dict[Work, Claim]:
    """Keeps what is to be posted, in as few objects as can be. Returns how each message is to be claimed."""
    claims = {work: _repeated(run, work) for group in groups for work in group if work.repeat}
    alone = {work: len(group) == 1 for group in groups for work in group if not work.repeat}
    for works in _by_size([*alone]):
        contents = [work.content for work in works if work.content is not None]
        name = f"{run.by}-{next(run.numbers)}"
        kept = run.all_of(works, lambda name=name, contents=contents: run.outbox.mirrors.keep(name, contents))  # type: ignore[misc]
        if kept is not None:
            claims |= {work: _first(run, work, where, alone[work]) for work, where in zip(works, kept, strict=True)}
    return claims


def _by_size(works: Sequence[Work]) -> list[list[Work]]:
    parts: list[list[Work]] = []
    room = 0
    for work in works:
        size = 2 * len(work.content.html + work.content.text) if work.content else 0
        if not parts or size > room:
            parts.append([])
            room = _KEPT_AT_ONCE
        room -= size
        parts[-1].append(work)
    return parts


def _first(run: Run, work: Work, kept: str, alone: bool) -> Claim:
    now = run.outbox.clock().timestamp()
    tried = work.row.claim.tried_at if work.row and work.doubtful else now
    integration = work.via.integration
    place = work.profile.place(integration.channel) if work.profile else ""
    return Claim(run.by, now + run.outbox.lease_seconds, integration.name, work.via.version, tried, kept, alone, place)


def _repeated(run: Run, work: Work) -> Claim:
    if work.row is None:
        raise AssertionError("nothing to repeat")
    was, until = work.row.claim, run.outbox.clock().timestamp() + run.outbox.lease_seconds
    return Claim(run.by, until, was.integration, was.integration_version, was.tried_at, was.kept, was.alone, was.sent_to)


def _claimed(run: Run, settler: Settler, wanted: dict[Work, Claim]) -> tuple[set[Work], list[Work]]:
    fresh = [work for work in wanted if work.row is None]
    known = [work for work in wanted if work.row is not None]
    rows = [Fresh(work.job, "sending", wanted[work]) for work in fresh]
    inserted = run.all_of(fresh, lambda: run.outbox.claims.insert(rows))
    changes = [Change(work.job.message_id, "sending", wanted[work], work.hops, was=work.row) for work in known]
    changed = run.all_of(known, lambda: run.outbox.claims.change(changes))
    # Of those whose claim failed as a whole nobody knows whether it is there: whoever gets them again finds out.
    results = [*zip(fresh, inserted or (), strict=False), *zip(known, changed or (), strict=False)]
    refused = [work for work, result in results if isinstance(result, Refused)]
    others = _others(run, settler, refused)
    return {work for work, result in results if _is_ours(run, work, result, wanted[work])}, others


def _is_ours(run: Run, work: Work, result: Result, claim: Claim) -> bool:
    if isinstance(result, Transient):
        run.batch.settle(work.record, result)
    if result is None:
        work.claim = claim
    return work.claim is not None


def _others(run: Run, settler: Settler, refused: Sequence[Work]) -> list[Work]:
    """Those that have a row, unlike we thought, or another one: what it says holds."""
    ids = [work.job.message_id for work in refused]
    rows = run.all_of(refused, lambda: run.outbox.ledger.read_all(ids) if ids else {})
    if rows is None:
        return []
    for work in refused:
        work.row = rows.get(work.job.message_id)
        if work.row is not None and work.row.status == "sending" and work.row.claim.by == run.by:
            # Our own: the AWS client repeats a call whose answer was lost.
            work.claim, work.row = work.row.claim, None
        elif work.row is not None and work.row.status == "skipped":
            run.unsent.append(work)
    return run.each([work for work in refused if work.claim is None], lambda work: meet(run, settler, work))
