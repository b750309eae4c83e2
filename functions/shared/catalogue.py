"""The catalogue of definitions as functions see it: in memory for at most `ttl` seconds, so that an edit needs no deploy
and a hot path reads nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic import JsonValue, ValidationError

from shared.clock import Clock
from shared.definitions import SECRET, kind_of
from shared.errors import Misconfigured
from shared.fields import Definition
from shared.observe import logger
from shared.problem import first_problem
from shared.secrets import Secrets

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

D = TypeVar("D", bound=Definition)


@dataclass(frozen=True)
class Versioned(Generic[D]):
    """A definition and its version (1, 2, …)."""

    definition: D
    version: int


class Catalogue(Generic[D]):
    """All current definitions of one kind, by name. `secrets` is given where secret fields are needed."""

    def __init__(
        self,
        model: type[D],
        kind: str,
        *,
        table: str,
        dynamodb: DynamoDBClient,
        clock: Clock,
        ttl: float,
        secrets: Secrets | None = None,
    ) -> None:
        self._model, self._kind = model, kind
        self._table, self._dynamodb, self._clock, self._ttl, self._secrets = table, dynamodb, clock, ttl, secrets
        self._read_at = float("-inf")
        self._current: dict[str, Versioned[D]] = {}
        self._invalid: dict[str, str] = {}
        self._old: dict[tuple[str, int], tuple[int, Versioned[D]]] = {}

    def all(self) -> Mapping[str, Versioned[D]]:
        """Every current definition, read again when older than `ttl` seconds."""
        now = self._clock().timestamp()
        if now - self._read_at >= self._ttl:
            self._current, self._invalid = self._load_all()
            self._read_at = now
        return self._current

    def get(self, name: str) -> Versioned[D] | None:
        """The current definition of this name, or None."""
        return self.all().get(name)

    def require(self, name: str) -> Versioned[D]:
        """Like `get`. Raises Misconfigured if there is none, or if it is not valid."""
        found = self.get(name)
        if found is None:
            raise Misconfigured(f"the {self._kind} {name} {self._invalid.get(name, 'does not exist')}")
        return found

    def at(self, name: str, version: int) -> Versioned[D]:
        """The definition as it was under this version, for what was decided under it: an edit is for what comes after.

        It has the secrets of its time, those that were rotated since excepted. If that version is no longer kept, or no longer
        valid, it is the current one. Whether a definition is switched on, only the current one tells. Raises Misconfigured
        like `require`.
        """
        current = self.require(name)
        if current.version == version:
            return current
        # Kept for good: a version never changes. Only a rotation of secrets, which makes a new current one, may touch it.
        seen_under, old = self._old.get((name, version), (0, current))
        if seen_under != current.version:
            old = self._read_old(name, version) or current
            self._old[name, version] = current.version, old
        return old

    def _read_old(self, name: str, version: int) -> Versioned[D] | None:
        answer = self._dynamodb.query(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk = :sk",
            ExpressionAttributeValues={":pk": {"S": f"{self._kind}#{name}"}, ":sk": {"S": padded(version)}},
        )
        text = answer["Items"][0]["body"]["S"] if answer["Items"] else "null"
        try:
            return self._made(name, version, text) if text != "null" else None
        except ValidationError as error:
            logger.error("invalid definition", kind=self._kind, definition=name, version=version, reason=first_problem(error))
            return None

    def _load_all(self) -> tuple[dict[str, Versioned[D]], dict[str, str]]:
        """The valid definitions, and why each other one is not: a bad one (of an older release, say) stops no other."""
        valid: dict[str, Versioned[D]] = {}
        invalid: dict[str, str] = {}
        for name, version, text in self._rows():
            try:
                valid[name] = self._load(name, version, text)
            except ValidationError as error:
                invalid[name] = f"is not valid: {first_problem(error)}"
                logger.error("invalid definition", kind=self._kind, definition=name, reason=invalid[name])
        return valid, invalid

    def _rows(self) -> list[tuple[str, int, str]]:
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :kind",
            ExpressionAttributeValues={":kind": {"S": self._kind}},
        )
        return [(i["sk"]["S"], int(i["version"]["N"]), i["body"]["S"]) for page in pages for i in page["Items"]]

    def _load(self, name: str, version: int, text: str) -> Versioned[D]:
        known = self._current.get(name)
        if known is not None and known.version == version:
            return known
        return self._made(name, version, text)

    def _made(self, name: str, version: int, text: str) -> Versioned[D]:
        body = json.loads(text)
        values: Mapping[str, JsonValue] = {}
        if self._secrets is not None and _holds_secrets(body):
            values = values_at(self._secrets.read(f"definition/{self._kind}/{name}") or {}, version)
        return Versioned(self._model.model_validate(unmask(body, values)), version)


def _holds_secrets(body: JsonValue) -> bool:
    if isinstance(body, dict):
        return body == SECRET or any(_holds_secrets(value) for value in body.values())
    return isinstance(body, list) and any(_holds_secrets(value) for value in body)


@dataclass(frozen=True)
class Definitions:
    """Where a function's catalogues come from."""

    table: str
    dynamodb: DynamoDBClient
    clock: Clock
    ttl: float
    secrets: Secrets | None = None

    def catalogue(self, model: type[D], *, secrets: bool = True) -> Catalogue[D]:
        """The catalogue of one kind; `secrets=False` where its secret fields are not needed."""
        return Catalogue(
            model,
            kind_of(model),
            table=self.table,
            dynamodb=self.dynamodb,
            clock=self.clock,
            ttl=self.ttl,
            secrets=self.secrets if secrets else None,
        )


OLD = "old"
"""Where a definition's secret has the values of versions that were in force before, by version, if they were others."""


def values_at(kept: Mapping[str, JsonValue], version: int) -> Mapping[str, JsonValue]:
    """The secret values of one version in what Secrets Manager keeps of a definition."""
    old = kept.get(OLD)
    values = old.get(str(version)) if isinstance(old, dict) else None
    return values if isinstance(values, dict) else kept


def padded(version: int) -> str:
    """A version as the sort key of its row among all versions of a definition (`kind#name`)."""
    return f"{version:010d}"


def unmask(body: JsonValue, values: Mapping[str, JsonValue], path: str = "") -> JsonValue:
    """Puts each secret value, kept under its path (`/auth/client_secret`), back where the stored body has the mark."""
    if body == SECRET:
        return values.get(path, "")
    if isinstance(body, dict):
        return {key: unmask(value, values, f"{path}/{key}") for key, value in body.items()}
    if isinstance(body, list):
        return [unmask(value, values, f"{path}/{index}") for index, value in enumerate(body)]
    return body
