"""Conditional writes of many rows in one request: PartiQL, by `BatchExecuteStatement`.

Each statement succeeds or fails for itself, and nothing is said of their order: the statements of one call are about different
rows. What the embedded AWS does not know (`list_append`) is not used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.errors import Transient
from shared.runs import in_runs

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef, BatchStatementRequestTypeDef

    from shared.rows import Row

AT_ONCE = 25
"""Statements of one request, as DynamoDB allows."""

_LARGEST = 4_000_000
"""Bytes of parameters in one request: well below DynamoDB's 16 MB."""

_TRIES = 3
_CONDITION = ("ConditionalCheckFailed", "DuplicateItem")


@dataclass(frozen=True)
class Statement:
    """One conditional write of one row. The text has a `?` for each parameter."""

    text: str
    parameters: Sequence[AttributeValueTypeDef]


@dataclass(frozen=True)
class Refused:
    """A statement whose condition did not hold. `row` is what is there, where DynamoDB says so; None if there is none."""

    row: Row | None


Result = Refused | Transient | None
"""What became of a statement: None if it was carried out, Transient if DynamoDB could not say so now."""


def execute(client: DynamoDBClient, statements: Iterable[Statement]) -> list[Result]:
    """Carries out these statements, each about another row, 25 a request; the results are in their order."""
    results: list[Result] = []
    for run in in_runs(statements, _size, most=AT_ONCE, largest=_LARGEST):
        results += _tried(client, run)
    return results


def _tried(client: DynamoDBClient, run: Sequence[Statement]) -> list[Result]:
    """Those that DynamoDB was too busy for are tried again at once, twice: inside an invocation a short effort is enough."""
    results = _sent(client, run)
    for _ in range(_TRIES - 1):
        again = [index for index, result in enumerate(results) if isinstance(result, Transient)]
        if not again:
            break
        for index, result in zip(again, _sent(client, [run[index] for index in again]), strict=True):
            results[index] = result
    return results


def _sent(client: DynamoDBClient, run: Sequence[Statement]) -> list[Result]:
    requests: list[BatchStatementRequestTypeDef] = [
        {
            "Statement": statement.text,
            "Parameters": statement.parameters,
            **({} if statement.text.startswith("INSERT") else {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}),  # type: ignore[typeddict-item]
        }
        for statement in run
    ]
    try:
        answer = client.batch_execute_statement(Statements=requests)
    except client.exceptions.ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        return [Transient(f"DynamoDB: {code}")] * len(run)
    return [_result(one) for one in answer["Responses"]]


def _result(response: Mapping[str, object]) -> Result:
    error = response.get("Error")
    if not isinstance(error, dict):
        return None
    if error.get("Code") in _CONDITION:
        return Refused(error.get("Item"))
    return Transient(f"DynamoDB: {error.get('Code')}")


def _size(statement: Statement) -> int:
    return sum(map(_length, statement.parameters))


def _length(value: AttributeValueTypeDef) -> int:
    """About how many characters a parameter has, as its larger texts say."""
    if "S" in value:
        return len(value["S"])
    return sum(map(len, (one.get("S", "") for one in value["L"]))) if "L" in value else 0
