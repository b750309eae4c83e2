"""What posts to trackers are answered by the deployed stack; `sendbridge explain event` says the same of each."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from pydantic import JsonValue

from cli.local.world import World
from connectors.bodies import LARGEST_POST
from tests.sandbox.clock import iso
from tests.sandbox.standard_webhooks import headers as signed

pytestmark = pytest.mark.deployed

NEW, OLD, NOBODYS = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in range(3))
SITE, OTHER = "https://www.example.com", "https://evil.example"

TRACKERS: list[dict[str, JsonValue]] = [
    {"name": "explained_shop"},
    {"name": "explained_segment", "format": "segment"},
    {"name": "explained_posthog", "format": "posthog", "proof": "bearer"},
    {"name": "explained_events", "format": "cloudevents", "proof": "bearer", "limit": {"messages": 10_000, "seconds": 60}},
    {"name": "explained_matomo", "format": "matomo"},
    {"name": "explained_site", "format": "segment", "proof": "write_key", "origins": [SITE]},
]


@dataclass(frozen=True)
class Asked:
    """A request, and how it is answered."""

    of: str
    """The tracker, without what all have in common."""
    status: int
    said: str = ""
    """What the answer has in it."""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    path: str = ""
    query: str = ""

    def recorded(self) -> dict[str, JsonValue]:
        """As `explain` wants it."""
        packed = base64.b64encode(self.body).decode()
        told: dict[str, JsonValue] = {"method": self.method, "path": self.path, "query": self.query, "headers": {**self.headers}}
        return {**told, "body_base64": packed, "at": datetime.now(UTC).isoformat()}


def own(secret: str, body: object, **more: Any) -> Any:
    """A body and the headers that sign it, by Standard Webhooks."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return {"body": raw, **more, "headers": signed(secret, f"msg_{uuid.uuid4().hex}", int(time.time()), raw)}


def segments(first: bytes, body: bytes | None = None, encoding: str = "identity") -> Any:
    """A body and the headers by which Segment signs the first call of it."""
    signature = hmac.new(NEW.encode(), first, hashlib.sha1).hexdigest()
    return {"body": first if body is None else body, "headers": {"x-signature": signature, "content-encoding": encoding}}


def event(**more: object) -> dict[str, object]:
    return {"name": "Product Viewed", "time": iso(time.time()), "anonymous_id": "explained", **more}


def call(**more: object) -> bytes:
    return json.dumps({"type": "track", "event": "Product Viewed", "anonymousId": "explained", **more}).encode()


def asking(origin: str) -> dict[str, str]:
    return {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type"}


def requests() -> dict[str, Asked]:
    """By what is particular about each."""
    bearer = {"authorization": f"Bearer {NEW}"}
    cloud = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": {"user_id": "explained"}}
    sent, packed = call(), gzip.compress(call())
    large = sent + b" " * (LARGEST_POST - len(sent))
    page = call(writeKey=NEW)
    beacon = {"origin": SITE, "content-type": "text/plain;charset=UTF-8"}
    bulk = json.dumps({"requests": [], "token_auth": NEW}).encode()
    return {
        "as it should be": Asked("shop", 202, '"accepted": 1', **own(NEW, event())),
        "by the older of two secrets": Asked("shop", 202, **own(OLD, event())),
        "by nobody's secret": Asked("shop", 401, "webhook-signature does not match the body", **own(NOBODYS, event())),
        "unsigned": Asked("shop", 401, "webhook-id is missing", json.dumps(event()).encode()),
        "an empty list of our own": Asked("shop", 400, "a list of 1 to", **own(NEW, {"events": []})),
        "one good and one bad": Asked("shop", 202, '"index": 1', **own(NEW, {"events": [event(), event(name=7)]})),
        "nothing good": Asked("shop", 400, "anonymous_id", **own(NEW, event(anonymous_id=None))),
        "no body": Asked("shop", 400, "the body", **own(NEW, b"")),
        "another method": Asked("shop", 405, "events come by POST", method="PUT"),
        "by GET": Asked("shop", 405, "events come by POST", method="GET"),
        "somebody looks": Asked("shop", 204, method="HEAD"),
        "another packing": Asked("segment", 415, "content-encoding", **segments(sent, encoding="br")),
        "with a byte order mark": Asked("segment", 202, **segments(b"\xef\xbb\xbf" + sent)),
        "packed": Asked("segment", 202, **segments(sent, packed, encoding="gzip")),
        "packed and not said so": Asked("segment", 202, **segments(sent, packed, encoding="")),
        "packed wrongly": Asked("segment", 400, "gzip", **segments(sent, encoding="gzip")),
        "two megabytes": Asked("segment", 202, **segments(large)),
        "a byte more": Asked("segment", 413, **segments(large + b" ")),
        "a forged second call": Asked("segment", 401, "only the first event", **segments(sent, b"[" + sent + b"," + sent + b"]")),
        "an empty batch": Asked("posthog", 202, '"accepted": 0', b'{"batch": []}', bearer),
        "half a batch": Asked("posthog", 400, "the body must be JSON", b'{"batch": [', bearer),
        "another login": Asked("posthog", 401, "bearer", b'{"batch": []}', {"authorization": f"Basic {NEW}"}),
        "no requests": Asked("matomo", 202, '"accepted": 0', bulk, path="/matomo.php"),
        "no query strings": Asked(
            "matomo", 400, "a list of query strings", query=f"token_auth={NEW.replace('+', '%2B')}", body=b"{}"
        ),
        "another content type": Asked(
            "events", 415, "content-type", b"x", {**bearer, "content-type": "application/cloudevents+avro"}
        ),
        "a list that is none": Asked(
            "events",
            400,
            "a list of events",
            json.dumps(cloud).encode(),
            {**bearer, "content-type": "application/cloudevents-batch+json"},
        ),
        "what cannot be used": Asked("events", 202, "specversion", b"{}", bearer),
        "who asks first": Asked("events", 200, headers={"webhook-request-origin": "grid.example"}, method="OPTIONS"),
        "a page asks": Asked("site", 204, headers=asking(SITE), method="OPTIONS"),
        "another page asks": Asked("site", 403, "origins", headers=asking(OTHER), method="OPTIONS"),
        "a page posts": Asked("site", 202, body=page, headers=beacon),
        "another page posts": Asked("site", 403, "origins", body=page, headers={**beacon, "origin": OTHER}),
        "a page without the key": Asked("site", 401, "writeKey", body=sent, headers=beacon),
    }


def put(world: World, path: Path) -> None:
    """Applies a file, until all running functions know of it: here they look again after a second (`definitions_ttl_seconds`)."""
    world.sendbridge("apply", "-f", str(path))
    time.sleep(1.5)


@pytest.fixture(scope="module")
def definitions(deployed: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The trackers, which the deployment has too."""
    path = tmp_path_factory.mktemp("explained") / "trackers.yaml"
    both = [{"env": "EXPLAINED_NEW"}, {"env": "EXPLAINED_OLD"}]
    path.write_text(yaml.safe_dump_all([{"kind": "tracker", "secrets": both, **one} for one in TRACKERS]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPLAINED_NEW", NEW)
        patch.setenv("EXPLAINED_OLD", OLD)
        put(deployed, path)
        yield path


@pytest.fixture
def client(deployed: World) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{deployed.deployment.url}/v1/events/", timeout=30, trust_env=False) as client:
        yield client


def posted(client: httpx.Client, one: Asked) -> httpx.Response:
    url = f"explained_{one.of}{one.path}" + (f"?{one.query}" if one.query else "")
    return client.request(one.method, url, content=one.body, headers=dict(one.headers))


def agree(answer: httpx.Response, explained: Mapping[str, Any]) -> bool:
    """Whether an answer and its explanation are of the same status, for the same reason, with as many events."""
    if not answer.text:
        return bool(explained["status"] == answer.status_code and not explained["reason"])
    said = answer.json()
    refused = [f"{fault['field']} {fault['expected']}" for fault in said.get("errors", [])]
    reasons = [f"events.{one['index']}.{one['field']} {one['reason']}" for one in explained["rejected"]]
    return (
        explained["status"] == answer.status_code
        and len(explained["events"]) == said.get("accepted", 0)
        and (reasons == refused if refused else said.get("detail", "") in explained["reason"])
        and said.get("rejected", explained["rejected"]) == explained["rejected"]
    )


def test_each_is_answered_as_it_is_explained(deployed: World, definitions: Path, client: httpx.Client, tmp_path: Path) -> None:
    path, given, explained = tmp_path / "request.jsonl", {}, {}
    for case, one in (asked := requests()).items():
        given[case] = posted(client, one)
        path.write_text(json.dumps(one.recorded()))
        said: Any = deployed.sendbridge("explain", "event", str(path), "--tracker", f"explained_{one.of}", "-f", str(definitions))
        [explained[case]] = said["requests"]
    assert {case: one.status_code for case, one in given.items()} == {case: one.status for case, one in asked.items()}
    assert {case: given[case].text for case, one in asked.items() if one.said not in given[case].text} == {}
    assert {case: explained[case] for case in asked if not agree(given[case], explained[case])} == {}


def test_nobody_s_tracker_is_nowhere(deployed: World, definitions: Path, client: httpx.Client, tmp_path: Path) -> None:
    answer = posted(client, Asked("nobody", 404))
    assert (answer.status_code, answer.json()["detail"]) == (404, "there is no tracker of this name")
    path = tmp_path / "request.jsonl"
    path.write_text("{}")
    with pytest.raises(RuntimeError, match=r"ended with 2: .*a tracker named explained_nobody in the files"):
        deployed.sendbridge("explain", "event", str(path), "--tracker", "explained_nobody", "-f", str(definitions))


def test_browsers_are_told_what_lets_a_page_see_the_answer(definitions: Path, client: httpx.Client) -> None:
    asked = requests()
    seen = {case: posted(client, asked[case]).headers for case in asked if asked[case].of == "site"}
    allowed = {case: headers.get("access-control-allow-origin") for case, headers in seen.items()}
    assert allowed == {case: None if "another" in case else SITE for case in seen}
    preflight = seen["a page asks"]
    assert (preflight["access-control-allow-methods"], preflight["access-control-allow-headers"]) == ("POST", "content-type")


def test_a_broker_is_told_at_which_rate_it_may_deliver(definitions: Path, client: httpx.Client) -> None:
    headers = posted(client, requests()["who asks first"]).headers
    assert (headers["webhook-allowed-origin"], headers["webhook-allowed-rate"]) == ("grid.example", "10000")


def test_a_key_that_was_taken_out_holds_no_longer(
    deployed: World, client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPLAINED_NEW", NEW)
    monkeypatch.setenv("EXPLAINED_OLD", OLD)
    path = tmp_path / "rotated.yaml"

    for names, expected in ((["OLD"], [401, 202]), (["NEW", "OLD"], [202, 202]), (["NEW"], [202, 401])):
        keys = [{"env": f"EXPLAINED_{name}"} for name in names]
        path.write_text(yaml.safe_dump({"kind": "tracker", "name": "explained_rotated", "secrets": keys}))
        put(deployed, path)
        found = [posted(client, Asked("rotated", 202, **own(key, event()))).status_code for key in (NEW, OLD)]
        assert found == expected


def test_who_posts_more_than_its_limit_is_told_when_to_come_back(
    deployed: World, client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPLAINED_NEW", NEW)
    path = tmp_path / "limited.yaml"
    limit = {"messages": 2, "seconds": 60}
    one = {"kind": "tracker", "name": "explained_limited", "secrets": [{"env": "EXPLAINED_NEW"}], "limit": limit}
    path.write_text(yaml.safe_dump(one))
    put(deployed, path)
    first = Asked("limited", 202, **own(NEW, event()))
    answers = [posted(client, first) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [202, 202, 429, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 120
    assert "limit" in answers[-1].json()["detail"]
