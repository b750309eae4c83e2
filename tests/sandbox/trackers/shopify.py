"""Shopify's webhooks: carts, checkouts, orders, customers and the compliance topics.

Sources (read 2026-11): "Webhooks delivery structure", "Verify deliveries", "Privacy law compliance", the REST references, and
the open source of Shopify's JavaScript libraries. `X-Shopify-Hmac-Sha256` is the base64 HMAC-SHA256 of the body. Anything but
2xx (3xx, too) is repeated eight times within four hours with the payload as it was; a subscription that goes on failing is
removed. One event has one `Event-Id` for all subscriptions; each delivery has its `Webhook-Id`. Deliveries of the newer kind
carry un-prefixed headers, and for now the older ones as well.
"""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping, Sequence

import httpx

from tests.sandbox.clock import iso
from tests.sandbox.trackers.sending import Fields, Sender

VERSION = "2026-07"
COMPLIANCE = ("customers/data_request", "customers/redact", "shop/redact")


class Shopify(Sender):
    """One shop, whose webhooks are signed with `secret`."""

    user_agent = "Shopify-Captain-Hook"
    waits = (15, 60, 240, 600, 1_200, 2_400, 3_600, 6_000)

    def __init__(self, url: str, secret: str, shop: str = "lamps.myshopify.com", **named: object) -> None:
        super().__init__(url, **named)  # type: ignore[arg-type]
        self.secret, self.shop, self.subscribed = secret, shop, True

    def emit(
        self,
        topic: str,
        resource: Fields,
        *,
        event_id: str = "",
        newer: bool = False,
        test: bool = False,
        changes: Mapping[str, str | None] | None = None,
    ) -> list[httpx.Response]:
        """One event with its repeats. `changes` overwrites headers (None: leaves one out)."""
        body = json.dumps(resource, separators=(",", ":"), ensure_ascii=False).replace("/", "\\/").encode()
        headers = self.headers(topic, body, event_id or str(uuid.uuid4()), newer=newer)
        if test:
            headers["x-shopify-test"] = "true"
        kept = {name: value for name, value in {**headers, **(changes or {})}.items() if value is not None}
        answers = self.deliver(kept, body)
        self.subscribed = self.subscribed and not self.failed(answers[-1])
        return answers

    def headers(self, topic: str, body: bytes, event_id: str, *, newer: bool = False) -> dict[str, str]:
        """The headers of a delivery."""
        said = {
            "hmac-sha256": base64.b64encode(hmac.new(self.secret.encode(), body, hashlib.sha256).digest()).decode(),
            "topic": topic,
            "shop-domain": self.shop,
            "api-version": VERSION,
            "event-id": event_id,
            "webhook-id": str(uuid.uuid4()),
            "triggered-at": iso(self.clock()),
        }
        older = {f"x-shopify-{name}": value for name, value in said.items()}
        return {**older, **{f"shopify-{name}": value for name, value in said.items()}} if newer else older

    def line(self, product: int, title: str, price: str, quantity: int = 1) -> dict[str, object]:
        """A line of a cart, a checkout or an order."""
        return {
            "id": product * 10 + 1,
            "product_id": product,
            "variant_id": product * 10,
            "title": title,
            "variant_title": "black",
            "sku": f"SKU-{product}",
            "vendor": "Acme",
            "price": price,
            "quantity": quantity,
            "tax_lines": [{"price": "1.00", "rate": 0.19, "title": "VAT"}],
        }

    def cart(self, token: str, lines: Sequence[Fields]) -> dict[str, object]:
        """A cart."""
        return {"id": token, "token": token, "line_items": list(lines), "note": None, **self._times()}

    def checkout(self, cart_token: str | None, lines: Sequence[Fields], **fields: object) -> dict[str, object]:
        """A checkout, not completed."""
        return {
            "id": 981_820_079_255_243_537,
            "token": "checkout-token-1",
            "cart_token": cart_token,
            "email": "ada@example.com",
            "line_items": list(lines),
            "total_price": self._total(lines),
            "currency": "EUR",
            "completed_at": None,
            "abandoned_checkout_url": "https://lamps.example/checkouts/ac/1/recover?key=k",
            "customer": None,
            **self._times(),
            **fields,
        }

    def customer(self, number: int = 706_405_506_930_370_084, **fields: object) -> dict[str, object]:
        """A customer."""
        return {
            "id": number,
            "admin_graphql_api_id": f"gid://shopify/Customer/{number}",
            "email": "ada@example.com",
            "first_name": "Ada",
            "last_name": "Lovelace",
            "phone": None,
            "orders_count": 2,
            "total_spent": "199.65",
            "verified_email": True,
            "tags": "vip, newsletter",
            "state": "enabled",
            "default_address": {"country_code": "GB", "city": "London"},
            "email_marketing_consent": {
                "state": "subscribed",
                "opt_in_level": "single_opt_in",
                "consent_updated_at": "2026-01-31T10:00:00-05:00",
            },
            "sms_marketing_consent": None,
            **self._times(),
            **fields,
        }

    def order(self, cart_token: str | None, lines: Sequence[Fields], **fields: object) -> dict[str, object]:
        """An order."""
        return {
            "id": 820_982_911_946_154_508,
            "admin_graphql_api_id": "gid://shopify/Order/820982911946154508",
            "name": "#1001",
            "order_number": 1001,
            "email": "ada@example.com",
            "contact_email": "ada@example.com",
            "browser_ip": "192.0.2.8",
            "cart_token": cart_token,
            "checkout_token": "checkout-token-1",
            "currency": "EUR",
            "total_price": self._total(lines),
            "financial_status": "pending",
            "cancelled_at": None,
            "test": False,
            "discount_codes": [{"code": "WELCOME", "amount": "5.00", "type": "fixed_amount"}],
            "order_status_url": "https://lamps.example/orders/1/authenticate?key=k",
            "customer": self.customer(),
            "shipping_address": {"address1": "12 St James's Square", "city": "London"},
            "line_items": list(lines),
            **self._times(),
            **fields,
        }

    def comply(self, topic: str) -> list[httpx.Response]:
        """One of the compliance topics."""
        customer = {"customer": {"id": 191_167, "email": "ada@example.com", "phone": "+441632960000"}}
        more: dict[str, dict[str, object]] = {
            "customers/data_request": {**customer, "orders_requested": [299_938], "data_request": {"id": 9_999}},
            "customers/redact": {**customer, "orders_to_redact": [299_938]},
            "shop/redact": {},
        }
        return self.emit(topic, {"shop_id": 954_889, "shop_domain": self.shop, **more[topic]})

    def _total(self, lines: Sequence[Fields]) -> str:
        cents = sum(round(float(str(line["price"])) * 100) * int(str(line["quantity"])) for line in lines)
        return f"{cents // 100}.{cents % 100:02d}"

    def _times(self) -> dict[str, object]:
        now = iso(self.clock(), "seconds").replace("Z", "+00:00")
        return {"created_at": now, "updated_at": now}
