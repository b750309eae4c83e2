"""Reading rows of DynamoDB tables whose key is `pk`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Row: TypeAlias = Mapping[str, AttributeValueTypeDef]

_AT_ONCE = 100


def read_rows(client: DynamoDBClient, table: str, keys: Iterable[str]) -> dict[str, Row]:
    """Those of the rows with these keys that exist, by key, read consistently, a hundred a request."""
    found: dict[str, Row] = {}
    wanted: list[Mapping[str, AttributeValueTypeDef]] = [{"pk": {"S": key}} for key in dict.fromkeys(keys)]
    while wanted:
        answer = client.batch_get_item(RequestItems={table: {"Keys": wanted[:_AT_ONCE], "ConsistentRead": True}})
        found.update((row["pk"]["S"], row) for row in answer["Responses"].get(table, []))
        unread = answer.get("UnprocessedKeys", {})
        wanted = [*(unread[table]["Keys"] if table in unread else []), *wanted[_AT_ONCE:]]
    return found


def texts(value: AttributeValueTypeDef) -> dict[str, str]:
    """A map attribute whose values are strings."""
    return {key: text["S"] for key, text in value["M"].items()}
