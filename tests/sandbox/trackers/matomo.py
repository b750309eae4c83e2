"""What posts to Matomo's tracking API: the SDKs and `matomo.js`. Written from its reference (read 2026-11-22).

A request is a query string that always has `idsite` and `rec=1`; all values are texts. One request goes as a form, or as a
pixel's address; several as `{"requests": ["?…"], "token_auth": "…"}` in the order in which they happened. `cdt` is in UTC,
and needs the token if it is older than a day. An SDK keeps a batch whose answer is not 2xx, and posts it again as it was.
"""

import json
import random
import time
from collections.abc import Sequence
from urllib.parse import urlencode

import httpx

from tests.sandbox.clock import Clock

Item = tuple[str, str, str, float, int]
"""SKU, name, category, price, quantity."""

DAY = 86_400


class Matomo:
    """One visitor of a site. `token` is the secret of a server that posts; a browser has none."""

    def __init__(
        self, url: str, clock: Clock | None = None, token: str | None = None, *, visitor: str = "0123456789abcdef"
    ) -> None:
        assert len(visitor) == 16, "_id has 16 hex characters"
        self.url, self.clock, self.token, self.visitor = url, clock or Clock(), token, visitor
        self.user: str | None = None
        self.waiting: list[str] = []

    def request(self, at: float | None = None, **params: str | float) -> str:
        """One request, which is kept for `flush`. `at` is when it happened, if the tracker says so."""
        known: dict[str, str | float] = {"idsite": 1, "rec": 1, "apiv": 1, "_id": self.visitor, "send_image": 0}
        if self.user is not None:
            known["uid"] = self.user
        if at is not None:
            assert self.token or self.clock() - at < DAY, "an older cdt needs token_auth"
            known["cdt"] = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at))
        made = "?" + urlencode({**known, **params})
        self.waiting.append(made)
        return made

    def page(self, url: str, title: str, at: float | None = None, **more: str | float) -> str:
        """A page view, as a browser makes it: with something random."""
        return self.request(at, url=url, action_name=title, rand=random.randrange(10**6), pv_id="a1B2c3", **more)

    def cart(self, items: Sequence[Item], at: float | None = None) -> str:
        """A cart update: always the whole cart."""
        return self.request(at, idgoal=0, revenue=_total(items), ec_items=json.dumps(items))

    def order(self, order: str, items: Sequence[Item], at: float | None = None) -> str:
        """An order."""
        return self.request(at, idgoal=0, ec_id=order, revenue=_total(items), ec_tx=0, ec_items=json.dumps(items))

    def body(self) -> bytes:
        """The bulk post of what is waiting."""
        return json.dumps({"requests": self.waiting, **({"token_auth": self.token} if self.token else {})}).encode()

    def flush(self) -> httpx.Response:
        """Posts what is waiting, which goes on waiting if it is not taken."""
        answer = httpx.post(self.url, content=self.body(), headers={"content-type": "application/json"}, trust_env=False)
        if answer.is_success:
            self.waiting = []
        return answer

    def form(self, request: str) -> bytes:
        """The body of one request on its own: as `sendBeacon` posts it."""
        return (request.removeprefix("?") + (f"&token_auth={self.token}" if self.token else "")).encode()


def _total(items: Sequence[Item]) -> float:
    return sum(price * quantity for *_, price, quantity in items)
