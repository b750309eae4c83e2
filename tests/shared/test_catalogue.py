"""Definitions as functions see them: the ones in force, and those that messages in flight were decided with."""

from __future__ import annotations

import json

import pytest
from pydantic import JsonValue

from shared.catalogue import Catalogue, Definitions
from shared.definitions import Integration
from shared.errors import Misconfigured
from shared.secrets import Secrets
from tests.aws import Aws

SETTINGS: dict[str, JsonValue] = {
    "name": "postbird",
    "url": "https://api.postbird.example/v1",
    "secret_headers": {"X-Key": {"secret": True}},
    "body": {"to": "{{ to }}"},
}


def put(aws: Aws, version: int, **changes: JsonValue) -> None:
    """A version in force, with its row in the history."""
    row = {"version": {"N": str(version)}, "body": {"S": json.dumps({**SETTINGS, **changes})}}
    for pk, sk in (("integration", "postbird"), ("integration#postbird", f"{version:010d}")):
        aws.dynamodb.put_item(TableName=aws.table("definitions"), Item={"pk": {"S": pk}, "sk": {"S": sk}, **row})


@pytest.fixture
def secrets(aws: Aws) -> Secrets:
    return Secrets(aws.secretsmanager, aws.secret_prefix)


@pytest.fixture
def catalogue(aws: Aws, secrets: Secrets) -> Catalogue[Integration]:
    secrets.write("definition/integration/postbird", {"/secret_headers/X-Key": "first", "version": 1})
    put(aws, 1)
    return Definitions(aws.table("definitions"), aws.dynamodb, aws.clock, 30, secrets).catalogue(Integration)


def key(integration: Integration) -> str:
    return integration.secret_headers["X-Key"].get_secret_value()


def test_a_message_in_flight_keeps_its_version_and_its_secrets(
    aws: Aws, secrets: Secrets, catalogue: Catalogue[Integration]
) -> None:
    assert catalogue.at("postbird", 1).definition.url == "https://api.postbird.example/v1"
    old: JsonValue = {"1": {"/secret_headers/X-Key": "first"}}
    secrets.write("definition/integration/postbird", {"/secret_headers/X-Key": "second", "version": 2, "old": old})
    put(aws, 2, url="https://api.postbird.example/v2")
    aws.clock.forward(31)
    for version, url, secret in ((1, "v1", "first"), (2, "v2", "second")):
        found = catalogue.at("postbird", version)
        assert (found.version, found.definition.url[-2:], key(found.definition)) == (version, url, secret)
    assert catalogue.require("postbird").version == 2


def test_a_secret_that_was_rotated_is_rotated_for_messages_in_flight(
    aws: Aws, secrets: Secrets, catalogue: Catalogue[Integration]
) -> None:
    put(aws, 2, description="the same, with a new key")
    secrets.write("definition/integration/postbird", {"/secret_headers/X-Key": "second", "version": 2})
    aws.clock.forward(31)
    assert key(catalogue.at("postbird", 1).definition) == "second"
    secrets.write("definition/integration/postbird", {"/secret_headers/X-Key": "third", "version": 3})
    put(aws, 3)
    aws.clock.forward(31)
    assert key(catalogue.at("postbird", 1).definition) == "third"


def test_while_a_new_version_is_published_the_old_one_has_its_own_secrets(
    aws: Aws, secrets: Secrets, catalogue: Catalogue[Integration]
) -> None:
    old: JsonValue = {"1": {"/secret_headers/X-Key": "first"}}
    secrets.write("definition/integration/postbird", {"/secret_headers/X-Key": "second", "version": 2, "old": old})
    assert key(catalogue.require("postbird").definition) == "first"


def test_an_old_version_is_read_once(aws: Aws, catalogue: Catalogue[Integration]) -> None:
    put(aws, 2)
    assert catalogue.at("postbird", 1).version == 1
    aws.dynamodb.delete_item(
        TableName=aws.table("definitions"), Key={"pk": {"S": "integration#postbird"}, "sk": {"S": f"{1:010d}"}}
    )
    assert catalogue.at("postbird", 1).version == 1


@pytest.mark.parametrize("body", [None, "null", '{"name": "postbird", "no": "longer valid"}'])
def test_a_version_that_is_gone_is_the_current_one(aws: Aws, catalogue: Catalogue[Integration], body: str | None) -> None:
    put(aws, 3)
    key = {"pk": {"S": "integration#postbird"}, "sk": {"S": f"{1:010d}"}}
    aws.dynamodb.delete_item(TableName=aws.table("definitions"), Key=key)
    if body:
        item = {**key, "version": {"N": "1"}, "body": {"S": body}}
        aws.dynamodb.put_item(TableName=aws.table("definitions"), Item=item)
    assert catalogue.at("postbird", 1).version == 3


def test_what_was_deleted_has_no_versions(aws: Aws, catalogue: Catalogue[Integration]) -> None:
    aws.dynamodb.delete_item(TableName=aws.table("definitions"), Key={"pk": {"S": "integration"}, "sk": {"S": "postbird"}})
    with pytest.raises(Misconfigured, match="does not exist"):
        catalogue.at("postbird", 1)
