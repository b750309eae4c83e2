"""The journal's pages, and what else Adobe may answer."""

from __future__ import annotations

import json

import pytest
from pydantic import JsonValue

from connectors.trackers.adobe_journal import Expired, Page, beginning, latest, oldest, read_page
from shared.errors import Misconfigured, SendbridgeError, Transient
from shared.exchange import Request, Response, run
from shared.trackers import Journal
from tests.connectors.trackers.test_adobe_io import CLIENT, CLOUD, JOURNAL, NOW, ORGANIZATION

OURS = Journal.model_validate(JOURNAL)
HERE = OURS.url
LINK = {"link": '</events-validate/organizations/1>; rel="validate", </events/organizations/1?since=moose:2>; rel="next"'}
NEXT = "https://events-va6.adobe.io/events/organizations/1?since=moose:2"
BODY: JsonValue = {"events": [{"position": "moose:1", "event": CLOUD}], "_page": {"last": "moose:1", "count": 1}}


def page(answer: Response, url: str = HERE) -> Page:
    asked: list[Request] = []

    def send(request: Request) -> Response:
        asked.append(request)
        return answer

    read = run(read_page(OURS, url, lambda: NOW, 10), send)
    (request,) = asked
    assert (request.method, request.url) == ("GET", url)
    assert request.headers == {"x-api-key": CLIENT, "x-ims-org-id": ORGANIZATION, "accept": "application/json"}
    return read


def answer(body: JsonValue = BODY, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(status, LINK if headers is None else headers, json.dumps(body).encode())


def test_a_page_has_events_as_they_are_posted_and_where_to_go_on() -> None:
    assert page(answer()) == Page([CLOUD], NEXT, None)
    assert page(answer({"events": []})) == Page([], NEXT, 0)


def test_an_empty_page_says_how_long_to_wait() -> None:
    assert page(Response(204, {**LINK, "retry-after": "10"})) == Page((), NEXT, 10)
    assert page(Response(204, {})) == Page((), HERE, 0)


@pytest.mark.parametrize(
    "link",
    [
        "</events/organizations/1?since=moose:2>; rel=next",
        '</events/organizations/1?since=moose:2>;rel="next"',
        '</events/organizations/1?since=moose:2>; title="x"; rel="next"; type="y"',
        '<https://events-va6.adobe.io/events/organizations/1?since=moose:2>; rel="next", </x>; rel="validate"',
    ],
)
def test_a_link_may_be_written_in_many_ways(link: str) -> None:
    assert page(answer(headers={"link": link})).next == NEXT


@pytest.mark.parametrize("link", ["", "nothing", '</x>; rel="validate"', '</x>; rel="nextest"', '</x>; title="rel=next"'])
def test_a_page_without_a_way_on_is_read_again(link: str) -> None:
    with pytest.raises(Transient, match="where it goes on"):
        page(answer(headers={"link": link}))


@pytest.mark.parametrize(
    "url", ["https://evil.example.com/events", "http://events-va6.adobe.io/x", "https://events-va6.adobe.io:444/x"]
)
def test_a_link_never_leads_the_token_to_another_host(url: str) -> None:
    reading = read_page(OURS, url, lambda: NOW, 10)
    with pytest.raises(Misconfigured, match="another host"):
        next(reading)


@pytest.mark.parametrize(
    ("given", "outcome", "words"),
    [
        (Response(410, {}, b"Events at position moose:1 have expired."), Expired, "no longer"),
        (answer({"error_code": "403000", "message": "Api Key is invalid"}, 403), Misconfigured, "HTTP 403 403000: compare"),
        (Response(404, {}, b"Oops"), Misconfigured, "HTTP 404: compare"),
        (Response(500, {}, b"Oops"), Transient, "HTTP 500"),
        (Response(200, LINK, b"<html>"), Transient, "not JSON"),
        (answer({"events": {}}), Transient, "no list of events"),
        (answer([]), Transient, "no list of events"),
    ],
)
def test_what_else_may_be_answered(given: Response, outcome: type[SendbridgeError], words: str) -> None:
    with pytest.raises(outcome, match=words):
        page(given)


def test_a_wait_that_is_asked_for_is_told() -> None:
    with pytest.raises(Transient) as error:
        page(Response(429, {"retry-after": "7"}))
    assert error.value.retry_after == 7


def test_what_is_no_event_with_its_position_is_handed_on_as_it_is() -> None:
    odd: JsonValue = {"events": [7, {"event": 8}, {"position": "moose:1"}]}
    assert list(page(answer(odd)).events) == [7, {"event": 8}, {"position": "moose:1"}]


def test_where_reading_begins() -> None:
    assert beginning(OURS) == f"{HERE}?seek=-PT3600S"
    assert beginning(OURS.model_copy(update={"back_seconds": 0})) == latest(OURS) == f"{HERE}?latest=true"
    with_limit = OURS.model_copy(update={"url": f"{HERE}?limit=10"})
    assert beginning(with_limit) == f"{HERE}?limit=10&seek=-PT3600S"
    assert oldest(with_limit) == f"{HERE}?limit=10"
