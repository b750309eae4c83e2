"""Every vendor's preset: saved, previewed and tried as a user would, and tried with bodies that are none of the vendor's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.presets import presets
from shared.exchange import Response
from shared.secrets import Secrets
from tests.admin_api.conftest import Ask, Vendors
from tests.aws import Aws

pytestmark = pytest.mark.slow

PERSON = {"email": "ada@example.com", "phone": "+491701234567", "first_name": "Ada"}
SECRET = "c2VjcmV0LWtleS1mb3ItdGVzdHMtb25seS0x"


def filled(value: Any) -> Any:
    """A preset's definition with something in each of its holes."""
    if isinstance(value, dict):
        return SECRET if value.keys() == {"env"} else {key: filled(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner) for inner in value]
    if not isinstance(value, str) or "${" not in value:
        return value
    before, _, rest = value.partition("${")
    name, _, after = rest.partition("}")
    kinds = {
        "URL": "https://vendor.example",
        "HOST": "api.vendor.example",
        "SERVER": "api.vendor.example",
        "ACCESS_KEY_ID": "A" * 20,
    }
    found = next((value for kind, value in kinds.items() if kind in name), "filled")
    return filled(before + found + after)


@pytest.fixture
def saved(ask: Ask, aws: Aws, request: pytest.FixtureRequest) -> str:
    """The path of a preset that was saved."""
    Secrets(aws.secretsmanager, aws.secret_prefix).write("links", {"key": "k"})
    path = f"/definitions/integration/{request.param}"
    status, answer = ask("PUT", path, filled(presets()[request.param].definition))
    assert status == 200, answer
    return path


@pytest.mark.parametrize("saved", [*presets()], indirect=True)
def test_a_preset_makes_a_request_and_shows_no_secret(ask: Ask, saved: str) -> None:
    status, answer = ask("POST", f"{saved}/test", {"profile": PERSON, "preview": True})
    assert (status, answer["error"]) == (200, None)
    assert answer["request"]["url"].startswith("https://")
    assert not [line for line in answer["variables"] if line["source"] == "missing" and line["required"]]
    assert SECRET not in json.dumps(answer)


@pytest.mark.parametrize("saved", [*presets()], indirect=True)
def test_whatever_is_typed_and_whatever_comes_back_there_is_a_conclusion(ask: Ask, saved: str, vendors: Vendors) -> None:
    token = Response(200, {}, b'{"access_token": "a-token"}')
    oauth2 = ask("GET", saved)[1]["definition"].get("auth", {}).get("type") == "oauth2"
    for body in ({}, {"to": 5}, {"a": [{"b": None}]}, None):
        for answer in (b"", b"[]", b'{"id": 5}', b'"text"', b"null", b"<html>", b"[[]]", b'{"messages": [5]}'):
            vendors.answers = [*([token] if oauth2 else []), Response(200, {}, answer)]
            status, found = ask("POST", f"{saved}/test", {"profile": PERSON, "body": body})
            assert (status, found["conclusion"]["outcome"] in ("sent", "retry", "unknown", "park", "misconfigured")) == (
                200,
                True,
            )
            assert found["calls"] or found["conclusion"]["reason"]
            assert SECRET not in json.dumps(found)
