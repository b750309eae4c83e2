"""What happens when vendors are down, slow, or revoke tokens: everything arrives later, once, and nobody else waits."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from tests.deployed.shop import Shop, until
from tests.sandbox.tracker import Tracker

pytestmark = pytest.mark.deployed

PEOPLE = range(12)


def once_each(shop: Shop) -> Counter[str]:
    return Counter(shop.email(number) for number in PEOPLE)


@pytest.mark.timeout(300)
def test_an_esp_that_is_down_for_the_whole_run_gets_everything_once_when_it_is_back(shop: Shop) -> None:
    shop.esp.command("fail", target="messages", mode="down")
    before: Any = shop.esp.ask("traffic")
    shop.abandon(PEOPLE)
    time.sleep(25)
    assert shop.inbox() == Counter()
    during: Any = shop.esp.ask("traffic")
    tried = during["messages"]["calls"] - before.get("messages", {"calls": 0})["calls"]
    assert tried <= 3 * len(PEOPLE), "a dead ESP must not be hammered"
    shop.esp.command("clear")
    seen = until(shop.inbox, lambda inbox: sum(inbox.values()) >= len(PEOPLE), 120)
    assert seen == once_each(shop)


@pytest.mark.timeout(300)
def test_a_crm_that_is_down_delays_no_message_and_gets_every_activity_once_when_it_is_back(shop: Shop) -> None:
    contacts = shop.contacts(PEOPLE)
    shop.crm.command("fail", target="api", mode="down")
    shop.abandon(PEOPLE)
    assert until(shop.inbox, lambda inbox: sum(inbox.values()) >= len(PEOPLE), 40) == once_each(shop)
    assert all(shop.timeline(contact) == Counter() for contact in contacts.values())
    shop.crm.command("clear")
    expected = Counter({"sb_emailsend": 1, "sb_emailopen": 1, "sb_emailclick": 1, "task": 1})
    for contact in contacts.values():
        assert until(lambda c=contact: shop.timeline(c), lambda seen: sum(seen.values()) >= 4, 120) == expected  # type: ignore[misc]


@pytest.mark.timeout(300)
def test_tokens_expired_revoked_and_their_url_down(shop: Shop) -> None:
    shop.esp.command("fail", target="token", mode="down")
    shop.esp.command("revoke_tokens")
    shop.abandon(PEOPLE)
    time.sleep(12)
    assert shop.inbox() == Counter()
    shop.esp.command("clear")
    assert until(shop.inbox, lambda inbox: sum(inbox.values()) >= len(PEOPLE), 120) == once_each(shop)
    traffic: Any = shop.esp.ask("traffic")
    assert traffic["token"]["max_in_flight"] == 1


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", ["cut_before", "cut_after"])
def test_a_connection_cut_before_or_after_the_esp_took_the_message_sends_everybody_one(shop: Shop, mode: str) -> None:
    shop.esp.command("fail", target="messages", mode=mode, times=5)
    shop.abandon(PEOPLE, repeat=2)
    assert until(shop.inbox, lambda inbox: sum(inbox.values()) >= len(PEOPLE), 120) == once_each(shop)
    for number in PEOPLE:
        [trace] = until(lambda n=number: shop.traces(n), lambda found: bool(found) and found[0]["status"] == "sent", 60)  # type: ignore[misc]
        assert trace["status"] == "sent"
    assert shop.inbox() == once_each(shop)


@pytest.mark.timeout(300)
def test_an_order_takes_back_what_waits_for_an_esp_that_is_down(shop: Shop) -> None:
    shop.esp.command("fail", target="messages", mode="down")
    shop.abandon([1, 2])
    waiting = until(lambda: shop.traces(1), lambda found: bool(found) and found[0]["status"] == "waiting", 60)
    assert [trace["status"] for trace in waiting] == ["waiting"]
    bought = {"id": f"{shop.name(1)}-3", "name": "Order Completed", "anonymous_id": f"browser-{shop.name(1)}"}
    with Tracker(shop.world.events_url, shop.world.shop_secret) as tracker:
        assert [answer.status_code for answer in tracker.post([bought])] == [202]
    [trace] = until(lambda: shop.traces(1), lambda found: found[0]["status"] == "skipped", 60)
    assert (trace["status"], trace["trace"][-1]["reason"]) == ("skipped", "order placed")
    shop.esp.command("clear")
    assert until(shop.inbox, bool, 120) == {shop.email(2): 1}
