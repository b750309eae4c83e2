"""Two profiles that turn out to be one person: from then on they are the one whose id sorts first, and the other's row forwards.

First the one gets all that the other has; then the other's row forwards, on the condition that it is still as it was read. Who
dies in between has changed nothing that another try would not change again. Of an attribute and an identifier the newest stays;
of opt-outs, bounces, and what allowed messages again, what is newest of each; and of the slots under caps all. Others who write
to either at the same time are found out by the rows' versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from shared.person import Profile, columns_of, stranger
from shared.profile_table import Place, ProfileTable, profile_key
from shared.sends import write_sends

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from shared.rows import Row

_SUPPRESSED, _ALLOWED = "suppressed#", "allowed#"

V = TypeVar("V")


def join(table: ProfileTable, one: Place, other: Place, ends: datetime) -> bool:
    """Makes one person of two, whose rows may be there or not. False if somebody else changed one of them meanwhile.

    The rows are kept until `ends`, if nothing in them is to be kept for good, or longer, if they are kept longer now.
    """
    stays, goes = sorted((one, other), key=lambda place: place.id)
    person = both(stays.profile or stranger(stays.id), goes.profile or stranger(goes.id))
    marks = _marks(stays.row, goes.row)
    expires = None if any(name.startswith(_SUPPRESSED) for name in marks) else _later(ends, stays.row, goes.row)
    return _take_in(table, stays, person, marks, expires) and _forward(table, goes, stays.id, expires)


def both(stays: Profile, goes: Profile) -> Profile:
    """The first of these people with all that is known of the second, but for what is in columns of its own: opt-outs."""
    return replace(
        stays,
        attributes=_newest(stays.attributes, stays.changed, goes.attributes, goes.changed),
        changed=_newest(stays.changed, stays.changed, goes.changed, goes.changed),
        identifiers=_newest(stays.identifiers, stays.identified, goes.identifiers, goes.identified),
        identified=_newest(stays.identified, stays.identified, goes.identified, goes.identified),
        changes=_newest(stays.changes, stays.changed, goes.changes, goes.changed),
        crm_ids={**goes.crm_ids, **stays.crm_ids},
        sends={**goes.sends, **stays.sends},
    )


def _newest(
    ours: Mapping[str, V], learnt: Mapping[str, datetime], theirs: Mapping[str, V], learnt_of_them: Mapping[str, datetime]
) -> dict[str, V]:
    """Of each name the value that was learnt last; ours if at the same time."""
    newer = {name: value for name, value in theirs.items() if name not in learnt or learnt[name] < learnt_of_them[name]}
    return {**ours, **newer}


def _marks(*rows: Row) -> dict[str, str]:
    """The newest of what is known of each channel, cause and address: that nothing is sent, and that it may be again."""
    found: dict[str, str] = {}
    for name, value in (item for row in rows for item in row.items()):
        if name.startswith((_SUPPRESSED, _ALLOWED)):
            found[name] = max(found.get(name, ""), value["S"])
    lifted = {name.replace(_ALLOWED, _SUPPRESSED, 1): text for name, text in found.items() if name.startswith(_ALLOWED)}
    return {name: text for name, text in found.items() if text > lifted.get(name, "")}


def _later(ends: datetime, *rows: Row) -> AttributeValueTypeDef:
    known = [float(row["expires_at"]["N"]) for row in rows if "expires_at" in row]
    return {"N": str(int(max([ends.timestamp(), *known])))}


def _take_in(
    table: ProfileTable, stays: Place, person: Profile, marks: Mapping[str, str], expires: AttributeValueTypeDef | None
) -> bool:
    texts = {**columns_of(replace(person, suppressions=())), **marks, "sends": write_sends(person.sends)}
    columns: dict[str, AttributeValueTypeDef] = {name: {"S": text} for name, text in texts.items()}
    contacts: dict[str, AttributeValueTypeDef] = {key: {"S": text} for key, text in person.crm_ids.items()}
    columns["crm_ids"] = {"M": contacts}
    gone = [name for name in stays.row if name.startswith(_SUPPRESSED) and name not in marks]
    return _write(table, stays, columns, gone, expires)


def _forward(table: ProfileTable, goes: Place, to: str, expires: AttributeValueTypeDef | None) -> bool:
    gone = [name for name in goes.row if name not in ("pk", "version", "expires_at")]
    return _write(table, goes, {"joined": {"S": to}}, gone, expires)


def _write(
    table: ProfileTable,
    place: Place,
    columns: Mapping[str, AttributeValueTypeDef],
    gone: list[str],
    expires: AttributeValueTypeDef | None,
) -> bool:
    """Whether the row was still as it was read, and so has these columns now, and those that are `gone` no more."""
    version = int(place.row["version"]["N"]) if place.row else 0
    sets: dict[str, AttributeValueTypeDef] = {**columns, "version": {"N": str(version + 1)}}
    sets |= {"expires_at": expires} if expires else {}
    removed = [*gone, *([] if expires else ["expires_at"])]
    names = {f"#s{index}": name for index, name in enumerate(sets)} | {f"#r{index}": name for index, name in enumerate(removed)}
    update = "SET " + ", ".join(f"#s{index} = :s{index}" for index in range(len(sets)))
    if removed:
        update += " REMOVE " + ", ".join(f"#r{index}" for index in range(len(removed)))
    values = {f":s{index}": value for index, value in enumerate(sets.values())}
    if not place.row:
        return table.update(profile_key(place.id), update, "attribute_not_exists(pk)", names, values)[0]
    values[":read"] = {"N": str(version)}
    return table.update(profile_key(place.id), update, "version = :read", names, values)[0]
