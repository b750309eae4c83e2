"""A Snowplow tracker, and what forwards enriched events. Written from Snowplow's documentation (read 2026-11-22).

A tracker posts `payload_data` to `COLLECTOR/com.snowplowanalytics.snowplow/tp2`, or a path that it is told, or asks for the
pixel `COLLECTOR/i?e=…`. All values are texts. It is done with an answer of 200 to 299, gives events up that are answered
with 400, 401, 403, 410 or 422, and repeats all others with the same ids and a new `stm`.
"""

import base64
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Literal

import httpx

from tests.sandbox.clock import Clock, iso

PATH = "/com.snowplowanalytics.snowplow/tp2"
PAYLOAD = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4"
UNSTRUCT = "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0"
CONTEXTS = "iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-0"
GIVEN_UP = frozenset({400, 401, 403, 410, 422})
LARGEST = 40_000

Encoding = Literal["url-safe", "standard", "plain"]
Described = tuple[str, Mapping[str, object]]
"""A schema's URI, and data that keep to it."""


class Snowplow:
    """A site's tracker: `visitor` is its cookie, `user` who has logged in. Events are buffered until they are flushed."""

    def __init__(self, collector: str, clock: Clock | None = None, *, path: str = PATH, encoding: Encoding = "url-safe") -> None:
        self.collector, self.clock, self.path, self.encoding = collector, clock or Clock(), path, encoding
        self.visitor: str | None = str(uuid.uuid4())
        self.session = str(uuid.uuid4())
        self.user: str | None = None
        self.headers: dict[str, str] = {}
        self.waiting: list[dict[str, str]] = []

    def page_view(self, url: str, title: str, contexts: Sequence[Described] = ()) -> dict[str, str]:
        """`pv`."""
        return self._track({"e": "pv", "url": url, "page": title}, contexts)

    def page_ping(self, url: str, depth: int) -> dict[str, str]:
        """`pp`, with how far the page was scrolled."""
        return self._track({"e": "pp", "url": url, "pp_mix": "0", "pp_max": "0", "pp_miy": "0", "pp_may": str(depth)})

    def structured(self, category: str, action: str, value: float | None = None) -> dict[str, str]:
        """`se`."""
        more = {} if value is None else {"se_va": str(value)}
        return self._track({"e": "se", "se_ca": category, "se_ac": action, **more})

    def self_describing(self, event: Described, contexts: Sequence[Described] = ()) -> dict[str, str]:
        """`ue`."""
        described = {"schema": UNSTRUCT, "data": {"schema": event[0], "data": event[1]}}
        return self._track({"e": "ue", **self._encoded("ue_px", "ue_pr", described)}, contexts)

    def transaction(self, order: str, total: float, items: Sequence[tuple[str, str, float, int]]) -> None:
        """`tr`, and `ti` for each item: SKU, name, price and quantity."""
        self._track({"e": "tr", "tr_id": order, "tr_tt": str(total), "tr_cu": "EUR"})
        for sku, name, price, quantity in items:
            of = {"ti_id": order, "ti_sk": sku, "ti_nm": name, "ti_pr": str(price), "ti_qu": str(quantity)}
            self._track({"e": "ti", **of, "ti_cu": "EUR"})

    def body(self) -> bytes:
        """The payload of what is waiting, sent now."""
        sent = [{**event, "stm": self._now()} for event in self.waiting]
        made = json.dumps({"schema": PAYLOAD, "data": sent}).encode()
        assert len(made) <= LARGEST, "a tracker splits what is larger"
        return made

    def flush(self) -> httpx.Response:
        """Posts what is waiting. It goes on waiting if that is to be repeated."""
        headers = {"content-type": "application/json; charset=UTF-8", **self.headers}
        answer = httpx.post(self.collector + self.path, content=self.body(), headers=headers, trust_env=False)
        if answer.is_success or answer.status_code in GIVEN_UP:
            self.waiting = []
        return answer

    def pixel(self, event: Mapping[str, str]) -> httpx.Response:
        """Asks for the collector's pixel with one event."""
        params = {**event, "stm": self._now()}
        return httpx.get(self.collector + "/i", params=params, headers=self.headers, trust_env=False)

    def _track(self, event: dict[str, str], contexts: Sequence[Described] = ()) -> dict[str, str]:
        made = {**event, "eid": str(uuid.uuid4()), "dtm": self._now(), "p": "web", "aid": "shop", "tv": "js-4.6.0", "tna": "sp1"}
        if self.visitor is not None:
            made |= {"duid": self.visitor, "sid": self.session, "vid": "1"}
        if self.user is not None:
            made["uid"] = self.user
        if contexts:
            entities = [{"schema": schema, "data": data} for schema, data in contexts]
            made |= self._encoded("cx", "co", {"schema": CONTEXTS, "data": entities})
        self.waiting.append(made)
        return made

    def _encoded(self, encoded: str, plain: str, value: object) -> dict[str, str]:
        text = json.dumps(value, ensure_ascii=False)
        if self.encoding == "plain":
            return {plain: text}
        if self.encoding == "standard":
            return {encoded: base64.b64encode(text.encode()).decode()}
        return {encoded: base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")}

    def _now(self) -> str:
        return str(int(self.clock() * 1000))


def enriched(event: Mapping[str, object], at: float) -> dict[str, object]:
    """An enriched event as the Analytics SDKs make JSON of it: unset fields are left out."""
    made = {
        "app_id": "shop",
        "platform": "web",
        "collector_tstamp": iso(at + 1),
        "derived_tstamp": iso(at),
        "v_etl": "common-4.2.0",
    }
    known = {"event_id": str(uuid.uuid4()), "event_fingerprint": uuid.uuid4().hex, "user_ipaddress": "192.0.2.7"}
    return {name: value for name, value in {**made, **known, **event}.items() if value is not None}
