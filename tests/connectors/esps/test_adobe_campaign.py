from __future__ import annotations

import json
from collections.abc import Iterator
from typing import cast

import pytest
from pydantic import JsonValue

from connectors.esps.adobe_campaign import CONNECTOR
from connectors.esps.base import Outcome, Sent
from connectors.esps.webhooks import read_post
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError, Transient
from shared.exchange import Response
from tests.connectors.esps.sending import NOW, asked, at_sandbox, rendered, sample_post, sandbox_of, send, summary, told
from tests.contract.sample import filled
from tests.sandbox.esps.adobe_campaign import AdobeCampaignSandbox

TOKEN = {"authorization": "Bearer secret-of-adobe-campaign-webhook-token-0123"}
EVENT = {"id": "w-1", "messageId": "m_1", "type": "opened", "time": "2026-11-21T11:58:00Z"}


@pytest.fixture(scope="module")
def running() -> Iterator[AdobeCampaignSandbox]:
    with sandbox_of("adobe_campaign") as sandbox:
        yield cast("AdobeCampaignSandbox", sandbox)


@pytest.fixture
def campaign(running: AdobeCampaignSandbox) -> AdobeCampaignSandbox:
    running.control("reset")
    return running


def one(campaign: AdobeCampaignSandbox, **changes: JsonValue) -> Outcome:
    made = at_sandbox("adobe_campaign", campaign, **changes)
    try:
        [outcome] = send(made, [rendered(made)]).outcomes
    except SendbridgeError as error:
        return error
    return outcome


def test_the_event_has_our_id_and_the_content_in_its_context(campaign: AdobeCampaignSandbox) -> None:
    assert isinstance(one(campaign), Sent)
    context = cast("dict[str, str]", campaign.taken[0].content["ctx"])
    assert (context["messageId"], context["subject"]) == (rendered(filled("adobe_campaign")).id, "Grüße, “1”")


HEADERS: dict[str, JsonValue] = {"X-Api-Key": "adobe-client-id", "Content-Type": "application/json;charset=utf-8"}
URL = "https://mc.adobe.io/geometrixx/campaign/mcgeometrixx/"


@pytest.mark.parametrize(
    ("changes", "outcome", "why"),
    [
        ({"headers": {**HEADERS, "X-Api-Key": "another"}}, Misconfigured, "(403000): the X-Api-Key is not valid"),
        ({"headers": {**HEADERS, "Content-Type": "application/json"}}, Permanent, "415"),
        ({"url": URL + "EVTnone"}, Misconfigured, "404"),
        ({"body": {"email": "nobody"}}, Permanent, "(RST-360011)"),
        ({"body": {"email": "ada@example.com", "ctx": {"other": "1"}}}, Permanent, "(RST-360011)"),
        ({"body": {"email": "ada@example.com", "expiration": "tomorrow"}}, Permanent, "(RST-360011)"),
    ],
)
def test_what_campaign_refuses(
    campaign: AdobeCampaignSandbox, changes: dict[str, JsonValue], outcome: type[SendbridgeError], why: str
) -> None:
    refused = one(campaign, **changes)
    assert type(refused) is outcome
    assert why in refused.reason
    assert campaign.taken == []


@pytest.mark.parametrize(
    ("change", "why"), [({"client_secret": "another-0123"}, "invalid_client"), ({"scope": "openid,other"}, "invalid_scope")]
)
def test_what_adobes_token_endpoint_refuses(campaign: AdobeCampaignSandbox, change: dict[str, JsonValue], why: str) -> None:
    auth = {**filled("adobe_campaign").auth.model_dump(mode="json"), "client_secret": "secret-of-adobe-client-secret-0123"}
    refused = one(campaign, auth={**auth, **change})
    assert type(refused) is Misconfigured
    assert why in refused.reason


def test_a_token_that_ended_is_renewed_once(campaign: AdobeCampaignSandbox) -> None:
    campaign.control("fail", target="send", mode="revoked", times=1)
    assert isinstance(one(campaign), Sent)
    assert [token["serial"] for token in campaign.ask("tokens")[-2:]] == [
        len(campaign.ask("tokens")) - 1,
        len(campaign.ask("tokens")),
    ]


def test_too_many_requests_wait_as_long_as_they_are_told(campaign: AdobeCampaignSandbox) -> None:
    campaign.control("fail", target="send", mode="429", times=1, retry_after=9)
    limited = one(campaign)
    assert type(limited) is Transient
    assert (limited.retry_after, "(429050)" in limited.reason) == (9, True)


@pytest.mark.parametrize("status", ["ignored", "deliveryFailed", "routingFailed", "tooOld", "targetingFailed"])
def test_an_event_that_will_not_be_sent_is_no_success(status: str) -> None:
    made = filled("adobe_campaign")
    body = json.dumps({"PKey": "@abc", "status": status}).encode()
    [outcome] = asked(made, [rendered(made)], Response(200, {}, body))[0].outcomes
    assert type(outcome) is Permanent
    assert f"({status})" in outcome.reason


def test_what_a_workflow_posts_is_read() -> None:
    assert summary(told("adobe_campaign", [cast("JsonValue", EVENT)], TOKEN)) == [("m_1", "opened", False)]
    bounce: JsonValue = {**EVENT, "id": "w-2", "type": "bounced", "bounceType": "hard", "code": "550"}
    assert summary(told("adobe_campaign", bounce, TOKEN)) == [("m_1", "bounced", True)]


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer other"}, {"authorization": TOKEN["authorization"][7:]}])
def test_nobody_else_may_post(headers: dict[str, str]) -> None:
    with pytest.raises(BadRequest) as refused:
        told("adobe_campaign", [cast("JsonValue", EVENT)], headers)
    assert refused.value.status == 401


def test_the_sample_post_is_an_opening() -> None:
    parsed = read_post(CONNECTOR, filled("adobe_campaign"), sample_post("adobe_campaign"), lambda: NOW)
    assert summary(parsed) == [("m_ada", "opened", False)]
