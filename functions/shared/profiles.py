"""Profiles: one person each, found by identifiers, with attributes that remember when they changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import JsonValue

from shared.clock import from_iso, iso
from shared.errors import Transient
from shared.ids import profile_id
from shared.rows import read_rows, texts

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from shared.rows import Row

Identifier = tuple[str, str]
"""Namespace (`user_id`, `email`) and value."""

_TRIES = 5


@dataclass(frozen=True)
class Profile:
    """One person. `repr` shows only the id."""

    id: str
    attributes: Mapping[str, JsonValue] = field(repr=False)
    changed: Mapping[str, datetime] = field(repr=False)
    """When each attribute last changed, by its source's clock."""
    suppressed: Mapping[str, str]
    """Channel → why nothing may be sent on it."""
    crm_ids: Mapping[str, str]
    """Destination → id of the contact there."""
    version: int

    @property
    def email(self) -> str:
        """The address to write to; empty if unknown."""
        value = self.attributes.get("email")
        return value if isinstance(value, str) else ""


class Profiles:
    """The profiles table. `retention` is how long a person is kept after the last that was learnt of them.

    Whoever wants no more mail, or cannot get any, is kept for good: a forgotten opt-out would be none.
    """

    def __init__(self, client: DynamoDBClient, table: str, retention: timedelta = timedelta(days=730)) -> None:
        self._client, self._table, self._retention = client, table, retention

    def find(self, identifiers: Iterable[Identifier]) -> list[str]:
        """The ids of the profiles that these identifiers belong to, in the order of the identifiers, each once."""
        keys = [_identifier_key(identifier) for identifier in identifiers]
        rows = self._read(keys)
        return list(dict.fromkeys(rows[key]["profile_id"]["S"] for key in keys if key in rows))

    def get(self, profile: str) -> Profile | None:
        """One profile; None if there is none."""
        return self.get_all([profile]).get(profile)

    def get_all(self, ids: Iterable[str]) -> dict[str, Profile]:
        """Those of these profiles that exist, by id, read consistently."""
        rows = self._read([f"profile#{one}" for one in ids])
        return {key.removeprefix("profile#"): _profile(key, row) for key, row in rows.items()}

    def upsert(self, identifiers: list[Identifier], attributes: Mapping[str, JsonValue], at: datetime) -> str:
        """Stores what was learnt of a person at `at`: per attribute the newest wins, whatever the order of arrival.

        The person is the one whom the first known identifier points to, else a new one. Returns the profile's id.
        Raises Transient if others kept changing the same profile.
        """
        for _ in range(_TRIES):
            known = self.find(identifiers)
            target = known[0] if known else profile_id(*identifiers[0])
            if self._merge(target, attributes, at):
                self._point(identifiers, target, at)
                return target
        raise Transient("the profile is being changed by others")

    def _merge(self, target: str, attributes: Mapping[str, JsonValue], at: datetime) -> bool:
        old = self.get(target)
        newer = {k: v for k, v in attributes.items() if old is None or k not in old.changed or old.changed[k] < at}
        if old is not None and not newer:
            return True
        values = {**(old.attributes if old else {}), **newer}
        changed = {**(old.changed if old else {}), **dict.fromkeys(newer, at)}
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": f"profile#{target}"}},
                UpdateExpression="SET attributes = :a, changed = :c, version = :next,"
                " suppressed = if_not_exists(suppressed, :empty), crm_ids = if_not_exists(crm_ids, :empty)"
                + (" REMOVE expires_at" if old and old.suppressed else ", expires_at = :expires"),
                ConditionExpression="attribute_not_exists(pk) OR version = :version",
                ExpressionAttributeValues={
                    ":a": {"S": json.dumps(values)},
                    ":c": {"S": json.dumps({key: iso(time) for key, time in changed.items()})},
                    ":version": {"N": str(old.version if old else 0)},
                    ":next": {"N": str(old.version + 1 if old else 1)},
                    ":empty": {"M": {}},
                    **({} if old and old.suppressed else {":expires": self._expiry(at)}),
                },
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _expiry(self, at: datetime) -> AttributeValueTypeDef:
        return {"N": str(int((at + self._retention).timestamp()))}

    def _point(self, identifiers: list[Identifier], target: str, at: datetime) -> None:
        """Makes identifiers that belong to nobody yet belong to this profile, and keeps its own as long as it is kept."""
        rows = self._read([_identifier_key(identifier) for identifier in identifiers])
        halfway = (at + self._retention / 2).timestamp()
        for key in map(_identifier_key, identifiers):
            row = rows.get(key)
            ends_soon = row is not None and "expires_at" in row and float(row["expires_at"]["N"]) < halfway
            if row is None or (ends_soon and row["profile_id"]["S"] == target):
                self._put_pointer(key, target, at)

    def _put_pointer(self, key: str, target: str, at: datetime) -> None:
        try:
            self._client.put_item(
                TableName=self._table,
                Item={"pk": {"S": key}, "profile_id": {"S": target}, "expires_at": self._expiry(at)},
                ConditionExpression="attribute_not_exists(pk) OR (profile_id = :target AND attribute_exists(expires_at))",
                ExpressionAttributeValues={":target": {"S": target}},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return  # somebody else's by now, or kept for good

    def suppress(self, profile: str, channel: str, reason: str) -> None:
        """Nothing is sent to this person on this channel any more, and they are not forgotten. The first reason stays."""
        if not self._set_in(profile, "suppressed", channel, reason):
            return
        self._keep_for_good(f"profile#{profile}")
        person = self.get(profile)
        if person is not None and person.email:
            self._keep_for_good(_identifier_key(("email", person.email)))

    def _keep_for_good(self, key: str) -> None:
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": key}},
                UpdateExpression="REMOVE expires_at",
                ConditionExpression="attribute_exists(pk)",
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return

    def remember_contact(self, profile: str, destination: str, contact_id: str) -> None:
        """Keeps the id of this person's contact in a CRM."""
        self._set_in(profile, "crm_ids", destination, contact_id)

    def forget_contact(self, profile: str, destination: str, contact_id: str) -> None:
        """Drops the id of a contact that is no longer in the CRM, unless another has been remembered meanwhile."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": f"profile#{profile}"}},
                UpdateExpression="REMOVE crm_ids.#destination",
                ConditionExpression="crm_ids.#destination = :contact",
                ExpressionAttributeNames={"#destination": destination},
                ExpressionAttributeValues={":contact": {"S": contact_id}},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return

    def _set_in(self, profile: str, column: str, key: str, value: str) -> bool:
        """Whether there was such a person: whoever was erased meanwhile has nothing to be remembered."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": f"profile#{profile}"}},
                UpdateExpression=f"SET {column}.#key = if_not_exists({column}.#key, :value) ADD version :one",
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeNames={"#key": key},
                ExpressionAttributeValues={":value": {"S": value}, ":one": {"N": "1"}},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _read(self, keys: list[str]) -> dict[str, Row]:
        return read_rows(self._client, self._table, keys)


def _identifier_key(identifier: Identifier) -> str:
    """Addresses are hashed in keys: a key is what turns up in metrics and errors."""
    namespace, value = identifier
    if namespace == "email":
        value = hashlib.sha256(value.strip().lower().encode()).hexdigest()
    return f"identifier#{namespace}#{value}"


def _profile(key: str, row: Row) -> Profile:
    changed: dict[str, str] = json.loads(row["changed"]["S"])
    return Profile(
        id=key.removeprefix("profile#"),
        attributes=json.loads(row["attributes"]["S"]),
        changed={name: from_iso(at) for name, at in changed.items()},
        suppressed=texts(row["suppressed"]),
        crm_ids=texts(row["crm_ids"]),
        version=int(row["version"]["N"]),
    )
