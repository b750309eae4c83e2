"""The rows of the profiles table: of people, and of what they are called. The row of somebody who turned out to be somebody else
forwards to the person that both are, whose id sorts before: so forwards never go round in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.person import ADDRESS_OF, HASHED, Identifier, Profile, identifier_hash, joined_with, profile_of
from shared.rows import read_rows

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from shared.rows import Row


@dataclass(frozen=True)
class Place:
    """Where a person is found: `id` is another one than was asked for, if the two were joined."""

    id: str
    row: Row
    """Empty if nothing is known of them."""

    @property
    def profile(self) -> Profile | None:
        """The person; None if there is no such row."""
        return profile_of(self.row) if self.row else None


class ProfileTable:
    """Reads and writes of single rows."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client, self._table = client, table

    def read(self, keys: Iterable[str]) -> dict[str, Row]:
        """Those of the rows that exist, by key, read consistently."""
        return read_rows(self._client, self._table, keys)

    def places(self, ids: Iterable[str]) -> dict[str, Place]:
        """Where each of these people is: one read, and one more where somebody was joined with somebody else."""
        at = {one: one for one in ids}
        rows = self.read(map(profile_key, at.values()))
        while moved := {one: to for one, now in at.items() if (to := joined_with(rows.get(profile_key(now), {})))}:
            at |= moved
            rows |= self.read(key for key in map(profile_key, moved.values()) if key not in rows)
        return {one: Place(now, rows.get(profile_key(now), {})) for one, now in at.items()}

    def update(
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

    def update_person(
        self, profile: str, update: str, condition: str, names: Mapping[str, str], values: Mapping[str, AttributeValueTypeDef]
    ) -> tuple[bool, Row]:
        """The same of a person who exists, whoever they were joined with by now."""
        condition = f"attribute_exists(pk) AND attribute_not_exists(joined) AND {condition}".removesuffix(" AND ")
        while True:
            done, row = self.update(profile_key(profile), update, condition, names, values)
            to = "" if done else joined_with(row)
            if not to:
                return done, row
            profile = to


def profile_key(profile: str) -> str:
    """The key of a person's row."""
    return f"profile#{profile}"


def identifier_key(identifier: Identifier) -> str:
    """The key of an identifier's row: that of an address's hash is the address's."""
    namespace = identifier[0]
    return f"identifier#{HASHED.get(namespace, namespace)}#{identifier_hash(identifier)}"


def address_key(channel: str, address: str) -> str:
    """The key of an address's row."""
    return identifier_key((ADDRESS_OF[channel], address))
