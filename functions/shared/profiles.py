"""The profiles table: a row for each person, and one for each identifier, which points to the person it belongs to.

The row of an address has its opt-outs and bounces too: they hold for whoever has the address, now or later, also once the person
is erased and made anew. A row names all who have the address, so that each of two writers at once, of whom one stops an address
and the other gives it to a person, finds what the other did.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from shared.errors import Transient
from shared.ids import profile_id
from shared.person import (
    ADDRESS_OF,
    CAUSES,
    Cause,
    Identifier,
    Profile,
    Suppression,
    address_hash,
    column_of,
    columns_of,
    identifier_hash,
    learnt,
    profile_of,
    stranger,
    suppression_column,
    suppressions_of,
)
from shared.rows import read_rows

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from shared.rows import Row

_TRIES = 5

_MOST_HOLDERS = 500
"""People whom the row of an address names. Who comes after them is stopped too, but only when they are next heard of."""


class Profiles:
    """The profiles table. `retention` is how long a person is kept after the last that was learnt of them.

    Whoever wants no more mail, or cannot get any, is kept for good: a forgotten opt-out would be none.
    """

    def __init__(self, client: DynamoDBClient, table: str, retention: timedelta = timedelta(days=730)) -> None:
        self._client, self._table, self._retention = client, table, retention

    def find(self, identifiers: Iterable[Identifier]) -> list[str]:
        """The ids of the profiles that these identifiers belong to, in the order of the identifiers, each once."""
        return list(dict.fromkeys(self._owners(identifiers).values()))

    def _owners(self, identifiers: Iterable[Identifier]) -> dict[Identifier, str]:
        """To whom the identifiers belong, of those that belong to anybody, in their order."""
        keys = {identifier: _identifier_key(identifier) for identifier in identifiers}
        rows = self._read([*keys.values()])
        return {one: rows[key]["profile_id"]["S"] for one, key in keys.items() if "profile_id" in rows.get(key, {})}

    def get(self, profile: str) -> Profile | None:
        """One profile; None if there is none."""
        return self.get_all([profile]).get(profile)

    def get_all(self, ids: Iterable[str]) -> dict[str, Profile]:
        """Those of these profiles that exist, by id, read consistently."""
        rows = self._read([_profile_key(one) for one in ids])
        return {one.id: one for one in map(profile_of, rows.values())}

    def upsert(self, identifiers: Sequence[Identifier], attributes: Mapping[str, JsonValue], at: datetime) -> str:
        """Stores what was learnt of a person at `at`: of each attribute the newest wins, whatever the order of arrival.

        The person is the one whom the first known identifier points to, else a new one. A phone number becomes E.164 if it can
        be understood. What is known of their addresses holds for them from now on. Returns the profile's id. Raises Transient
        if others kept changing the same profile.
        """
        for _ in range(_TRIES):
            owners = self._owners(identifiers)
            target = next(iter(owners.values()), profile_id(*identifiers[0]))
            theirs = [one for one in identifiers if owners.get(one, target) == target]
            person = self._merge(target, theirs, attributes, at)
            if person is not None:
                self._point(theirs, person, at)
                return target
        raise Transient("the profile is being changed by others")

    def _merge(
        self, target: str, identifiers: Iterable[Identifier], attributes: Mapping[str, JsonValue], at: datetime
    ) -> Profile | None:
        """The person with what was learnt, stored; None if somebody else changed them meanwhile."""
        old = self.get(target)
        new = learnt(old or stranger(target), identifiers, attributes, at)
        if new == old:
            return old
        new = replace(new, suppressions=(*new.suppressions, *self._inherited(old or stranger(target), new)))
        columns = columns_of(new)
        texts: dict[str, AttributeValueTypeDef] = {f":c{index}": {"S": text} for index, text in enumerate(columns.values())}
        values: dict[str, AttributeValueTypeDef] = {
            **texts,
            ":version": {"N": str(new.version)},
            ":next": {"N": str(new.version + 1)},
            ":empty": {"M": {}},
            **({} if new.suppressions else {":expires": self._expiry(at)}),
        }
        stored, row = self._update(
            _profile_key(target),
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
        rows = self._read([_address_key(channel, new.address(channel)) for channel in fresh])
        return [one for row in rows.values() for one in suppressions_of(row) if one not in new.suppressions]

    def _expiry(self, at: datetime) -> AttributeValueTypeDef:
        return {"N": str(int((at + self._retention).timestamp()))}

    def _point(self, identifiers: Iterable[Identifier], person: Profile, at: datetime) -> None:
        """Has the rows of identifiers and addresses name this person, and keeps them as long as the person is kept.

        An identifier that belongs to somebody else stays theirs; an address can be of several.
        """
        owned = {_identifier_key(identifier) for identifier in identifiers}
        addresses = {_address_key(channel, person.address(channel)): channel for channel in ADDRESS_OF if person.address(channel)}
        rows = self._read([*owned, *addresses])
        for key in dict.fromkeys([*owned, *addresses]):
            row, own = rows.get(key, {}), key in owned
            if self._is_to_be_written(row, person.id, at, own=own, address=key in addresses):
                row = self._name(key, person.id, addresses.get(key, ""), at, own=own)
            if key in addresses:
                self._hand_down(row, person)

    def _is_to_be_written(self, row: Row, person: str, at: datetime, *, own: bool, address: bool) -> bool:
        holders = row.get("holders", {"SS": []})["SS"]
        if (own and "profile_id" not in row) or (address and person not in holders and len(holders) < _MOST_HOLDERS):
            return True
        theirs = person in holders or row.get("profile_id") == {"S": person}
        return theirs and not suppressions_of(row) and self._ends_soon(row, at)

    def _ends_soon(self, row: Row, at: datetime) -> bool:
        return "expires_at" not in row or float(row["expires_at"]["N"]) < (at + self._retention / 2).timestamp()

    def _name(self, key: str, person: str, channel: str, at: datetime, *, own: bool) -> Row:
        """Writes the person into the row of an identifier, as its owner, or (with a `channel`) as one who has the address."""
        # With an end; else, as something is known of the address, for good; else, as it became somebody else's, not as its owner.
        ways = [(own, True), (own, False), (False, False)] if channel else [(True, True)]
        row: Row = {}
        for owning, ending in ways:
            sets = ["profile_id = :person"] * owning + ["expires_at = :expires"] * ending
            columns = (
                [suppression_column(channel, cause, key.rsplit("#", 1)[1]) for cause in CAUSES] if channel and ending else []
            )
            conditions = ["(attribute_not_exists(profile_id) OR profile_id = :person)"] * owning
            done, row = self._update(
                key,
                (f"SET {', '.join(sets)}" if sets else "") + (" ADD holders :people" if channel else ""),
                " AND ".join([*conditions, *(f"attribute_not_exists(#c{index})" for index in range(len(columns)))]),
                {f"#c{index}": column for index, column in enumerate(columns)},
                {
                    **({":person": {"S": person}} if owning else {}),
                    **({":people": {"SS": [person]}} if channel else {}),
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
                self._mark(_profile_key(person.id), one)

    def suppress(self, profile: str, suppression: Suppression) -> None:
        """Nothing is sent to this person on its channel any more, nor to the address it is about; neither is forgotten.

        The address is the person's, unless `suppression` names another; that one is stopped though the person was erased. A
        bounce is about the address only. Of each cause the newest stays, unless it was allowed again since.
        """
        person = self.get(profile)
        if person is not None and suppression.cause != "bounced":
            self._mark(_profile_key(profile), replace(suppression, address=""))
        address = person.address(suppression.channel) if person else ""
        if suppression.address or address:
            self._stop(replace(suppression, address=suppression.address or address_hash(suppression.channel, address)))

    def suppress_address(self, address: str, suppression: Suppression) -> None:
        """Nothing is sent to this address on its channel any more, whoever has it. A phone number is expected in E.164."""
        self._stop(replace(suppression, address=address_hash(suppression.channel, address)))

    def suppressions_of(self, channel: str, address: str) -> tuple[Suppression, ...]:
        """What is known of an address."""
        key = _address_key(channel, address)
        return suppressions_of(self._read([key]).get(key, {}))

    def allow(self, channel: str, address: str, at: datetime, source: str, causes: Iterable[Cause] = ("unsubscribed",)) -> None:
        """Lifts what was said of an address, and by those who have it, for these causes before `at`: without more, an opt-in,
        which undoes an unsubscription and nothing else. What is said for the same causes of a time before `at`, but comes later,
        is not taken either.
        """
        key, subject = _address_key(channel, address), address_hash(channel, address)
        for cause in causes:
            permission = Suppression(channel, cause, "", at, source, subject)
            row = self._lift(key, permission)
            for person in self._people(row, permission):
                self._lift(_profile_key(person.id), permission)
                self._lift(_profile_key(person.id), replace(permission, address=""))

    def _stop(self, suppression: Suppression) -> None:
        row = self._mark(f"identifier#{ADDRESS_OF[suppression.channel]}#{suppression.address}", suppression)
        for person in self._people(row, suppression):
            self._mark(_profile_key(person.id), suppression)

    def _people(self, row: Row, about: Suppression) -> list[Profile]:
        """Those who have the address now, of those whom its row names."""
        ids = [*row.get("holders", {"SS": []})["SS"], *([row["profile_id"]["S"]] if "profile_id" in row else [])]
        people = self.get_all(ids).values()
        return [one for one in people if address_hash(about.channel, one.address(about.channel)) == about.address]

    def _mark(self, key: str, suppression: Suppression) -> Row:
        """Writes a suppression into the row of a person, or of an address. Returns the row as it is then; of nobody, nothing."""
        column, text = column_of(suppression)
        return self._set_or_lift(key, "SET #column = :text REMOVE expires_at", column, text)

    def _lift(self, key: str, permission: Suppression) -> Row:
        column, text = column_of(permission)
        return self._set_or_lift(key, "SET #allowed = :text REMOVE #column", column, text)

    def _set_or_lift(self, key: str, update: str, column: str, text: str) -> Row:
        """Does so unless something newer is there already."""
        person = key.startswith("profile#")
        _, row = self._update(
            key,
            update + (" ADD version :one" if person else ""),
            ("attribute_exists(pk) AND " if person else "")
            + "(attribute_not_exists(#column) OR #column < :text) AND (attribute_not_exists(#allowed) OR #allowed < :text)",
            {"#column": column, "#allowed": column.replace("suppressed", "allowed", 1)},
            {":text": {"S": text}, **({":one": {"N": "1"}} if person else {})},
        )
        return row

    def remember_contact(self, profile: str, destination: str, contact_id: str) -> None:
        """Keeps the id of this person's contact in a CRM. Whoever was erased meanwhile has nothing to be remembered."""
        self._update(
            _profile_key(profile),
            "SET crm_ids.#key = if_not_exists(crm_ids.#key, :value) ADD version :one",
            "attribute_exists(pk)",
            {"#key": destination},
            {":value": {"S": contact_id}, ":one": {"N": "1"}},
        )

    def forget_contact(self, profile: str, destination: str, contact_id: str) -> None:
        """Drops the id of a contact that is no longer in the CRM, unless another has been remembered meanwhile."""
        self._update(
            _profile_key(profile),
            "REMOVE crm_ids.#key",
            "crm_ids.#key = :value",
            {"#key": destination},
            {":value": {"S": contact_id}},
        )

    def _update(
        self, key: str, update: str, condition: str, names: Mapping[str, str], values: Mapping[str, AttributeValueTypeDef]
    ) -> tuple[bool, Row]:
        """Whether the condition held and the row was written, and the row as it is now."""
        options: dict[str, Any] = {"ConditionExpression": condition} if condition else {}  # boto3's own
        if names:
            options["ExpressionAttributeNames"] = names
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": key}},
                UpdateExpression=update,
                ExpressionAttributeValues=values,
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **options,
            )
        except self._client.exceptions.ConditionalCheckFailedException as refused:
            found: Row = refused.response.get("Item", {})  # type: ignore[assignment]  # there, as we ask for ALL_OLD
            return False, found
        return True, answer["Attributes"]

    def _read(self, keys: Iterable[str]) -> dict[str, Row]:
        return read_rows(self._client, self._table, keys)


def _profile_key(profile: str) -> str:
    return f"profile#{profile}"


def _identifier_key(identifier: Identifier) -> str:
    return f"identifier#{identifier[0]}#{identifier_hash(identifier)}"


def _address_key(channel: str, address: str) -> str:
    return _identifier_key((ADDRESS_OF[channel], address))
