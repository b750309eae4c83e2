"""Sessions of Segment's e-commerce events through every ready trigger: who gets which message, who does not, and why."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from cli.files import read
from cli.ready_made import triggers
from cli.recording import read_events
from cli.simulating import Definitions, renderer
from cli.simulation import Report, Simulation
from shared.catalogue import Versioned
from shared.definitions import Template
from shared.triggers import Trigger
from shared.validation import check

FILLED = {"INTEGRATION": "esp", "SHOP_URL": "https://shop.example.com"}
BOUGHT = "order placed, or cart emptied"

EXPECTED: dict[str, dict[str, list[str]]] = {
    "abandoned_cart": {
        "leaves-it": ["fired 12:09 Ada, your cart is waiting"],
        "says-who-afterwards": ["fired 12:17 Bo, your cart is waiting"],
        "buys": [f"skipped 09:23 {BOUGHT}"],
        "only-looks": ["never qualified: no Product Added"],
        "empties-it": [f"skipped 09:30 {BOUGHT}"],
        "order-comes-late": [f"skipped 09:36 {BOUGHT}"],
        "order-comes-too-late": [f"fired 12:31 Gus, your cart is waiting, taken back: {BOUGHT}"],
        "product-comes-late": ["fired 12:38 Hal, your cart is waiting"],
        "comes-back": ["skipped 11:15 came back", "part of what began at 2026-11-16 09:41:00Z"],
        "nobody-knows": ["skipped 12:46 no profile"],
        "leaves-two": ["fired 12:51 Jo, your cart is waiting", "skipped 22:52 fired already"],
    },
    "viewed_product": {
        "looks": ["fired 12:06 Still thinking about Trail runner?"],
        "buys": ["skipped 09:12 put into the cart, or bought"],
        "takes-it": ["skipped 09:17 put into the cart, or bought"],
        "only-searches": ["never qualified: no Product Viewed"],
        "view-comes-late": ["fired 12:29 Still thinking about Trail runner?"],
        "order-comes-late": ["skipped 09:34 put into the cart, or bought"],
        "nothing-to-say": ["skipped 12:31 missing: metadata.viewed"],
    },
    "viewed_category": {
        "looks-around": ["fired 12:03 More of Shoes"],
        "buys": ["skipped 09:12 looked at a product, or bought"],
        "opens-a-product": ["skipped 09:17 looked at a product, or bought"],
        "no-category": [
            'never qualified: no {"event": "Product List Viewed", "where": [{"path": "category", "exists": true}]}'
        ],
        "list-comes-late": ["fired 12:25 More of Shoes"],
        "product-comes-late": ["skipped 09:33 looked at a product, or bought"],
    },
    "searched_without_purchase": {
        "finds-nothing": ["fired 12:04 Did you find rain jacket & trousers?"],
        "buys": ["skipped 09:13 found, or bought"],
        "takes-it": ["skipped 09:18 found, or bought"],
        "never-searches": ['never qualified: no {"event": "Products Searched", "where": [{"path": "query", "exists": true}]}'],
        "search-comes-late": ["fired 12:24 Did you find tent?"],
        "order-comes-late": ["skipped 09:39 found, or bought"],
    },
    "timed_out_session": {
        "goes-away": ["fired 09:35 Ada, pick up where you left off"],
        "buys": ["skipped 09:11 order placed"],
        "only-pages": ['not satisfied: no {"any": ["Product Viewed", "Product Added", "Checkout Started"]}'],
        "page-comes-late": ["fired 10:06 Di, pick up where you left off"],
        "order-comes-late": ["skipped 09:25 order placed"],
        "comes-again": ["fired 09:57 Flo, pick up where you left off", "skipped 12:56 fired already"],
    },
}  # fmt: skip


def outcomes(report: Report) -> list[str]:
    """What became of a visit, in a line each."""
    found = [report.why] if report.why else []
    if report.waiting_until:
        found.append(f"waiting until {report.waiting_until:%H:%M}")
    for one in report.decisions:
        said = one.message.subject if one.message else one.reason
        back = f", taken back: {one.taken_back}" if one.taken_back else ""
        found.append(f"{'fired' if one.fired else 'skipped'} {one.due_at:%H:%M} {said}{back}")
    return found


def simulated(name: str, tmp_path: Path, until: timedelta = timedelta(hours=5)) -> list[Report]:
    file = tmp_path / f"{name}.yaml"
    file.write_text(triggers()[name])
    template, trigger = (check(one.kind, one.body)[0] for one in read([file], FILLED))
    definitions = Definitions(Versioned(cast("Trigger", trigger), 0), (), cast("Template", template), None)
    events = read_events(Path(f"events/simulations/{name}.jsonl"), "shop")
    return Simulation(definitions.trigger, render=renderer(definitions)).run(events, until)


@pytest.mark.parametrize("name", [*triggers()])
def test_each_visitor_gets_what_was_promised(name: str, tmp_path: Path) -> None:
    found: dict[str, list[str]] = {}
    for report in simulated(name, tmp_path):
        found.setdefault(report.visit_id.rpartition("#")[2], []).extend(outcomes(report))
    assert found == EXPECTED[name]


def text_of(name: str, visitor: str, tmp_path: Path) -> str:
    reports = [one for one in simulated(name, tmp_path) if one.visit_id.endswith(visitor)]
    message = reports[0].decisions[0].message
    assert message is not None
    assert message.fault == ""
    return message.text


def test_the_cart_is_in_the_message_as_it_was_at_the_end(tmp_path: Path) -> None:
    text = text_of("abandoned_cart", "leaves-it", tmp_path)
    assert "- 1 x Trail runner\n" in text
    assert "- 2 x Wool socks, 3 pairs\n" in text
    assert "Trail runner" not in text_of("abandoned_cart", "product-comes-late", tmp_path)


def test_each_thing_that_was_viewed_is_named_once(tmp_path: Path) -> None:
    assert text_of("viewed_product", "looks", tmp_path).count("- ") == 2
    assert "- Tents\n- Shoes\n" in text_of("viewed_category", "list-comes-late", tmp_path)
    assert "search?q=rain+jacket+%26+trousers" in text_of("searched_without_purchase", "finds-nothing", tmp_path)


def test_the_timed_out_session_shows_the_cart_if_there_is_one(tmp_path: Path) -> None:
    assert "- 1 x Tent for two" in text_of("timed_out_session", "goes-away", tmp_path)
    assert "cart" not in text_of("timed_out_session", "page-comes-late", tmp_path)


def test_what_is_not_due_by_the_end_is_still_waiting(tmp_path: Path) -> None:
    reports = simulated("abandoned_cart", tmp_path, until=timedelta(0))
    waiting = [one for one in reports if one.waiting_until]
    assert [outcomes(one) for one in waiting] == [["waiting until 22:52"]]


@pytest.mark.parametrize("name", [*triggers()])
def test_each_has_one_who_gets_it_one_who_buys_and_one_who_never_qualifies(name: str) -> None:
    said = [line for lines in EXPECTED[name].values() for line in lines]
    assert any(line.startswith("fired") for line in said)
    assert EXPECTED[name]["buys"][0].startswith("skipped")
    assert any(line.startswith(("never qualified", "not satisfied")) for line in said)
    assert any("late" in visitor for visitor in EXPECTED[name])
