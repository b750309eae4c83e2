"""Visitors of the sample shop, against a deployed stack: what they do, and what the world saw of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx

from cli.local.world import World
from tests.sandbox.tracker import Tracker

T = TypeVar("T")


class Shop:
    """`prefix` keeps one test's visitors apart from another's."""

    def __init__(self, world: World, prefix: str) -> None:
        self.world = world
        self.prefix = prefix
        self.esp, self.crm = world.vendors.esp, world.vendors.crm

    def name(self, number: int) -> str:
        """The user id of a visitor."""
        return f"{self.prefix}-{number}"

    def email(self, number: int) -> str:
        """The address of a visitor."""
        return f"{self.name(number)}@example.com"

    def contacts(self, numbers: Iterable[int]) -> dict[int, str]:
        """Puts contacts into the CRM; their ids."""
        wanted = list(numbers)
        made: Any = self.crm.command(
            "contacts", contacts=[{"lastname": self.name(n), "emailaddress1": self.email(n)} for n in wanted]
        )
        return dict(zip(wanted, made["ids"], strict=True))

    def abandon(self, numbers: Iterable[int], repeat: int = 1) -> None:
        """Each of these visitors logs in, puts something into the cart, and goes silent."""
        with Tracker(self.world.events_url, self.world.shop_secret) as tracker, ThreadPoolExecutor(4) as pool:
            done = list(pool.map(lambda n: [a.status_code for a in tracker.post(self.events(n), repeat=repeat)], numbers))
        assert {status for statuses in done for status in statuses} == {202}

    def events(self, number: int) -> list[dict[str, object]]:
        """What such a visitor's browser posts."""
        browser = {"anonymous_id": f"browser-{self.name(number)}"}
        person = {"user_id": self.name(number), "traits": {"email": self.email(number), "first_name": f"V{number}"}}
        product = {"product_id": "lamp", "name": "Lamp", "price": 10, "quantity": 1, "url": "https://shop.example.com/lamp"}
        return [
            {"id": f"{self.name(number)}-1", "name": "Identified", **browser, **person},
            {"id": f"{self.name(number)}-2", "name": "Product Added", **browser, "properties": product},
        ]

    def post(self, body: bytes, **headers: str) -> httpx.Response:
        """Posts any bytes to the tracker's webhook with a good signature."""
        with Tracker(self.world.events_url, self.world.shop_secret) as tracker:
            [answer] = tracker.send(body)
        return answer

    def traces(self, number: int) -> list[dict[str, Any]]:
        """The messages of one visitor."""
        found: Any = self.world.sendbridge("trace", "--tracker", "shop", "--anonymous-id", f"browser-{self.name(number)}")
        return list(found["traces"] if isinstance(found, dict) else found)

    def inbox(self) -> Counter[str]:
        """How many messages the ESP took, by address, of this test's visitors."""
        inbox: Any = self.esp.ask("inbox")
        taken = (message["message"]["to"]["email"] for message in inbox["messages"])
        return Counter(to for to in taken if to.startswith(f"{self.prefix}-"))

    def timeline(self, contact: str) -> Counter[str]:
        """How many activities of each kind a contact has."""
        activities: Any = self.crm.ask(f"timeline/{contact}")
        return Counter(activity["activitytypecode"] for activity in activities)

    def parked(self) -> list[dict[str, Any]]:
        """Everything that is parked."""
        found: Any = self.world.sendbridge("parked")
        return list(found["items"] if isinstance(found, dict) else found)


def until(look: Callable[[], T], good: Callable[[T], bool], seconds: float) -> T:
    """What `look` finds as soon as it is good, or at the end of the time whatever it is then."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if good(found) or time.monotonic() > deadline:
            return found
        time.sleep(0.5)
