"""Requests and responses as people may see them: exact, but for secrets, and bounded."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from pydantic import JsonValue

from shared.auth import BasicAuth, BearerAuth, OAuth2, SigV4
from shared.definitions import Integration
from shared.exchange import Request, Response
from shared.validation import secrets_of

HIDDEN = "(secret)"
"""Stands for each secret."""

LONGEST = 65_536
"""Characters of a body that are shown."""

_LONGEST_VALUE = 2000
_SHORTEST = 4
"""Characters. What is shorter is everywhere, and so nobody's secret; in its own header it is hidden all the same."""
_ALWAYS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie", "x-amz-security-token"})


@dataclass(frozen=True)
class Mask:
    """Hides the secrets of one integration, in each spelling in which they are sent or might come back."""

    headers: frozenset[str]
    """Names, lower-case, of those that are hidden whole."""
    secrets: tuple[str, ...]
    """The longest first, so that what is part of another hides none of it."""

    def text(self, text: str) -> str:
        """The text without secrets."""
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        return text

    def header(self, name: str, value: str) -> str:
        """The header's value; of an authorization, the scheme is left."""
        if name.lower() not in self.headers:
            return self.text(value)[:_LONGEST_VALUE]
        scheme, _, credentials = value.partition(" ")
        return f"{self.text(scheme)} {HIDDEN}" if credentials and name.lower() == "authorization" else HIDDEN

    def request(self, request: Request) -> dict[str, JsonValue]:
        """A request as it was, or would be, sent."""
        headers: dict[str, JsonValue] = {name: self.header(name, value) for name, value in request.headers.items()}
        return {"method": request.method, "url": self.text(request.url), "headers": headers, **self._body(request.body)}

    def response(self, response: Response) -> dict[str, JsonValue]:
        """A response as it came."""
        headers: dict[str, JsonValue] = {name: self.header(name, value) for name, value in response.headers.items()}
        return {"status": response.status, "headers": headers, **self._body(response.body)}

    def _body(self, body: bytes) -> dict[str, JsonValue]:
        # Cut last, so that no part of a secret is left at the end.
        text = self.text(body.decode(errors="replace"))
        return {"body": text[:LONGEST], "bytes": len(body), "cut": len(text) > LONGEST}


def mask_of(integration: Integration, *more: str) -> Mask:
    """The mask for an integration, and for `more` secrets: the token that was made out of it."""
    values = [*secrets_of(integration).values(), *more]
    auth = integration.auth
    if isinstance(auth, BasicAuth):
        values.append(_base64(f"{auth.username}:{auth.password.get_secret_value()}"))
    spelled = {spelling for value in values for spelling in _spellings(value) if len(spelling) >= _SHORTEST}
    names = {name.lower() for name in integration.secret_headers}
    return Mask(_ALWAYS | names, tuple(sorted(spelled, key=len, reverse=True)))


def unsent(request: Request, integration: Integration) -> Request:
    """The request with the authorization that it would be sent with, its credentials left out."""
    auth = integration.auth
    schemes: Mapping[type[object], str] = {BasicAuth: "Basic", SigV4: "AWS4-HMAC-SHA256"}
    scheme = auth.scheme if isinstance(auth, OAuth2 | BearerAuth) else schemes.get(type(auth))
    headers = {**request.headers, **({"authorization": f"{scheme} {HIDDEN}"} if scheme else {})}
    return Request(request.method, request.url, headers, request.body, request.timeout)


def _spellings(secret: str) -> Iterable[str]:
    """As itself, in JSON (also where slashes, or what is beyond ASCII, are escaped), in URLs and forms, and in Base64."""
    in_json = (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    slashes = (one.replace("/", "\\/") for one in in_json)
    return secret, *in_json, *slashes, quote(secret), quote(secret, safe=""), quote_plus(secret), _base64(secret)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
