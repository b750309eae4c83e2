"""The profiles table: a row for each person, and one for each identifier, which points to the person it belongs to.

The row of an address has its opt-outs and bounces too: they hold for whoever has the address, now or later, also once the person
is erased and made anew. A row names all who have the address, so that each of two writers at once, of whom one stops an address
and the other gives it to a person, finds what the other did.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import JsonValue

from shared.errors import Transient
from shared.ids import profile_id
from shared.joining import join
from shared.person import (
    ADDRESS_OF,
    CAUSES,
    HASHED,
    PERSONAL,
    PROFILE,
    Cause,
    Identifier,
    Profile,
    Suppression,
    address_hash,
    column_of,
    columns_of,
    identifier_hash,
    learnt,
    owner_of,
    profile_of,
    stranger,
    suppression_column,
    suppressions_of,
)
from shared.profile_table import Place, ProfileTable, address_key, identifier_key, profile_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from shared.rows import Row

_TRIES = 5

_MARK, _LIFT = "SET #column = :text REMOVE expires_at", "SET #allowed = :text REMOVE #column"
_NEWEST = "(attribute_not_exists(#column) OR #column < :text) AND (attribute_not_exists(#allowed) OR #allowed < :text)"

_CHANNEL_OF = {namespace: channel for channel, namespace in ADDRESS_OF.items()}

_MOST_HOLDERS = 500
"""People whom the row of an address names. Who comes after them is stopped too, but only when they are next heard of."""


class Profiles:
    """The profiles table. `retention` is how long a person is kept after the last that was learnt of them.

    Whoever wants no more mail, or cannot get any, is kept for good: a forgotten opt-out would be none.
    """

    def __init__(self, client: DynamoDBClient, table: str, retention: timedelta = timedelta(days=730)) -> None:
        self._table, self._retention = ProfileTable(client, table), retention

    def owners(self, visitors: Iterable[Iterable[Identifier]]) -> dict[Identifier, str]:
        """To whom the identifiers of these visitors belong, of those that belong to anybody, in their order.

        One read for all visitors, and one more for those whose identifiers lead to several profiles: they may have been joined.
        """
        asked = [list(identifiers) for identifiers in visitors]
        owners = self._owners(one for identifiers in asked for one in identifiers)
        groups = [{owners[one] for one in identifiers if one in owners} for identifiers in asked]
        doubtful = {owner for group in groups if len(group) > 1 for owner in group}
        places = self._table.places(doubtful) if doubtful else {}
        return {one: places[owner].id if owner in places else owner for one, owner in owners.items()}

    def _owners(self, identifiers: Iterable[Identifier]) -> dict[Identifier, str]:
        """Whom the rows of the identifiers name."""
        wanted = list(dict.fromkeys(identifiers))
        keys = {one: identifier_key(one) for one in wanted if one[0] != PROFILE}
        rows = self._table.read([*keys.values()])
        named = {one: rows[key]["profile_id"]["S"] for one, key in keys.items() if "profile_id" in rows.get(key, {})}
        return {one: owner for one in wanted if (owner := one[1] if one[0] == PROFILE else named.get(one))}

    def get(self, profile: str) -> Profile | None:
        """One profile; None if there is none."""
        return self.get_all([profile]).get(profile)

    def get_all(self, ids: Iterable[str]) -> dict[str, Profile]:
        """Those of these profiles that exist, by the id that was asked for, read consistently.

        Who was joined with somebody else is that one by now: the profile has the other's id.
        """
        found = self._table.places(ids)
        return {one: profile for one, place in found.items() if (profile := place.profile) is not None}

    def upsert(
        self,
        identifiers: Sequence[Identifier],
        attributes: Mapping[str, JsonValue],
        at: datetime,
        *,
        alias: bool = False,
        watched: Collection[str] = (),
    ) -> str:
        """Stores what was learnt of a person at `at`: of each attribute the newest wins, whatever the order of arrival.

        The person is the one whom the identifiers lead to (`owner_of`), else a new one. If the identifiers are said to be an
        `alias`, all whom they name are joined, but for what may be a device's. A phone number becomes E.164 if it can be
        understood. What is known of their addresses holds for them from now on. Of attributes that are `watched` the profile
        keeps its last changes. Returns the profile's id. Raises Transient if others kept changing the same profile.
        """
        founding = profile_id(*_founding(identifiers[0]))
        for _ in range(_TRIES):
            owners = self._owners(identifiers)
            named = [owner for one, owner in owners.items() if one[0] in PERSONAL]
            places = self._table.places([*owners.values(), *([] if named else [founding])])
            people = {places[owner].id: places[owner] for owner in named}
            if alias and len(people) > 1:
                self._join(people, at)
                continue
            known = {owner: person for owner in owners.values() if (person := places[owner].profile) is not None}
            target = owner_of(identifiers, owners, known) or founding
            place = places[target]
            theirs = [one for one in identifiers if one not in owners or places[owners[one]].id == place.id]
            person = self._merge(place, learnt(place.profile or stranger(place.id), theirs, attributes, at, watched), at)
            if person is None:
                continue
            others = self._point(theirs, person, at, formers={one for one, now in places.items() if now.id == place.id})
            if place.row or not others:
                return person.id
            # Whoever tells of the same new person at the same time has made another of them.
            self._join({now.id: now for now in self._table.places([person.id, *others]).values()}, at)
        raise Transient("the profile is being changed by others")

    def _join(self, people: Mapping[str, Place], at: datetime) -> None:
        """Joins two of these people, unless others are at it."""
        one, other = sorted(people)[:2]
        if join(self._table, people[one], people[other], at + self._retention):
            self._take_over(people[other], one, at)

    def _take_over(self, gone: Place, person: str, at: datetime) -> None:
        """Has what somebody was called name the person whom they were joined with. What is left forwards anyway."""
        was, now = gone.profile, self.get(person)
        if was is not None and now is not None:
            self._point(list(was.identifiers.items()), now, at, formers={gone.id})

    def _merge(self, place: Place, new: Profile, at: datetime) -> Profile | None:
        """The person with what was learnt, stored; None if somebody else changed them meanwhile."""
        old = place.profile
        if new == old:
            return old
        new = replace(new, suppressions=(*new.suppressions, *self._inherited(old or stranger(place.id), new)))
        columns = columns_of(new)
        texts: dict[str, AttributeValueTypeDef] = {f":c{index}": {"S": text} for index, text in enumerate(columns.values())}
        values: dict[str, AttributeValueTypeDef] = {
            **texts,
            ":version": {"N": str(new.version)},
            ":next": {"N": str(new.version + 1)},
            ":empty": {"M": {}},
            **({} if new.suppressions else {":expires": self._expiry(at)}),
        }
        stored, row = self._table.update(
            profile_key(place.id),
            "SET version = :next, crm_ids = if_not_exists(crm_ids, :empty), "
            + ", ".join(f"#c{index} = :c{index}" for index in range(len(columns)))
            + (" REMOVE expires_at" if new.suppressions else ", expires_at = :expires"),
            "attribute_not_exists(pk) OR version = :version",
            {f"#c{index}": name for index, name in enumerate(columns)},
            values,
        )
        return profile_of(row) if stored else None

    def _inherited(self, old: Profile, new: Profile) -> list[Suppression]:
        """What is known of the addresses that are new to the person."""
        fresh = [channel for channel in ADDRESS_OF if new.address(channel) not in ("", old.address(channel))]
        rows = self._table.read([address_key(channel, new.address(channel)) for channel in fresh])
        return [one for row in rows.values() for one in suppressions_of(row) if one not in new.suppressions]

    def _expiry(self, at: datetime) -> AttributeValueTypeDef:
        return {"N": str(int((at + self._retention).timestamp()))}

    def _point(self, identifiers: Iterable[Identifier], person: Profile, at: datetime, formers: Collection[str]) -> set[str]:
        """Has the rows of identifiers and addresses name this person, and keeps them as long as the person is kept.

        An identifier that belongs to somebody else, who is not one of the `formers` that the person was, stays theirs; an address
        can be of several. Returns those others, if they are named by what names one person.
        """
        owned = {identifier_key(identifier) for identifier in identifiers}
        addresses = {address_key(channel, person.address(channel)): channel for channel in ADDRESS_OF if person.address(channel)}
        rows = self._table.read([*owned, *addresses])
        others: set[str] = set()
        for key in dict.fromkeys([*owned, *addresses]):
            row, address = rows.get(key, {}), key in addresses
            owner = row["profile_id"]["S"] if "profile_id" in row else ""
            own = key in owned and owner in ("", person.id, *formers)
            if self._is_to_be_written(row, person.id, at, own=own and owner != person.id, address=address):
                row = self._name(key, person.id, at, owner=owner if own else None, address=address)
            if address:
                self._hand_down(row, person)
            if key in owned and key.split("#")[1] in PERSONAL and "profile_id" in row:
                others.add(row["profile_id"]["S"])
        return others - {person.id, *formers}

    def _is_to_be_written(self, row: Row, person: str, at: datetime, *, own: bool, address: bool) -> bool:
        holders = row.get("holders", {"SS": []})["SS"]
        if own or (address and person not in holders and len(holders) < _MOST_HOLDERS):
            return True
        theirs = person in holders or row.get("profile_id") == {"S": person}
        return theirs and not suppressions_of(row) and self._ends_soon(row, at)

    def _ends_soon(self, row: Row, at: datetime) -> bool:
        return "expires_at" not in row or float(row["expires_at"]["N"]) < (at + self._retention / 2).timestamp()

    def _name(self, key: str, person: str, at: datetime, *, owner: str | None, address: bool) -> Row:
        """Writes the person into the row of an identifier: as its owner, if that is still the `owner` it had (nobody, if empty);
        and, if it is their `address`, as one who has it.
        """
        _, namespace, subject = key.split("#")
        channel = _CHANNEL_OF.get(namespace, "")
        # With an end; else, as something is known of the address, for good; else, as it became somebody else's, not as its owner.
        ways = [(owner is not None, True), (owner is not None, False), (False, False)]
        row: Row = {}
        for owning, ending in ways[: 3 if address else 2 if channel else 1]:
            columns = [suppression_column(channel, cause, subject) for cause in CAUSES] if channel and ending else []
            conditions = ["(attribute_not_exists(profile_id) OR profile_id IN (:person, :owner))"] * owning
            sets = ["profile_id = :person"] * owning + ["expires_at = :expires"] * ending
            done, row = self._table.update(
                key,
                (f"SET {', '.join(sets)}" if sets else "") + (" ADD holders :people" if address else ""),
                " AND ".join([*conditions, *(f"attribute_not_exists(#c{index})" for index in range(len(columns)))]),
                {f"#c{index}": column for index, column in enumerate(columns)},
                {
                    **({":person": {"S": person}, ":owner": {"S": owner or person}} if owning else {}),
                    **({":people": {"SS": [person]}} if address else {}),
                    **({":expires": self._expiry(at)} if ending else {}),
                },
            )
            if done:
                break
        return row

    def _hand_down(self, row: Row, person: Profile) -> None:
        """What became known of an address while it was given to this person holds for them too."""
        for one in suppressions_of(row):
            if one not in person.suppressions:
                self._mark_person(person.id, one)

    def suppress(self, profile: str, suppression: Suppression) -> None:
        """Nothing is sent to this person on its channel any more, nor to the address it is about; neither is forgotten.

        The address is the person's, unless `suppression` names another; that one is stopped though the person was erased. A
        bounce is about the address only. Of each cause the newest stays, unless it was allowed again since.
        """
        person = self.get(profile)
        if person is not None and suppression.cause != "bounced":
            self._mark_person(person.id, replace(suppression, address=""))
        address = person.address(suppression.channel) if person else ""
        if suppression.address or address:
            self._stop(replace(suppression, address=suppression.address or address_hash(suppression.channel, address)))

    def suppress_address(self, address: str, suppression: Suppression) -> None:
        """Nothing is sent to this address on its channel any more, whoever has it. A phone number is expected in E.164."""
        self._stop(replace(suppression, address=address_hash(suppression.channel, address)))

    def suppressions_of(self, channel: str, address: str) -> tuple[Suppression, ...]:
        """What is known of an address."""
        key = address_key(channel, address)
        return suppressions_of(self._table.read([key]).get(key, {}))

    def allow(self, channel: str, address: str, at: datetime, source: str, causes: Iterable[Cause] = ("unsubscribed",)) -> None:
        """Lifts what was said of an address, and by those who have it, for these causes before `at`: without more, an opt-in,
        which undoes an unsubscription and nothing else. What is said for the same causes of a time before `at`, but comes later,
        is not taken either.
        """
        key, subject = address_key(channel, address), address_hash(channel, address)
        for cause in causes:
            permission = Suppression(channel, cause, "", at, source, subject)
            row = self._lift(key, permission)
            for person in self._people(row, permission):
                self._lift_person(person.id, permission)
                self._lift_person(person.id, replace(permission, address=""))

    def _stop(self, suppression: Suppression) -> None:
        row = self._mark(f"identifier#{ADDRESS_OF[suppression.channel]}#{suppression.address}", suppression)
        for person in self._people(row, suppression):
            self._mark_person(person.id, suppression)

    def _people(self, row: Row, about: Suppression) -> list[Profile]:
        """Those who have the address now, of those whom its row names."""
        ids = [*row.get("holders", {"SS": []})["SS"], *([row["profile_id"]["S"]] if "profile_id" in row else [])]
        people = self.get_all(ids).values()
        return [one for one in people if address_hash(about.channel, one.address(about.channel)) == about.address]

    def _mark(self, key: str, suppression: Suppression) -> Row:
        """Writes a suppression into the row of an address, unless something newer is there. Returns the row as it is then."""
        column, text = column_of(suppression)
        return self._table.update(key, _MARK, _NEWEST, *_marking(column, text))[1]

    def _lift(self, key: str, permission: Suppression) -> Row:
        column, text = column_of(permission)
        return self._table.update(key, _LIFT, _NEWEST, *_marking(column, text))[1]

    def _mark_person(self, profile: str, suppression: Suppression) -> None:
        self._change_person(profile, _MARK, suppression)

    def _lift_person(self, profile: str, permission: Suppression) -> None:
        self._change_person(profile, _LIFT, permission)

    def _change_person(self, profile: str, update: str, one: Suppression) -> None:
        names, values = _marking(*column_of(one))
        self._table.update_person(profile, f"{update} ADD version :one", _NEWEST, names, {**values, ":one": {"N": "1"}})

    def remember_contact(self, profile: str, destination: str, contact_id: str) -> None:
        """Keeps the id of this person's contact in a CRM. Whoever was erased meanwhile has nothing to be remembered."""
        self._table.update_person(
            profile,
            "SET crm_ids.#key = if_not_exists(crm_ids.#key, :value) ADD version :one",
            "",
            {"#key": destination},
            {":value": {"S": contact_id}, ":one": {"N": "1"}},
        )

    def forget_contact(self, profile: str, destination: str, contact_id: str) -> None:
        """Drops the id of a contact that is no longer in the CRM, unless another has been remembered meanwhile."""
        self._table.update_person(
            profile,
            "REMOVE crm_ids.#key",
            "crm_ids.#key = :value",
            {"#key": destination},
            {":value": {"S": contact_id}},
        )


def _marking(column: str, text: str) -> tuple[dict[str, str], dict[str, AttributeValueTypeDef]]:
    """The names and values of an update that marks or lifts."""
    return {"#column": column, "#allowed": column.replace("suppressed", "allowed", 1)}, {":text": {"S": text}}


def _founding(identifier: Identifier) -> Identifier:
    """What a new person's id is made of: the same for an address and for its hash."""
    hashed = f"{identifier[0]}_sha256"
    return (hashed, identifier_hash(identifier)) if hashed in HASHED else identifier
