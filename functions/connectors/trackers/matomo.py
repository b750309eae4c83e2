"""Matomo's tracking HTTP API, which Piwik PRO's is alike.

A post is `{"requests": ["?idsite=1&rec=1&…", …]}`, or the parameters of one request as a form or in the URL. With `proof:
vendor` it has to bring a secret of the tracker as `token_auth`: in the URL, in the form, or beside `requests`.

There are no event ids. One is made of the parameters, without the token. If they have neither a time (`cdt`) nor what is
random for each request (`rand`, or `r` from browsers), the minute in which they came counts as well: the same again within
it is the same event. Events without `cdt` happened when they came.

An order (`ec_id`) is `Order Completed`; a cart update, which always has the whole cart, is `Cart Viewed`; `search` is
`Products Searched`; `_pks` and `_pkn` make it `Product Viewed`, `_pkc` alone `Product List Viewed`; an event is called by
its action (`e_a`); a ping (`ping=1`) keeps the visit alive. The visitor is `cid`, else `_id`; the user `uid`. Addresses
(`cip`) are not kept.

Source: the tracking HTTP API reference of Matomo 4 and 5, and of Piwik PRO (read 2026-11-22).
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import unquote_to_bytes

from pydantic import JsonValue

from connectors.base import Post
from connectors.bodies import parsed
from connectors.trackers.base import EventFormat, Unusable, bounded, content_id, made, text_of, unix_time_of
from connectors.trackers.loose import asked, minute_id, number_of, renamed, with_products
from shared.clock import Clock
from shared.errors import BadRequest
from shared.jobs import TrackerEvent
from shared.signatures import is_one_of
from shared.trackers import Tracker

_Params = dict[str, JsonValue]

_TOKEN = "token_auth"

_NAMES = {
    "action_name": "title",
    "url": "url",
    "urlref": "referrer",
    "search": "query",
    "search_cat": "category",
    "search_count": "results",
    "e_c": "category",
    "e_a": "action",
    "e_n": "label",
    "e_v": "value",
    "ec_id": "order_id",
    "revenue": "total",
    "ec_st": "subtotal",
    "ec_tx": "tax",
    "ec_sh": "shipping",
    "ec_dt": "discount",
    "_pks": "product_id",
    "_pkn": "name",
    "_pkc": "category",
    "_pkp": "price",
    "link": "link",
    "download": "download",
    "idgoal": "goal_id",
}
"""Parameters by what they are called here; all others but those in `_DROPPED` keep their names."""

_ITEM = ("product_id", "name", "category", "price", "quantity")
"""What is in each row of `ec_items`."""

_NUMBERS = frozenset({"results", "value", "total", "subtotal", "tax", "shipping", "discount", "price"})

_DROPPED = frozenset(
    (
        *("rec", "apiv", "rand", "r", "send_image", "bots", "ping", "new_visit", "h", "m", "s", "cdt", "ec_items"),
        *("_id", "cid", "uid", "_idts", "_idvc", "_idn", "_viewts", "_refts", "_ects"),
        *("cip", "country", "region", "city", "lat", "long", "ua", "uadata"),
        *("cookie", "pdf", "qt", "realp", "wma", "fla", "java", "ag", "gears", "dir"),
    )
)
"""Parameters about the request or the machine, and those that are elsewhere in the event."""

_ACTIONS = (
    ("search", "search"),
    ("link", "link"),
    ("download", "download"),
    ("c_i", "content_interaction"),
    ("c_n", "content_impression"),
    ("_pks", "product"),
    ("_pkn", "product"),
    ("_pkc", "category"),
)
"""Which action a request is by the first of these that it has."""


class _Matomo(EventFormat):
    names = {  # noqa: RUF012
        "ping": "Page Ping",
        "order": "Order Completed",
        "cart": "Cart Viewed",
        "search": "Products Searched",
        "product": "Product Viewed",
        "category": "Product List Viewed",
        "goal": "Goal Reached",
        "link": "Link Clicked",
        "download": "File Downloaded",
        "content_interaction": "Content Clicked",
        "content_impression": "Content Viewed",
        "page": "Page Viewed",
    }
    setup = (
        "In a page, add a second tracker beside Matomo's own, `_paq.push(['addTracker', 'https://HOST/v1/events/{name}', ID])`, "
        "and give ours `proof: none` with `origins` and a `limit`.",
        "A server or an SDK: give it `https://HOST/v1/events/{name}` as Matomo's address and a `token_auth` of 32 random "
        "characters, and put those into the tracker's `secrets` (`proof: vendor`).",
        "Matomo knows no addresses: have its `uid` be the user id under which another tracker says the address, such as the "
        "shop's own by an event with `user_id` and the trait `email`.",
        "Matomo does not say what was put into a cart, but each time what is in it: where a ready-made trigger asks for "
        "`Product Added`, ask for `Cart Viewed`.",
    )
    methods = ("POST", "GET")
    write_key = _TOKEN
    forgiving = True  # the SDKs keep a batch that is refused, and post it again for ever

    def verify(self, tracker: Tracker, post: Post, clock: Clock) -> None:
        """Refuses (401) what brings none of the tracker's secrets as `token_auth`."""
        given = post.query.get(_TOKEN) or _token_in(post)
        if not is_one_of(given.encode(errors="surrogatepass"), [secret.get_secret_value() for secret in tracker.secrets]):
            raise BadRequest("must hold a secret of this tracker", field=_TOKEN, status=401)

    def listed(self, tracker: Tracker, post: Post) -> Sequence[JsonValue]:
        """The parameters of each request, without its token. Raises BadRequest (400)."""
        if _is_bulk(post):
            body = parsed(post.body)
            requests = body.get("requests") if isinstance(body, dict) else None
            if not isinstance(requests, list):
                raise BadRequest("must be a list of query strings", field="requests")
            return [_parameters(one) for one in bounded(requests)]
        request = _without_token(_form(post) or asked(tracker, post))
        if "idsite" not in request:
            raise BadRequest('must be {"requests": [...]}, or the parameters of one request', field="body")
        return [request]

    def event(self, tracker: Tracker, posted: JsonValue, post: Post, received_at: datetime) -> TrackerEvent:
        """One request. Raises Unusable."""
        if not isinstance(posted, dict):
            raise Unusable("request", "must be a query string, as ?idsite=1&rec=1&url=…")
        if "idsite" not in posted:
            raise Unusable("idsite", "must be there")
        dated = posted.get("cdt")
        known = dated or posted.get("rand") or posted.get("r")
        return made(
            tracker,
            id=content_id(tracker, posted) if known else minute_id(tracker, posted, received_at),
            name=self._name(tracker, posted),
            at=_time(dated) if dated else received_at,
            received_at=received_at,
            anonymous_id=text_of(posted.get("cid"), "cid") or text_of(posted.get("_id"), "_id"),
            user_id=text_of(posted.get("uid"), "uid"),
            properties=_properties(posted),
        )

    def _name(self, tracker: Tracker, params: _Params) -> str:
        action = params.get("e_a")
        if params.get("ping") != "1" and not _is_commerce(params) and isinstance(action, str) and action:
            return tracker.names.get(action, action)
        return self.called(tracker, _kind(params))


CONNECTOR = _Matomo()


def _is_commerce(params: _Params) -> bool:
    return bool(params.get("ec_id") or params.get("ec_items") or params.get("idgoal") == "0")


def _kind(params: _Params) -> str:
    if params.get("ping") == "1":
        return "ping"
    if _is_commerce(params):
        return "order" if params.get("ec_id") else "cart"
    for name, kind in _ACTIONS:
        if params.get(name):
            return kind
    return "goal" if params.get("idgoal") else "page"


def _properties(params: _Params) -> _Params:
    properties = {name: value for name, value in params.items() if name not in _DROPPED and name not in _NAMES}
    properties |= renamed({name: value for name, value in params.items() if value != ""}, _NAMES)
    for name in _NUMBERS & properties.keys():
        properties[name] = number_of(properties[name])
    if _is_commerce(params):
        products = _products(params.get("ec_items"))
        properties.pop("goal_id", None)  # 0 is the shop's
        properties["products"] = []  # a cart update without products says that the cart is empty
        with_products(properties, products)
    return properties


def _products(items: JsonValue) -> list[_Params]:
    try:
        rows = parsed(items.encode()) if isinstance(items, str) and items else items or []
    except BadRequest:
        rows = None
    if not isinstance(rows, list):
        raise Unusable("ec_items", _EXPECTED_ITEMS)
    return [_product(row) for row in rows]


_EXPECTED_ITEMS = "must be a JSON list of [sku, name, category, price, quantity]"


def _product(row: JsonValue) -> _Params:
    if not isinstance(row, list) or not row or not isinstance(row[0], str | int | float) or row[0] == "":
        raise Unusable("ec_items", _EXPECTED_ITEMS)
    product: _Params = {name: value for name, value in zip(_ITEM, row, strict=False) if value is not None and value != ""}
    product["product_id"] = str(row[0])
    for name in ("price", "quantity"):
        if name in product:
            product[name] = number_of(product[name])
    return product


def _time(text: JsonValue) -> datetime:
    """`YYYY-MM-DD HH:MM:SS` in UTC, or Unix seconds."""
    if not isinstance(text, str) or text.isdecimal():
        return unix_time_of(text, "cdt")
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise Unusable("cdt", "must be a time in UTC as 2026-01-31 10:00:00, or a Unix time") from None


def _is_bulk(post: Post) -> bool:
    # Browsers post it as a form, whatever it is.
    return post.body[:16].removeprefix(BOM_UTF8).lstrip().startswith(b"{")


def _token_in(post: Post) -> str:
    if not _is_bulk(post):
        return str(_form(post).get(_TOKEN, ""))
    try:
        body = parsed(post.body)
    except BadRequest:
        return ""  # who proves nothing is told no more than that
    found = body.get(_TOKEN) if isinstance(body, dict) else None
    return found if isinstance(found, str) else ""


def _form(post: Post) -> _Params:
    try:
        return _query(post.body.decode())
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body must be UTF-8: byte {error.start} is not", field="body") from error


def _query(text: str) -> _Params:
    """The parameters of a query string; the last one of a name counts, as in PHP. An address before it is passed over."""
    params: _Params = {}
    query = text.partition("?")[2] if text.startswith(("?", "/", "http:", "https:")) else text
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name:
            params[_decoded(name)] = _decoded(value)
    return params


def _decoded(text: str) -> str:
    # As `unquote_plus`, which looks for other encodings and takes twice as long.
    text = text.replace("+", " ")
    return unquote_to_bytes(text).decode(errors="replace") if "%" in text else text


def _parameters(request: JsonValue) -> JsonValue:
    """A request's parameters, without its token; what is no request stays what it is."""
    params = _query(request) if isinstance(request, str) else request
    return _without_token(params) if isinstance(params, dict) else params


def _without_token(params: _Params) -> _Params:
    params.pop(_TOKEN, None)
    return params
