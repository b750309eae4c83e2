from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.base import Post, Rejected
from connectors.registry import TRACKERS
from connectors.trackers.proving import prove
from shared.errors import BadRequest
from shared.jobs import TrackerEvent
from shared.trackers import Tracker
from tests.sandbox.clock import Clock
from tests.sandbox.trackers.matomo import Item, Matomo

NOW = datetime(2026, 11, 22, 12, 0, 3, tzinfo=UTC)
TOKENS = ("a" * 32, "b" * 32)
SERVER = Tracker.model_validate({"name": "shop", "format": "matomo", "secrets": TOKENS})
BROWSER = Tracker.model_validate(
    {"name": "shop", "format": "matomo", "proof": "query", "secrets": ["k"], "names": {"add": "Product Added"}}
)
LAMP: Item = ("sku-1", "Desk lamp", "Lighting", 49.5, 2)
PEN: Item = ("sku-2", 'A "pen" & more', "", 1, 10)


@pytest.fixture
def site() -> Matomo:
    return Matomo("https://hooks.example.com/v1/events/shop", Clock(NOW.timestamp), TOKENS[0])


def read(post: Post, tracker: Tracker = SERVER, at: datetime = NOW) -> list[TrackerEvent | Rejected | None]:
    return list(TRACKERS.load("matomo").events(tracker, post, lambda: at))


def one(post: Post, tracker: Tracker = SERVER, at: datetime = NOW) -> TrackerEvent:
    (event,) = read(post, tracker, at)
    assert isinstance(event, TrackerEvent)
    return event


def bulk(*requests: object, **more: object) -> Post:
    return Post({}, json.dumps({"requests": requests, **more}).encode())


def test_a_page_view_in_each_way_to_post_it(site: Matomo) -> None:
    site.user = "crm-42"
    request = site.page("https://shop.example.com/?a=b", "Désk lamp", at=NOW.timestamp() - 30, urlref="https://g/")
    event = one(Post({}, site.body()))
    assert event == TrackerEvent(
        id=event.id,
        tracker="shop",
        name="Page Viewed",
        at=NOW - timedelta(seconds=30),
        received_at=NOW,
        anonymous_id="0123456789abcdef",
        user_id="crm-42",
        properties={
            "idsite": "1",
            "pv_id": "a1B2c3",
            "url": "https://shop.example.com/?a=b",
            "title": "Désk lamp",
            "referrer": "https://g/",
        },
    )
    assert one(Post({}, site.form(request))) == event
    assert one(bulk("https://stats.example.com/matomo.php" + request)) == event
    params = dict(pair.split("=") for pair in request[1:].split("&"))
    of_url = {
        **params,
        "url": "https://shop.example.com/?a=b",
        "action_name": "Désk lamp",
        "urlref": "https://g/",
        "cdt": NOW.isoformat(),
    }
    assert one(Post({}, b"", method="GET", query={**of_url, "token_auth": TOKENS[0]})).properties == event.properties


def test_the_token_proves_it_wherever_it_is(site: Matomo) -> None:
    request = site.page("https://shop.example.com/", "Home")
    for token in TOKENS:
        site.token = token
        for post in (
            Post({}, site.body()),
            Post({}, site.form(request)),
            Post({}, b"", query={"idsite": "1", "token_auth": token}),
        ):
            assert prove(TRACKERS.load("matomo"), SERVER, post, lambda: NOW) is None
            assert token not in "".join(map(str, read(post)))


@pytest.mark.parametrize(
    "post",
    [
        Post({}, b'{"requests": ["?rec=1"]}'),
        Post({}, b'{"requests": ["?rec=1"], "token_auth": "' + b"c" * 32 + b'"}'),
        Post({}, b'{"requests": ["?rec=1"], "token_auth": ["' + TOKENS[0].encode() + b'"]}'),
        Post({}, b'{"requests": ["?rec=1&token_auth=' + TOKENS[0].encode() + b'"]}'),
        Post({}, b"{"),
        Post({}, b"[]"),
        Post({}, b"idsite=1&rec=1&token_auth="),
        Post({}, b"", query={"token_auth": "c"}),
        Post({}, b""),
    ],
)
def test_any_other_token_is_refused(post: Post) -> None:
    with pytest.raises(BadRequest) as refused:
        prove(TRACKERS.load("matomo"), SERVER, post, lambda: NOW)
    assert (refused.value.status, refused.value.field) == (401, "token_auth")


def test_a_token_is_no_part_of_the_event_and_of_what_is_parked() -> None:
    (rejected,) = read(bulk(f"?idsite=1&cdt=soon&token_auth={TOKENS[0]}"))
    assert isinstance(rejected, Rejected)
    assert (rejected.field, rejected.reason) == ("cdt", "must be a time in UTC as 2026-01-31 10:00:00, or a Unix time")
    assert TOKENS[0] not in rejected.raw


def test_the_key_in_the_url_is_no_part_of_the_event() -> None:
    event = one(Post({}, b"", method="GET", query={"idsite": "1", "_id": "v", "key": "k", "url": "https://x"}), BROWSER)
    assert event.properties == {"idsite": "1", "url": "https://x"}


def test_a_cart_update_is_the_whole_cart(site: Matomo) -> None:
    site.cart([LAMP, PEN])
    event = one(Post({}, site.body()))
    assert event.name == "Cart Viewed"
    assert event.properties.keys() == {"idsite", "total", "products"}
    assert event.properties["total"] == 109.0
    assert event.properties["products"] == [
        {"product_id": "sku-1", "name": "Desk lamp", "category": "Lighting", "price": 49.5, "quantity": 2},
        {"product_id": "sku-2", "name": 'A "pen" & more', "price": 1, "quantity": 10},
    ]
    site.waiting = []
    site.cart([])
    emptied = one(Post({}, site.body()))
    assert (emptied.name, emptied.properties["products"]) == ("Cart Viewed", [])


def test_an_order(site: Matomo) -> None:
    site.order("T1", [LAMP])
    event = one(Post({}, site.body()))
    assert event.name == "Order Completed"
    wanted = {"order_id": "T1", "total": 99.0, "tax": 0, "product_id": "sku-1", "quantity": 2}
    assert {key: event.properties[key] for key in wanted} == wanted


def test_what_each_request_is_called(site: Matomo) -> None:
    for params in (
        {"ping": 1, "e_a": "x"},
        {"search": "lamp", "search_cat": "all", "search_count": 3},
        {"e_c": "cart", "e_a": "add", "e_n": "sku-1", "e_v": 2.5},
        {"e_c": "cart", "e_a": "wish"},
        {"_pks": "sku-1", "_pkn": "Lamp", "_pkp": 49.5, "_pkc": "Lighting"},
        {"_pks": "", "_pkn": "", "_pkc": "Lighting"},
        {"link": "https://x"},
        {"download": "https://x/a.pdf"},
        {"c_n": "banner", "c_p": "a.png"},
        {"c_n": "banner", "c_i": "click"},
        {"idgoal": 3, "revenue": 5},
        {"url": "https://x"},
    ):
        site.request(**params)
    events = [event for event in read(Post({}, site.body()), BROWSER) if isinstance(event, TrackerEvent)]
    assert [event.name for event in events] == [
        "Page Ping",
        "Products Searched",
        "Product Added",
        "wish",
        "Product Viewed",
        "Product List Viewed",
        "Link Clicked",
        "File Downloaded",
        "Content Viewed",
        "Content Clicked",
        "Goal Reached",
        "Page Viewed",
    ]
    assert (events[1].properties["query"], events[1].properties["results"]) == ("lamp", 3)
    assert (events[2].properties["category"], events[2].properties["label"], events[2].properties["value"]) == (
        "cart",
        "sku-1",
        2.5,
    )
    assert (events[4].properties["product_id"], events[4].properties["price"]) == ("sku-1", 49.5)
    assert events[5].properties["category"] == "Lighting"
    assert (events[10].properties["goal_id"], events[10].properties["total"]) == ("3", 5)


def test_an_id_is_made_of_what_is_said_in_whatever_order() -> None:
    first = one(bulk("?idsite=1&_id=v&cdt=1790000000&url=a"))
    assert first.at == datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)
    assert one(bulk("?idsite=1&url=a&cdt=1790000000&_id=v", token_auth="x"), at=NOW + timedelta(hours=1)).id == first.id
    assert one(bulk("?idsite=1&_id=v&cdt=1790000001&url=a")).id != first.id
    for random in ("rand=7", "r=7"):
        one_time = one(bulk(f"?idsite=1&_id=v&url=a&{random}"))
        assert one(bulk(f"?idsite=1&_id=v&url=a&{random}"), at=NOW + timedelta(hours=1)).id == one_time.id


def test_what_says_neither_a_time_nor_anything_random_is_known_by_its_minute() -> None:
    ids = [one(bulk("?idsite=1&_id=v&url=a"), at=NOW + timedelta(seconds=seconds)).id for seconds in (0, 50, 60)]
    assert ids[0] == ids[1] != ids[2]


def test_the_visitor_is_who_is_said_to_be_rather_than_the_cookie() -> None:
    event = one(bulk("?idsite=1&_id=cookie&cid=forced&uid=crm-42&cip=192.0.2.7&cdt=1790000000"))
    assert (event.anonymous_id, event.user_id) == ("forced", "crm-42")
    assert "192.0.2.7" not in event.model_dump_json()


def test_requests_may_be_objects_and_bad_ones_stand_beside_good_ones() -> None:
    good = {"idsite": 1, "_id": "v", "url": "a", "cdt": "2026-11-22 11:59:59", "token_auth": TOKENS[0]}
    first, second, third, fourth, fifth = read(
        bulk(good, 7, "?idsite=1&_id=v&idgoal=0&ec_items={}", "?idsite=1&_id=v&idgoal=0&ec_items=[[]]", "?_id=v")
    )
    assert isinstance(first, TrackerEvent)
    assert first.at == NOW - timedelta(seconds=4)
    assert isinstance(second, Rejected)
    assert second.field == "request"
    assert isinstance(fifth, Rejected)
    assert (fifth.field, fifth.reason) == ("idsite", "must be there")
    for items in (third, fourth):
        assert isinstance(items, Rejected)
        assert (items.field, items.reason) == ("ec_items", "must be a JSON list of [sku, name, category, price, quantity]")


@pytest.mark.parametrize("body", [b"", b"_id=v&rec=1", b'{"requests": "?rec=1"}', b"{}", b"{", b"a=\xff"])
def test_a_body_that_is_no_post_is_refused_whole(body: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        read(Post({}, body))
    assert refused.value.status == 400


def test_the_sample_event() -> None:
    viewed, cart = read(Post({}, Path("events/receive_event/matomo.json").read_bytes()))
    assert isinstance(viewed, TrackerEvent)
    assert isinstance(cart, TrackerEvent)
    assert (viewed.name, cart.name, cart.properties["product_id"]) == ("Product Viewed", "Cart Viewed", "lamp")
