"""What people who operate a deployment do: delete a definition, redrive what was parked, let the schedule renew tokens."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import httpx
import pytest

from cli.local.world import TEST_ADDRESS, World
from tests.deployed.shop import Shop, until

pytestmark = pytest.mark.deployed


def client(world: World, service: str) -> Any:
    make: Any = boto3.client  # typed by one overload for each service
    return make(
        service,
        endpoint_url=world.aws.endpoint,
        region_name=world.environment["AWS_REGION"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def test_a_definition_is_put_listed_and_deleted_with_its_secret(deployed: World, admin: httpx.Client) -> None:
    body = {"secrets": ["whsec_" + "QUJD" * 8]}
    assert admin.put("/definitions/tracker/second", json=body).status_code == 200
    name = "sendbridge-local/definition/tracker/second"
    assert "QUJD" in client(deployed, "secretsmanager").get_secret_value(SecretId=name)["SecretString"]
    shown = admin.get("/definitions/tracker/second")
    assert shown.status_code == 200
    assert "QUJD" not in shown.text
    assert admin.delete("/definitions/tracker/second").status_code in (200, 204)
    assert admin.get("/definitions/tracker/second").status_code == 404
    with pytest.raises(client(deployed, "secretsmanager").exceptions.ResourceNotFoundException):
        client(deployed, "secretsmanager").get_secret_value(SecretId=name)


def test_what_is_in_use_cannot_be_deleted(admin: httpx.Client) -> None:
    for refused in (
        admin.post("/definitions/template/cart_abandoned/unpublish"),
        admin.delete("/definitions/integration/postbird"),
    ):
        assert refused.status_code == 409
        assert "abandoned_cart" in refused.text


def test_what_was_parked_goes_on_once_its_cause_is_mended(shop: Shop, admin: httpx.Client) -> None:
    """A template that asks for what nobody has parks the message; mended and redriven, it is sent."""
    one = "/definitions/template/cart_abandoned"
    good = admin.get(one).json()
    assert (
        admin.put(one, json={**good["definition"], "subject": "{{ profile.shoe_size }}"}).json()["published"] == good["version"]
    )
    shop.world.run_command("proof", "abandoned_cart", "--to", TEST_ADDRESS, "--set", "shoe_size=42", "--publish")
    try:
        shop.abandon([1])
        parked = until(lambda: mine(shop), bool, 60)
        assert "shoe_size" in parked[0]["reason"]
        assert shop.inbox() == {}
    finally:
        shop.world.run_command("rollback", "template/cart_abandoned", "--to", str(good["version"]))
        shop.world.run_command("publish", "cart_abandoned")
    shop.world.run_command("redrive", "--queue", "messages", *[item["id"] for item in parked])
    assert until(shop.inbox, bool, 60) == {shop.email(1): 1}
    assert mine(shop) == []


def mine(shop: Shop) -> list[dict[str, Any]]:
    """The parked messages of this test's visitors."""
    return [item for item in shop.parked() if f"browser-{shop.prefix}-" in item["body"]]


def test_the_schedule_renews_a_token_before_it_ends(shop: Shop, deployed: World) -> None:
    shop.contacts([1])
    shop.abandon([1])
    secrets, name = client(deployed, "secretsmanager"), "sendbridge-local/token/destination/dynamics"

    def stored() -> dict[str, Any]:
        try:
            value: dict[str, Any] = json.loads(secrets.get_secret_value(SecretId=name)["SecretString"])
        except secrets.exceptions.ResourceNotFoundException:
            return {}
        return value

    before = until(stored, bool, 60)
    soon = datetime.now(UTC) + timedelta(seconds=100)
    secrets.put_secret_value(SecretId=name, SecretString=json.dumps({**before, "expires_at": soon.isoformat()}))
    client(deployed, "lambda").invoke(FunctionName="sendbridge-local-refresh-tokens", Payload=b"{}")
    after = stored()
    assert after["access_token"] != before["access_token"]
    assert datetime.fromisoformat(after["expires_at"]) > soon + timedelta(minutes=30)


def test_an_address_that_two_contacts_have_is_parked_with_that_reason(shop: Shop) -> None:
    shop.contacts([1])
    shop.contacts([1])
    shop.abandon([1])

    def reasons() -> list[str]:
        return [item["reason"] for item in shop.parked() if item["queue"] == "crm-dynamics"]

    assert any("2" in reason for reason in until(reasons, bool, 60))


def test_a_token_that_lives_long_is_shared_through_secrets_manager(shop: Shop, deployed: World) -> None:
    shop.esp.command("settings", token_seconds=3600)
    try:
        for number in (1, 2):
            shop.esp.command("revoke_tokens")
            shop.abandon([number])
            assert until(lambda: shop.inbox()[shop.email(number)], bool, 60) == 1  # noqa: B023  # called at once
    finally:
        shop.esp.command("settings", token_seconds=60)
    kept = client(deployed, "secretsmanager").get_secret_value(SecretId="sendbridge-local/token/integration/postbird")
    assert json.loads(kept["SecretString"])["lifetime"] == 3600


def test_an_integration_is_tried_out_with_a_stored_profile(shop: Shop) -> None:
    shop.abandon([1])
    [message] = until(lambda: [m for m in shop.traces(1) if m["status"] == "sent"], bool, 60)
    found: Any = shop.world.sendbridge("test", "postbird", "--profile-id", message["profile_id"], "--template", "cart_abandoned")
    assert (found["conclusion"]["outcome"], found["calls"][0]["response"]["status"]) == ("sent", 202)
    assert found["message_id"].startswith("m_test_")
    assert until(shop.inbox, lambda inbox: inbox[shop.email(1)] == 2, 30) == {shop.email(1): 2}
    assert [m["message_id"] for m in shop.traces(1)] == [message["message_id"]]
    assert [item for item in shop.parked() if found["message_id"] in item["body"]] == []


def test_a_limit_is_kept_without_a_test_of_the_integration(shop: Shop, admin: httpx.Client) -> None:
    found = admin.get("/definitions/integration/postbird").json()["definition"]
    people = range(6)
    try:
        put = admin.put("/definitions/integration/postbird", json={**found, "limit": {"messages": 2, "seconds": 2}}).json()
        assert put["published"] == put["version"]
        shop.abandon(people)
        seen = until(shop.inbox, lambda inbox: len(inbox) == len(people), 90)
    finally:
        assert admin.put("/definitions/integration/postbird", json=found).status_code == 200
    assert seen == {shop.email(number): 1 for number in people}
    inbox: Any = shop.esp.ask("inbox")
    taken = sorted(one["accepted"] for one in inbox["messages"] if one["message"]["to"]["email"] in seen)
    assert all(third - first > 1.5 for first, third in zip(taken, taken[2:], strict=False)), taken


def test_whoever_is_suppressed_by_hand_gets_nothing(shop: Shop) -> None:
    shop.world.sendbridge("suppressions", "add", shop.email(1), "--reason", "asked on the phone")
    shop.abandon([1])
    [message] = until(lambda: [m for m in shop.traces(1) if m["status"] == "skipped"], bool, 60)
    assert "asked on the phone" in message["trace"][-1]["reason"]
    assert shop.inbox() == {}
    shop.world.sendbridge("suppressions", "remove", shop.email(1))
    shown: Any = shop.world.sendbridge("suppressions", "show", shop.email(1))
    assert shown["suppressions"] == []


def test_every_version_is_kept_told_apart_and_can_come_back(deployed: World, admin: httpx.Client) -> None:
    one = "/definitions/template/versioned"
    for subject in ("First", "Second"):
        assert admin.put(one, json={"subject": subject, "html": "<p>Hello</p>"}).status_code == 200
    told: Any = deployed.sendbridge("diff", "template/versioned", "--from", "1", "--to", "2", accept=(1,))
    assert told["changes"] == [{"field": "subject", "old": "First", "new": "Second"}]
    deployed.run_command("rollback", "template/versioned", "--to", "1")
    history = admin.get(f"{one}/versions").json()
    assert (history["published"], len(history["versions"])) == (None, 3)
    assert admin.get(one).json()["definition"]["subject"] == "First"
    assert admin.delete(one).status_code == 200


def test_every_vendor_s_preset_is_there(admin: httpx.Client) -> None:
    listed = admin.get("/presets").json()["presets"]
    assert {"postmark", "sendgrid", "ses"} <= {preset["name"] for preset in listed}
    assert admin.get("/presets/postmark").json()["definition"]["connector"] == "postmark"
