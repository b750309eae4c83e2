"""Slots on the rows of profiles, written only if the row is still as it was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shared.errors import Transient
from shared.person import Profile, joined_with, profile_of
from shared.sends import Sends, write_sends
from shared.statements import Result, Statement, execute

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True)
class Kept:
    """What became of a write: `now` is the profile after it; if it was not `done`, as somebody else has changed it."""

    done: bool
    now: Profile | None


class SlotTable:
    """The profiles table, for slots only."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def keep(self, kept: Sequence[tuple[Profile, Sends]]) -> list[Kept | Transient]:
        """Writes what these profiles, each another one, have for `sends` from now on."""
        statements = [self._statement(profile, sends) for profile, sends in kept]
        results = execute(self._client, statements)
        return [_kept(*one, result) for one, result in zip(kept, results, strict=True)]

    def _statement(self, profile: Profile, sends: Sends) -> Statement:
        was = int(profile.version)
        # Numbers stand in the statement itself: a parameter costs boto3 five times as much.
        text = f'UPDATE "{self._table}" SET sends = ? SET version = {was + 1} WHERE pk = ? AND version = {was}'  # noqa: S608
        return Statement(text, [{"S": write_sends(sends)}, {"S": f"profile#{profile.id}"}])


def _kept(profile: Profile, sends: Sends, result: Result) -> Kept | Transient:
    if isinstance(result, Transient):
        return result
    if result is None:
        return Kept(True, replace(profile, sends=sends, version=profile.version + 1))
    if result.row and joined_with(result.row):
        return Transient("the profile was joined with another")
    now = profile_of(result.row) if result.row else None
    # Our own write came first: the AWS client repeats one whose answer was lost.
    ours = now is not None and now.version == profile.version + 1 and write_sends(now.sends) == write_sends(sends)
    return Kept(ours, now)
