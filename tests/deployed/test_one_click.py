"""Opting out by the link in a message, on the deployed stack."""

from __future__ import annotations

import json
from typing import Any

import boto3
import httpx
import pytest

from cli.local.world import World
from shared.links import Links
from tests.deployed.shop import Shop, until
from tests.sandbox.tracker import Tracker

pytestmark = pytest.mark.deployed


def link(world: World, message: dict[str, Any]) -> str:
    """The link that was in the message."""
    secrets = boto3.client(
        "secretsmanager",
        endpoint_url=world.aws.endpoint,
        region_name=world.environment["AWS_REGION"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    key = json.loads(secrets.get_secret_value(SecretId="sendbridge-local/links")["SecretString"])["key"]
    return Links(key, world.deployment.url).unsubscribe(message["message_id"], message["profile_id"], "email")


def another_visit(shop: Shop, number: int) -> list[dict[str, Any]]:
    """The same person abandons a cart in another browser. What became of it."""
    browser = f"browser-{shop.name(number)}-b"
    events = [{**event, "id": f"{event['id']}b", "anonymous_id": browser} for event in shop.events(number)]
    with Tracker(shop.world.events_url, shop.world.shop_secret) as tracker:
        assert [answer.status_code for answer in tracker.post(events)] == [202]

    def traces() -> list[dict[str, Any]]:
        found: Any = shop.world.sendbridge("trace", "--tracker", "shop", "--anonymous-id", browser)
        return list(found["traces"] if isinstance(found, dict) else found)

    return until(traces, lambda found: bool(found) and found[0]["status"] in ("sent", "skipped"), 90)


@pytest.mark.timeout(300)
def test_one_click_stops_all_mail_and_is_told_once(deployed: World, shop: Shop) -> None:
    shop.abandon([1])
    [sent] = until(lambda: shop.traces(1), lambda found: bool(found) and found[0]["status"] == "sent", 90)
    url = link(deployed, sent)
    page = httpx.get(url, timeout=30)
    assert (page.status_code, page.headers["x-robots-tag"]) == (200, "noindex, nofollow")
    assert "<form" in page.text
    for _ in range(2):
        answer = httpx.post(url, data={"List-Unsubscribe": "One-Click"}, timeout=30)
        assert (answer.status_code, "no more emails" in answer.text) == (200, True)
    [told] = until(lambda: shop.traces(1), lambda found: "unsubscribed" in found[0]["engagements"].values(), 60)
    assert [*told["engagements"].values()].count("unsubscribed") == 1
    [second] = another_visit(shop, 1)
    assert (second["status"], second["trace"][-1]["reason"]) == ("skipped", "suppressed: unsubscribed")
    assert shop.inbox()[shop.email(1)] == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path", ["m_0/p_0/email/forged", "m_0/p_0/pigeon/forged", f"{'m' * 2000}/p/email/{'s' * 2000}", "%2F/%00/email/é"]
)
def test_a_forged_link_says_nothing(deployed: World, method: str, path: str) -> None:
    answer = httpx.request(method, f"{deployed.deployment.url}/v1/unsubscribe/{path}", timeout=30)
    assert answer.status_code == 404
    assert "<form" not in answer.text
