"""Trackers of web analytics repeat what is not taken, as it was, and give up what never will be."""

import json
from urllib.parse import parse_qs

import pytest

from tests.sandbox.clock import Clock
from tests.sandbox.trackers.ga4 import Ga4
from tests.sandbox.trackers.matomo import Matomo
from tests.sandbox.trackers.snowplow import PAYLOAD, Snowplow
from tests.sandbox_tests.conftest import Receiver

NOW = 1_790_000_000.0


def test_snowplow_repeats_events_with_their_ids_until_they_are_taken_or_refused_for_good(receiver: Receiver) -> None:
    clock = Clock(lambda: NOW)
    site = Snowplow(receiver.url.removesuffix("/hook"), clock, path="/hook")
    site.page_view("https://shop.example.com/", "Home")
    receiver.answers = [503, 202, 400]
    site.flush()
    clock.advance(5)
    site.flush()
    assert site.waiting == []
    (headers, first), (_, second) = receiver.received
    assert headers["content-type"] == "application/json; charset=UTF-8"
    [before], [after] = json.loads(first)["data"], json.loads(second)["data"]
    assert json.loads(first)["schema"] == PAYLOAD
    assert {**before, "stm": "1790000005000"} == after
    assert all(isinstance(value, str) for value in before.values())
    site.page_view("https://shop.example.com/", "Home")
    assert site.flush().status_code == 400
    assert site.waiting == []


def test_matomo_posts_the_same_batch_again_until_it_is_taken(receiver: Receiver) -> None:
    site = Matomo(receiver.url, Clock(lambda: NOW), "t" * 32)
    site.page("https://shop.example.com/?a=b", "Home", NOW - 10)
    site.cart([("sku-1", "Lamp", "", 2.0, 3)])
    receiver.answers = [500]
    site.flush()
    site.flush()
    assert site.waiting == []
    (_, first), (_, second) = receiver.received
    assert first == second
    page, cart = (parse_qs(one.removeprefix("?")) for one in json.loads(first)["requests"])
    assert (page["cdt"], page["url"]) == (["2026-09-21 14:13:10"], ["https://shop.example.com/?a=b"])
    assert (cart["revenue"], json.loads(cart["ec_items"][0])) == (["6.0"], [["sku-1", "Lamp", "", 2.0, 3]])
    assert json.loads(first)["token_auth"] == "t" * 32


def test_google_would_drop_it_in_silence() -> None:
    stream = Ga4(clock=Clock(lambda: NOW))
    for name, params in (("2nd", {}), ("a" * 41, {}), ("login", {"method": None}), ("login", {"tags": ["x"]})):
        with pytest.raises(AssertionError):
            stream.event(name, **params)
    with pytest.raises(AssertionError):
        stream.event("login", NOW - 73 * 3600)
    with pytest.raises(AssertionError):
        stream.body()
