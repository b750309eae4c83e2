"""Snowplow: what its trackers post to a collector, and enriched events as Snowbridge and others forward them.

Trackers post `payload_data` (`tp2`), or ask for the pixel (GET). Enriched events are JSON in the shape of the Analytics
SDKs, one or a list. Nothing is signed.

An event's id is `eid`, or `event_id` with `event_fingerprint`; its time is `ttm`, else `dtm`; of enriched ones
`true_tstamp`, else `derived_tstamp`, as the collector's clock has mended it. The visitor is `duid` (`domain_userid`), else
the `userId` of the `client_session` context; the user `uid` (`user_id`); `network_userid` is an identifier. A page ping is
`Page Ping`, and only keeps the visit alive.

A self-describing event is called by its schema's name (`viewed_product`), and its data are its properties; contexts stand
beside them as in enriched events: `contexts_com_acme_user_1` is a list. A structured event is called by its action. Events
of Snowplow's e-commerce plugin get the usual names, and from their entities `products`, `order_id`, `total` and so on; those
of the original one (`tr`, `ti`) are `Order Completed`, and `Order Item` for each item.

Source: Snowplow's tracker protocol, enriched event and Analytics SDK pages, the schemas of
`com.snowplowanalytics.snowplow.ecommerce` on Iglu Central (read 2026-11-22).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from pydantic import JsonValue

from connectors.base import Post
from connectors.bodies import parsed
from connectors.trackers.base import (
    EventFormat,
    Unusable,
    bounded,
    content_id,
    fields_of,
    made,
    object_of,
    one_or_many,
    text_of,
    time_of,
    unix_time_of,
)
from connectors.trackers.loose import asked, minute_id, number_of, renamed, with_products
from connectors.trackers.self_describing import by_schema, decoded, objects_of, schema_of
from shared.errors import BadRequest
from shared.jobs import TrackerEvent
from shared.trackers import Tracker

_Fields = dict[str, JsonValue]

_PAYLOAD = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-"

_KINDS = {
    "pv": "page_view",
    "pp": "page_ping",
    "se": "struct",
    "ue": "unstruct",
    "tr": "transaction",
    "ti": "transaction_item",
}

_TRACKED = {
    "url": "url",
    "page": "title",
    "refr": "referrer",
    "aid": "app_id",
    "p": "platform",
    "lang": "language",
    "tz": "time_zone",
    "sid": "session_id",
    "se_ca": "category",
    "se_ac": "action",
    "se_la": "label",
    "se_pr": "property",
    "se_va": "value",
    "tr_id": "order_id",
    "tr_af": "affiliation",
    "tr_tt": "total",
    "tr_tx": "tax",
    "tr_sh": "shipping",
    "tr_cu": "currency",
    "ti_id": "order_id",
    "ti_sk": "product_id",
    "ti_nm": "name",
    "ti_ca": "category",
    "ti_pr": "price",
    "ti_qu": "quantity",
    "ti_cu": "currency",
}
"""Of the tracker protocol."""

_ENRICHED = {
    "page_url": "url",
    "page_title": "title",
    "page_referrer": "referrer",
    "app_id": "app_id",
    "platform": "platform",
    "br_lang": "language",
    "os_timezone": "time_zone",
    "domain_sessionid": "session_id",
    "se_category": "category",
    "se_action": "action",
    "se_label": "label",
    "se_property": "property",
    "se_value": "value",
    "tr_orderid": "order_id",
    "tr_affiliation": "affiliation",
    "tr_total": "total",
    "tr_tax": "tax",
    "tr_shipping": "shipping",
    "tr_currency": "currency",
    "ti_orderid": "order_id",
    "ti_sku": "product_id",
    "ti_name": "name",
    "ti_category": "category",
    "ti_price": "price",
    "ti_quantity": "quantity",
    "ti_currency": "currency",
    "geo_country": "geo_country",
    "geo_city": "geo_city",
    "refr_medium": "refr_medium",
    "refr_source": "refr_source",
    "refr_term": "refr_term",
    "mkt_medium": "mkt_medium",
    "mkt_source": "mkt_source",
    "mkt_term": "mkt_term",
    "mkt_content": "mkt_content",
    "mkt_campaign": "mkt_campaign",
}

_NUMBERS = ("value", "total", "tax", "shipping", "price", "quantity")

_VENDOR = "com.snowplowanalytics.snowplow"
_SHOP = f"{_VENDOR}.ecommerce"
_OWN = (_VENDOR, _SHOP, "com.snowplowanalytics.mobile")
_OF_SHOP = "contexts_com_snowplowanalytics_snowplow_ecommerce_"
_SESSIONS = "contexts_com_snowplowanalytics_snowplow_client_session_1"

_ORDERS = {
    "transaction_id": "order_id",
    "revenue": "total",
    "refund_amount": "total",
    "refund_reason": "reason",
    "currency": "currency",
    "tax": "tax",
    "shipping": "shipping",
    "discount_amount": "discount",
    "discount_code": "coupon",
    "cart_id": "cart_id",
    "total_value": "value",
    "step": "step",
}
"""Of the e-commerce entities beside the products."""


class _Told(NamedTuple):
    """What an event says, whichever way it came."""

    kind: str
    vendor: str = _VENDOR
    name: str = ""
    """Of the schema of a self-describing event, and its data."""
    data: Mapping[str, JsonValue] = MappingProxyType({})
    contexts: Mapping[str, JsonValue] = MappingProxyType({})
    """Lists of entities, each under the name that it has in enriched events."""

    def entities(self, name: str) -> list[_Fields]:
        """Those of the e-commerce schema of this name."""
        return objects_of(self.contexts.get(f"{_OF_SHOP}{name}_1"))


class _Snowplow(EventFormat):
    names = MappingProxyType(
        {
            "page_view": "Page Viewed",
            "page_ping": "Page Ping",
            "transaction": "Order Completed",
            "transaction_item": "Order Item",
            "add_to_cart": "Product Added",
            "remove_from_cart": "Product Removed",
            "product_view": "Product Viewed",
            "list_view": "Product List Viewed",
            "list_click": "Product Clicked",
            "checkout_step": "Checkout Started",
            "later_checkout_step": "Checkout Step Completed",
            "refund": "Order Refunded",
            "promo_view": "Promotion Viewed",
            "promo_click": "Promotion Clicked",
            "site_search": "Products Searched",
            "link_click": "Link Clicked",
            "screen_view": "Screen Viewed",
        }
    )
    setup = (
        "Tell the tracker `https://HOST/v1/events/{name}` as its collector: the path that it puts behind that is passed over. "
        "One that takes a host alone has a setting for the path: `postPath` of the web trackers, `customPostPath` of the mobile.",
        "A tracker in a browser: `proof: none` with `origins` and a `limit`, and `withCredentials: false` in its configuration.",
        "Others: put a header with a long random value into `customHeaders` (web) or `requestHeaders` (mobile), and give the "
        "tracker `proof: header`, the header's name as `header` and the value in `secrets`.",
        "To forward enriched events, let Snowbridge make JSON of them (`spEnrichedToJson`) and its HTTP target post them, with "
        "Basic authorisation (`proof: basic`) or a header (`proof: header`).",
        "Whom to write to is said by the entity `user` of the e-commerce plugin (`email`), or by another tracker, that knows the "
        "address of this `uid`.",
    )
    methods = ("POST", "GET")
    forgiving = True  # a collector answers 200 to whatever it is sent, and who forwards to one repeats what is refused

    def listed(self, tracker: Tracker, post: Post) -> Sequence[JsonValue]:
        """The events of a payload, or enriched events. Raises BadRequest (400)."""
        if post.method == "GET":
            return [asked(tracker, post)]
        body = parsed(post.body)
        if not isinstance(body, dict) or "schema" not in body:
            return bounded(one_or_many(body))
        if not str(body["schema"]).startswith(_PAYLOAD):
            raise BadRequest(f"must be {_PAYLOAD}…", field="schema")
        events = body.get("data")
        if not isinstance(events, list):
            raise BadRequest("must be a list of events", field="data")
        return bounded(events)

    def event(self, tracker: Tracker, posted: JsonValue, post: Post, received_at: datetime) -> TrackerEvent:
        """One event, tracked or enriched. Raises Unusable."""
        fields = fields_of(posted)
        return self._tracked(tracker, fields, received_at) if "e" in fields else self._enriched(tracker, fields, received_at)

    def _tracked(self, tracker: Tracker, fields: _Fields, received_at: datetime) -> TrackerEvent:
        told = _of_tracked(fields)
        time = next((name for name in ("ttm", "dtm") if fields.get(name)), None)
        eid = text_of(fields.get("eid"), "eid")
        return self._made(
            tracker,
            told,
            renamed(fields, _TRACKED),
            id=eid or _content(tracker, fields, received_at if time is None else None),
            at=unix_time_of(fields[time], time, "milliseconds") if time else received_at,
            received_at=received_at,
            visitor=text_of(fields.get("duid"), "duid"),
            user=text_of(fields.get("uid"), "uid"),
            network=text_of(fields.get("tnuid") or fields.get("nuid"), "tnuid"),
        )

    def _enriched(self, tracker: Tracker, fields: _Fields, received_at: datetime) -> TrackerEvent:
        event_id = text_of(fields.get("event_id"), "event_id")
        if event_id is None:
            raise Unusable("event_id", "must be there: this is neither an enriched event, nor one of a tracker's payload")
        told, fingerprint = _of_enriched(fields), text_of(fields.get("event_fingerprint"), "event_fingerprint")
        time = next((name for name in _TIMES if fields.get(name)), None)
        return self._made(
            tracker,
            told,
            renamed(fields, _ENRICHED),
            # The same id with another fingerprint is another event: some programs copy ids.
            id=f"{event_id}:{fingerprint}" if fingerprint else event_id,
            at=time_of(fields[time], time) if time else received_at,
            received_at=received_at,
            visitor=text_of(fields.get("domain_userid"), "domain_userid"),
            user=text_of(fields.get("user_id"), "user_id"),
            network=text_of(fields.get("network_userid"), "network_userid"),
        )

    def _made(
        self,
        tracker: Tracker,
        told: _Told,
        properties: _Fields,
        *,
        id: str,
        at: datetime,
        received_at: datetime,
        visitor: str | None,
        user: str | None,
        network: str | None,
    ) -> TrackerEvent:
        properties |= told.data
        properties |= told.contexts
        name = self._name(tracker, told, properties)
        _tell_of_shop(told, properties)
        return made(
            tracker,
            id=id,
            name=name,
            at=at,
            received_at=received_at,
            anonymous_id=visitor or _device(told.contexts, properties) or network,
            user_id=user,
            identifiers=(("network_userid", network),) if network else (),
            properties=properties,
            traits=_traits(told),
        )

    def _name(self, tracker: Tracker, told: _Told, properties: _Fields) -> str:
        if told.kind == "struct":
            action = text_of(properties.get("action"), "se_ac") or "struct"
            return tracker.names.get(action, action)
        if told.kind != "unstruct":
            return self.called(tracker, told.kind)
        if told.vendor not in _OWN:
            return tracker.names.get(told.name, told.name)
        return self.called(tracker, _action(told) if told.name == "snowplow_ecommerce_action" else told.name)


CONNECTOR = _Snowplow()

_TIMES = ("true_tstamp", "derived_tstamp", "dvce_created_tstamp", "collector_tstamp")


def _content(tracker: Tracker, fields: _Fields, received_at: datetime | None) -> str:
    """An id for an event without one. When it was sent (`stm`) is another time with each repeat."""
    content: _Fields = {name: value for name, value in fields.items() if name != "stm"}
    return content_id(tracker, content) if received_at is None else minute_id(tracker, content, received_at)


def _of_tracked(fields: _Fields) -> _Told:
    kind = _KINDS.get(str(fields["e"]))
    if kind is None:
        raise Unusable("e", f"must be one of {', '.join(_KINDS)}")
    contexts = decoded(fields, "cx", "co")
    entities = dict(by_schema(contexts.get("data"))) if contexts else {}
    if kind != "unstruct":
        return _Told(kind, contexts=entities)
    outer = decoded(fields, "ue_px", "ue_pr")
    inner = object_of(outer.get("data"), "ue_px.data")
    schema = schema_of(inner.get("schema"), "ue_px.data.schema")
    return _Told(kind, schema.vendor, schema.name, object_of(inner.get("data"), "ue_px.data.data"), entities)


def _of_enriched(fields: _Fields) -> _Told:
    kind = text_of(fields.get("event"), "event") or "unstruct"
    contexts: _Fields = {name: value for name, value in fields.items() if name.startswith("contexts_")}
    if kind != "unstruct":
        return _Told(kind, contexts=contexts)
    name = text_of(fields.get("event_name"), "event_name")
    if name is None:
        raise Unusable("event_name", "must be there")
    column = next((one for one in fields if one.startswith("unstruct_event_")), "")
    vendor = text_of(fields.get("event_vendor"), "event_vendor") or ""
    return _Told(kind, vendor, name, object_of(fields.get(column), column), contexts)


def _action(told: _Told) -> str:
    """What an e-commerce action is, the steps of a checkout after its first apart."""
    action = text_of(told.data.get("type"), "type") or told.name
    if action != "checkout_step":
        return action
    step = next(iter(told.entities("checkout_step")), {}).get("step", 1)
    return action if step in (1, None) else "later_checkout_step"


def _tell_of_shop(told: _Told, properties: _Fields) -> None:
    """Says in the usual words what an event about shopping is about."""
    for name in _NUMBERS:
        if name in properties:
            properties[name] = number_of(properties[name])
    if told.vendor == _SHOP:
        if told.data.get("name"):
            properties["list"] = properties.pop("name")
        for entity in ("cart", "transaction", "refund", "checkout_step"):
            for one in told.entities(entity):
                properties |= renamed(one, _ORDERS)
        with_products(properties, [{**one, "product_id": one.get("id")} for one in told.entities("product")])
    elif told.vendor == _VENDOR and "sku" in told.data:
        properties["product_id"] = told.data["sku"]
    elif told.vendor == _VENDOR and told.name == "site_search":
        terms = told.data.get("terms")
        properties["query"] = " ".join(map(str, terms)) if isinstance(terms, list) else terms


def _device(contexts: Mapping[str, JsonValue], properties: _Fields) -> str | None:
    """Who the visitor is by the session context, which apps have instead of cookies."""
    session = next(iter(objects_of(contexts.get(_SESSIONS))), None)
    if session is None:
        return None
    properties.setdefault("session_id", session.get("sessionId"))
    return text_of(session.get("userId"), f"{_SESSIONS}.userId")


def _traits(told: _Told) -> _Fields:
    email = next((one["email"] for one in told.entities("user") if one.get("email")), None)
    return {"email": email} if email else {}
