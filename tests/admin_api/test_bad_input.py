"""Whatever comes in, the answer is a problem document that says what is wrong."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from admin_api.app import Admin
from admin_api.settings import Settings
from tests.admin_api.conftest import Ask, request
from tests.admin_api.samples import template, trigger
from tests.aws import Aws

ONE = "/definitions/template/cart"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400),
        ("{", 400),
        ("[" * 10_000, 400),
        ('{"a":' * 60 + "1" + "}" * 60, 400),
        ("null", 422),
        ("[]", 422),
        ('"text"', 422),
        ('{"subject": NaN}', 400),
        ('{"defaults": {"x": 1e999}}', 400),
        ('{"defaults": {"x": "\\ud800"}}', 400),
        ('{"defaults": {"\\ud800": 1}}', 400),
        ('{"defaults": {"x": ' + "9" * 5000 + "}}", 400),
        ("{" + '"x": 1,' * 30_000 + '"y": 2}', 422),
        ('{"' + "k" * 100_000 + '": 1}', 422),
        ('{"subject": "' + "s" * 300_000 + '", "html": "h"}', 422),
        ("x" * 1_000_000, 413),
        ('{"subject": "s", "html": "' + "é" * 199_000 + '"}', 413),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, str) else str(value),
)
def test_a_bad_body_is_a_4xx(ask: Ask, body: str, status: int) -> None:
    answered, problem = ask("PUT", ONE, body)
    assert (answered, problem["status"]) == (status, status)
    assert problem["detail"]
    assert len(str(problem)) < 5000


def test_a_body_that_is_not_utf8_is_refused(aws: Aws, settings: Settings) -> None:
    event = request("PUT", ONE) | {"body": base64.b64encode(b'{"subject": "\xff"}').decode(), "isBase64Encoded": True}
    assert Admin(settings, aws.clock).answer(event)["statusCode"] == 400


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/definitions/tracker", {}, 404),
        ("/definitions/nothing/cart", {}, 404),
        ("/definitions/template/Cart%20", {}, 400),
        ("/definitions/template/" + "x" * 65, {}, 400),
        ("/definitions", {"kind": "nothing"}, 404),
        (ONE, {"version": "0"}, 400),
        (ONE, {"version": "-1"}, 400),
        (ONE, {"version": "9" * 40}, 400),
        (ONE, {"verison": "1"}, 400),
        (ONE + "/versions", {}, 404),
        ("/traces", {}, 400),
        ("/traces", {"visit": "v", "tracker": "t"}, 400),
        ("/traces", {"tracker": "shop"}, 400),
        ("/traces", {"visit": "v" * 5000}, 400),
        ("/traces/m_1", {}, 404),
        ("/traces/" + "m" * 5000, {}, 404),
        ("/traces/" + "\U0001f600" * 5000, {}, 404),
        ("/traces", {"visit": "\U0001f600" * 300}, 400),
        ("/parked", {"queue": "nothing"}, 404),
        ("", {}, 404),
        ("/../admin", {}, 404),
    ],
)
def test_a_bad_path_or_parameter_is_a_4xx(ask: Ask, path: str, query: dict[str, str], status: int) -> None:
    answered, problem = ask("GET", path, None, **query)
    assert answered == status
    assert problem["detail"]


def test_a_misspelt_dry_run_writes_nothing(ask: Ask) -> None:
    assert ask("PUT", ONE, template(), dryrun="true")[0] == 400
    assert ask("PUT", ONE, template(), dry_run="yes")[0] == 400
    assert ask("GET", ONE)[0] == 404


def test_a_method_that_is_not_there_names_those_that_are(ask: Ask) -> None:
    status, problem = ask("POST", ONE, {})
    assert (status, problem["detail"]) == (405, "use GET or PUT or DELETE here")


@pytest.mark.parametrize("body", [{}, {"queue": "events", "all": True}, {"queue": 5}, {"queue": "events", "ids": "x"}, []])
def test_a_bad_redrive_is_refused(ask: Ask, body: Any) -> None:
    assert ask("POST", "/parked/redrive", body)[0] == 422


def test_a_trigger_that_can_never_fire_is_refused(ask: Ask) -> None:
    status, problem = ask("PUT", "/definitions/trigger/t", trigger(must_not_include=["Product Added"]))
    assert status == 422
    assert "never fire" in {fault["field"]: fault["expected"] for fault in problem["errors"]}["must_include.0"]
