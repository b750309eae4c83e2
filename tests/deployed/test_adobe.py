"""Triggers of Experience Cloud, through I/O Events: from the journal while there is no webhook, then by both at once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.local.world import TEST_ADDRESS
from tests.deployed.shop import Shop, until
from tests.sandbox.trackers.adobe_signed import trigger

pytestmark = pytest.mark.deployed

ABANDONED = "7d1f7a51-0c1b-4c25-8d6a-6a2f8f2f9f00"


@pytest.fixture
def definitions(shop: Shop, tmp_path: Path) -> Path:
    """A tracker with a journal, and a trigger for what it says."""
    adobe = shop.world.vendors.adobe
    auth = {
        "type": "oauth2",
        "token_url": f"{adobe.url}/ims/token/v3",
        "client_id": adobe.account["client_id"],
        "client_secret": {"env": "ADOBE_CLIENT_SECRET"},
        "scope": adobe.account["scope"],
    }
    journal = {"url": f"{adobe.url}/events/organizations/1/integrations/2/3", "organization": adobe.account["organization"]}
    tracker = {
        "kind": "tracker",
        "name": "adobe",
        "format": "adobe_io",
        "client_id": adobe.account["client_id"],
        "names": {ABANDONED: "Cart Abandoned"},
        "identifiers": {"email": "eVar5"},
        "journal": {**journal, "auth": auth},
        "silence_seconds": 3600,
    }
    offer = {
        "kind": "trigger",
        "name": "adobe_offer",
        "type": "event",
        "trackers": ["adobe"],
        "must_include": ["Cart Abandoned"],
        "wait_seconds": 1,
        "template": "cart_abandoned",
        "integration": "postbird",
        "campaign": "From Adobe",
        "delivery": "Offer",
    }
    path = tmp_path / "adobe.yaml"
    path.write_text(yaml.safe_dump_all([tracker, offer]))
    return path


def happens(shop: Shop, number: int) -> None:
    """Adobe has a trigger fire for this visitor."""
    adobe = shop.world.vendors.adobe
    dimensions = {"eVar5": [shop.email(number)], "pageURL": ["https://shop.example.com/cart"]}
    event: Any = trigger(ABANDONED, f"ecid-{shop.name(number)}", time.time(), dimensions, adobe.account["organization"])
    adobe.command("publish", events=[event])


def readings(shop: Shop) -> int:
    """How often the journal was asked."""
    traffic: Any = shop.world.vendors.adobe.ask("traffic")
    return int(traffic["journal"]["calls"])


@pytest.mark.timeout(400)
def test_what_adobe_says_comes_once_by_journal_and_webhook(
    shop: Shop, definitions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adobe = shop.world.vendors.adobe
    monkeypatch.setenv("ADOBE_CLIENT_SECRET", adobe.account["client_secret"])
    shop.world.run_command("apply", "-f", str(definitions))
    shop.world.run_command("proof", "adobe_offer", "--to", TEST_ADDRESS, "--publish")
    happens(shop, 1)
    assert until(shop.inbox, bool, 150) == {shop.email(1): 1}
    assert adobe.command("register", url=f"{shop.world.deployment.url}/v1/events/adobe") == "active"
    happens(shop, 2)
    assert adobe.ask("deliveries") == [{"events": 1, "status": 202, "retry": 0}]
    assert until(shop.inbox, lambda inbox: len(inbox) > 1, 60) == {shop.email(1): 1, shop.email(2): 1}
    # By the next minute the journal has told of it, too.
    before = readings(shop)
    assert until(lambda: readings(shop), lambda now: now >= before + 2, 150) >= before + 2
    time.sleep(5)
    assert shop.inbox() == {shop.email(1): 1, shop.email(2): 1}
    found: Any = shop.world.sendbridge("doctor", accept=(0, 1))
    lines = found["checks"] if isinstance(found, dict) else found
    checks = {one["check"]: one["ok"] for one in lines if one["subject"] == "tracker/adobe"}
    assert checks == {"secret": True, "definition": True, "heard": True, "token": True, "vendor": True}
