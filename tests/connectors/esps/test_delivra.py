from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import cast

import pytest
from pydantic import JsonValue

from connectors.esps.base import Outcome, Sent
from connectors.esps.delivra import CONNECTOR
from connectors.esps.webhooks import read_post
from shared.errors import BadRequest, Misconfigured, Permanent, Unknown
from shared.exchange import Response
from tests.connectors.esps.sending import NOW, asked, at_sandbox, login, rendered, sample_post, sandbox_of, send, summary, told
from tests.contract.sample import filled
from tests.sandbox.esps.delivra import DelivraSandbox

LOGIN = login("secret-of-delivra-webhook-login-0123")
EVENT: dict[str, JsonValue] = {"id": "d-1", "reference": "m_1", "type": "clicked", "time": "2026-11-21T11:58:00Z"}


@pytest.fixture
def delivra() -> Iterator[DelivraSandbox]:
    with sandbox_of("delivra") as sandbox:
        yield cast("DelivraSandbox", sandbox)


def one(delivra: DelivraSandbox, **changes: JsonValue) -> Outcome:
    made = at_sandbox("delivra", delivra, **changes)
    [outcome] = send(made, [rendered(made)]).outcomes
    return outcome


def test_the_credentials_are_headers_and_an_answer_may_begin_with_a_mark(delivra: DelivraSandbox) -> None:
    sent = one(delivra)
    assert isinstance(sent, Sent)
    assert sent.esp_message_id == "1"
    assert delivra.ours() == [rendered(filled("delivra")).id]


def test_an_error_after_a_mark_is_read_too(delivra: DelivraSandbox) -> None:
    refused = one(delivra, body={"email": "nobody"})
    assert type(refused) is Permanent
    assert refused.reason == "the ESP answered HTTP 400 (InvalidMessage)"
    wrong = one(delivra, headers={"username": "another", "listname": "delivra-list"})
    assert type(wrong) is Misconfigured


def test_every_name_is_a_setting() -> None:
    made = filled(
        "delivra", url="https://api.example.com/x", message_id_path="a.b", headers={"x-user": "u"}, body={"to": "{{ to }}"}
    )
    answered, [request] = asked(made, [rendered(made)], Response(200, {}, b'{"a": {"b": 7}}'))
    assert answered.outcomes == [Sent("7", 200, 0)]
    assert (request.headers["x-user"], request.body) == ("u", b'{"to":"person1@example.com"}')


def test_an_answer_without_an_id_is_unknown() -> None:
    made = filled("delivra")
    [outcome] = asked(made, [rendered(made)], Response(200, {}, b"{}"))[0].outcomes
    assert type(outcome) is Unknown


def test_what_it_posts_may_begin_with_a_mark_too() -> None:
    for body in (json.dumps([EVENT]).encode(), codecs.BOM_UTF8 + json.dumps(EVENT).encode()):
        assert summary(told("delivra", body, LOGIN)) == [("m_1", "clicked", False)]
    with pytest.raises(BadRequest) as refused:
        told("delivra", [EVENT], login("delivra:guess"))
    assert refused.value.status == 401


def test_the_sample_post_is_a_click() -> None:
    parsed = read_post(CONNECTOR, filled("delivra"), sample_post("delivra"), lambda: NOW)
    assert summary(parsed) == [("m_ada", "clicked", False)]


def test_the_preset_says_that_nothing_of_it_is_certain() -> None:
    assert CONNECTOR.preset is not None
    assert any("API is private" in note for note in CONNECTOR.preset.notes)
