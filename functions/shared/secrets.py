"""Secrets Manager: the secret fields of definitions and the access tokens. Nothing read here is logged or stored elsewhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import JsonValue

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


class Secrets:
    """The JSON secrets of one deployment, under its prefix."""

    def __init__(self, client: SecretsManagerClient, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    def read(self, name: str) -> dict[str, JsonValue] | None:
        """The secret's JSON object; None if there is no such secret, or it has no value yet."""
        try:
            answer = self._client.get_secret_value(SecretId=f"{self._prefix}/{name}")
        except self._client.exceptions.ResourceNotFoundException:
            return None
        value = json.loads(answer["SecretString"])
        return value if isinstance(value, dict) else None

    def write(self, name: str, value: dict[str, JsonValue]) -> None:
        """Stores the JSON object, creating the secret if it does not exist."""
        text = json.dumps(value)
        try:
            self._client.put_secret_value(SecretId=f"{self._prefix}/{name}", SecretString=text)
        except self._client.exceptions.ResourceNotFoundException:
            self._client.create_secret(Name=f"{self._prefix}/{name}", SecretString=text)

    def delete(self, name: str) -> None:
        """Removes the secret at once; no error if there is none."""
        try:
            self._client.delete_secret(SecretId=f"{self._prefix}/{name}", ForceDeleteWithoutRecovery=True)
        except self._client.exceptions.ResourceNotFoundException:
            return
