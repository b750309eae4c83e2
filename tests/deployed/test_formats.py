"""What trackers of each format post to the deployed stack: who leaves a cart hears of it, and who orders does not."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest
import yaml
from pydantic import JsonValue

from cli.local.world import TEST_ADDRESS, World
from tests.deployed.shop import Shop, until
from tests.deployed.visits import DEFINITIONS, POSTED, Visit
from tests.sandbox.tracker import Tracker

pytestmark = pytest.mark.deployed

SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()

TRIGGER: dict[str, JsonValue] = {
    "kind": "trigger",
    "name": "cart_of_any_format",
    "trackers": [f"of_{name}" for name in DEFINITIONS],
    "must_include": [{"any": ["Product Added", "Cart Viewed"]}],
    "wait_seconds": 6,
    "template": "cart_abandoned",
    "integration": "postbird",
    "campaign": "Formats",
    "delivery": "Cart",
}


@pytest.fixture(scope="module")
def formats(deployed: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """With a tracker of each format, and a trigger for all of them that is in force until the end of this file."""
    trackers = [
        {"kind": "tracker", "name": f"of_{name}", "format": name, "secrets": [{"env": "FORMATS_SECRET"}], **more}
        for name, more in DEFINITIONS.items()
    ]
    path = tmp_path_factory.mktemp("formats") / "formats.yaml"
    path.write_text(yaml.safe_dump_all([*trackers, TRIGGER]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORMATS_SECRET", SECRET)
        deployed.sendbridge("apply", "-f", str(path))
    deployed.sendbridge("proof", str(TRIGGER["name"]), "--to", TEST_ADDRESS, "--publish")
    yield deployed
    deployed.sendbridge("unpublish", f"trigger/{TRIGGER['name']}")


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=30, trust_env=False) as client:
        yield client


def url(world: World, tracker: str) -> str:
    return f"{world.deployment.url}/v1/events/{tracker}"


def test_who_leaves_a_cart_hears_of_it_and_who_orders_does_not(shop: Shop, formats: World, client: httpx.Client) -> None:
    people = [(name, orders) for name in DEFINITIONS for orders in (False, True)]
    visits = [
        Visit(shop.name(number), shop.email(number), f"Lamp of {name}", orders, url(formats, f"of_{name}"), SECRET, client)
        for number, (name, orders) in enumerate(people)
    ]
    # Neither of the two has addresses: whose user id, or hash, it is, the shop's own tracker says.
    known = [visit for (name, _), visit in zip(people, visits, strict=True) if name in ("matomo", "ga4")]
    with Tracker(url(formats, "of_standard_webhooks"), SECRET) as own:
        own.post([{"name": "Identified", "user_id": one.user, "traits": {"email": one.email}} for one in known])
    for (name, _), visit in zip(people, visits, strict=True):
        said = [answer.text for answer in POSTED[name](visit)]
        assert [one for one in said if '"rejected": []' not in one] == [], name
    left = {visit.email: visit.product for visit in visits if not visit.orders}
    assert until(shop.inbox, lambda inbox: set(inbox) >= set(left), 60) == dict.fromkeys(left, 1)
    inbox: Any = shop.esp.ask("inbox")
    told = {one["message"]["to"]["email"]: one["message"]["html"] for one in inbox["messages"]}
    assert [email for email, product in left.items() if product not in told[email]] == []
    bought = [(name, visit) for (name, _), visit in zip(people, visits, strict=True) if visit.orders]
    why = {name: until(partial(_why_not, formats, name, visit), bool, 20) for name, visit in bought}
    assert why == {name: ["order placed"] for name in DEFINITIONS}


def _why_not(world: World, name: str, visit: Visit) -> list[str]:
    """Why a visitor got nothing."""
    found: Any = world.sendbridge("trace", "--tracker", f"of_{name}", "--anonymous-id", visit.browser, accept=(0, 1))
    return [one["trace"][-1]["reason"] for one in (found["traces"] if isinstance(found, dict) else found)]
