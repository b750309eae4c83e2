"""Profiles: one person each, found by identifiers, with attributes that remember when they changed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import JsonValue

from shared.clock import iso
from shared.errors import Transient
from shared.ids import profile_id
from shared.person import Identifier, Profile, Suppression, column_of, identifier_hash, profile_of
from shared.rows import read_rows

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from shared.rows import Row

_TRIES = 5


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
        return {key.removeprefix("profile#"): profile_of(row) for key, row in rows.items()}

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
                " crm_ids = if_not_exists(crm_ids, :empty)"
                + (" REMOVE expires_at" if old and old.suppressions else ", expires_at = :expires"),
                ConditionExpression="attribute_not_exists(pk) OR version = :version",
                ExpressionAttributeValues={
                    ":a": {"S": json.dumps(values)},
                    ":c": {"S": json.dumps({key: iso(time) for key, time in changed.items()})},
                    ":version": {"N": str(old.version if old else 0)},
                    ":next": {"N": str(old.version + 1 if old else 1)},
                    ":empty": {"M": {}},
                    **({} if old and old.suppressions else {":expires": self._expiry(at)}),
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

    def suppress(self, profile: str, suppression: Suppression) -> None:
        """Nothing is sent to this person on its channel any more, and they are not forgotten. Of one cause the newest stays."""
        column, text = column_of(suppression)
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": f"profile#{profile}"}},
                UpdateExpression="SET #column = :text REMOVE expires_at ADD version :one",
                ConditionExpression="attribute_exists(pk) AND (attribute_not_exists(#column) OR #column < :text)",
                ExpressionAttributeNames={"#column": column},
                ExpressionAttributeValues={":text": {"S": text}, ":one": {"N": "1"}},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return
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
    return f"identifier#{identifier[0]}#{identifier_hash(identifier)}"
