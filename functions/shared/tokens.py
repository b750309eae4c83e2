"""Access tokens: kept in Secrets Manager, held in memory until shortly before they expire, renewed by one at a time.

A message never goes out without a token or with one known to be stale: while none can be had, it waits.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import quote, quote_plus, urlencode

from pydantic import JsonValue

from shared.auth import Auth, BasicAuth, BearerAuth, NoAuth, OAuth2, SigV4
from shared.clock import Clock, from_iso, iso
from shared.errors import BadRequest, Busy, Misconfigured, SendbridgeError, Transient, Unknown, outcome_of_status
from shared.exchange import Request, Response
from shared.ids import digest
from shared.mapping import at, text_at
from shared.observe import logger, whereabouts
from shared.scrub import code, scrub, without
from shared.secrets import Secrets
from shared.sigv4 import signed
from shared.state import Leases

Send = Callable[[Request], Response]

SHARED_FROM = 900
"""Seconds of life from which a token is shared through Secrets Manager. A secret must not be written more than once in ten
minutes for long (all its versions of the last 24 hours are kept, and there may be about a hundred), so shorter-lived tokens
stay in the memory of the process that fetched them. Source: AWS's reference of PutSecretValue."""

_TOKEN = re.compile(r"[!-~]{1,20000}")
"""What a header can carry (RFC 6749, appendix A.12), and a secret of Secrets Manager can hold."""

_BUSY = (408, 425, 429)
_WORDS = ("error", "code", "error_description", "message", "detail", "title")
"""Where a vendor says what is wrong with a token request."""
_LIKE_A_KEY = 8
"""Characters from which another value of a token request may be a key, and not a word that the vendor's answer needs."""

_PATIENCE = 8
"""Seconds that a token URL has for its answer."""
_LEASE = 12
"""Seconds that a renewal lasts at most: so long must others wait for one who was killed meanwhile."""
_WAIT = 1.0
"""Seconds after which a message looks again for a token that somebody else is fetching."""
_REMEMBERED = 100
_AGAIN = 3.0
"""Seconds after which a token URL that failed is asked again, by one of all."""


@dataclass(frozen=True)
class Token:
    """An access token. Its value is not in its `repr`."""

    value: str = field(repr=False)
    expires_at: datetime
    lifetime: float
    """Seconds that it was good for when it was issued."""
    fingerprint: str
    """Which credentials it was issued for."""

    def fresh(self, now: datetime) -> bool:
        """Whether it will be good for the length of a request: not within 10 s, or a tenth of its life, of its end."""
        return self.seconds_left(now) > min(10, self.lifetime / 10)

    def seconds_left(self, now: datetime) -> float:
        """Seconds until it expires."""
        return (self.expires_at - now).total_seconds()


def try_credentials(auth: Auth, send: Send, clock: Clock) -> None:
    """Asks the token URL for a token, to see whether it gives one for these credentials. Other kinds of auth have nothing to try.

    Raises BadRequest with the vendor's own words if it does not, or if its URL may not be called; Transient if it cannot say
    now: it is busy, down or does not answer.
    """
    if not isinstance(auth, OAuth2):
        return
    try:
        answer = send(token_request(auth))
    except Misconfigured as error:
        raise BadRequest(error.reason, field="auth.token_url", status=422) from error
    said = _said(auth, answer)
    if answer.status in _BUSY or answer.status >= 500:
        raise Transient(f"the token URL cannot say now: {said}", retry_after=answer.retry_after(clock))
    try:
        read_token("these credentials", auth, answer, clock(), None)
    except SendbridgeError as error:
        raise BadRequest(f"the token URL gives no token: {said}", field="auth", status=422) from error


@dataclass(frozen=True)
class _Refusal:
    """Until when it is of no use to ask for a token with some credentials, and why."""

    until: datetime
    error: SendbridgeError


class Tokens:
    """The tokens of all integrations and destinations. Safe under threads."""

    def __init__(self, secrets: Secrets, leases: Leases, http_send: Send, clock: Clock) -> None:
        self._secrets, self._leases, self._http_send, self._clock = secrets, leases, http_send, clock
        self._held: dict[str, Token] = {}
        self._fingerprints: dict[int, tuple[OAuth2, str]] = {}
        self._refusals: dict[str, _Refusal] = {}
        self._locks: dict[str, threading.RLock] = {}

    def authorised(self, kind: str, name: str, auth: Auth, send: Send) -> Send:
        """A `send` that authenticates. On a 401 to a bearer token it renews once and sends again.

        Its answers never have status 401. Raises Transient while no token can be had, Misconfigured if the credentials, or a
        new token, are refused.
        """
        if isinstance(auth, NoAuth):
            return send
        if isinstance(auth, BasicAuth):
            header = "Basic " + _basic(auth.username, auth.password.get_secret_value())
            return lambda request: _refused_is_misconfigured(send(_with(request, header)))
        if isinstance(auth, BearerAuth):
            key = f"{auth.scheme} {auth.token.get_secret_value()}"
            return lambda request: _refused_is_misconfigured(send(_with(request, key)))
        if isinstance(auth, SigV4):
            return lambda request: _refused_is_misconfigured(send(signed(request, auth, self._clock())))
        return lambda request: self._with_token(f"{kind}/{name}", auth, send, request)

    def _with_token(self, name: str, auth: OAuth2, send: Send, request: Request) -> Response:
        token = self._surely(name, auth)
        answer = send(_with(request, f"{auth.scheme} {token.value}"))
        if answer.status != 401:
            return answer
        token = self._surely(name, auth, refused=token)
        return _refused_is_misconfigured(send(_with(request, f"{auth.scheme} {token.value}")))

    def _surely(self, name: str, auth: OAuth2, refused: Token | None = None) -> Token:
        """Like `get`. Whatever goes wrong with a token leaves no doubt about the request that needs it: it was not processed."""
        try:
            return self.get(name, auth, refused)
        except Unknown as error:
            raise Transient(error.reason, retry_after=error.retry_after) from error
        except SendbridgeError:
            raise
        except Exception as error:  # of AWS
            raise Transient(f"no token of {name}: {whereabouts(error)}") from error

    def get(self, name: str, auth: OAuth2, refused: Token | None = None) -> Token:
        """A fresh token, from memory, else from Secrets Manager, else from the token URL; never the one that was refused.

        While one thread looks for it, the others wait for what it finds.
        """
        # Messages of an older version of the integration have its credentials, beside those of the present one.
        key = f"{name}/{self._fingerprint(auth)}"
        held = self._held.get(key)
        if held is not None and self._good(held, auth, refused):
            return held
        with self._locks.setdefault(name, threading.RLock()):
            held = self._held.get(key)
            if held is None or not self._good(held, auth, refused):
                self._wait_if_told(key)
                held = self.stored(name)
            if held is None or not self._good(held, auth, refused):
                held = self.renew(name, auth, replacing=refused)
            self._held[key] = held
        return held

    def stored(self, name: str) -> Token | None:
        """The token in Secrets Manager; None if there is none."""
        value = self._secrets.read(f"token/{name}")
        if value is None:
            return None
        expires_at, lifetime = from_iso(str(value["expires_at"])), float(str(value["lifetime"]))
        return Token(str(value["access_token"]), expires_at, lifetime, str(value["fingerprint"]))

    def renew(self, name: str, auth: OAuth2, *, replacing: Token | None) -> Token:
        """Fetches a new token in place of `replacing`, unless somebody else is doing so or has just done it.

        Raises Transient if somebody else is, or if the token URL does not answer; Misconfigured if it refuses the credentials.
        Then nobody asks it again with these credentials for a while: as long as it said, if it did.
        """
        lease, after = lease_name(name, self._fingerprint(auth)), 0.0
        with self._locks.setdefault(name, threading.RLock()):
            try:
                if not self._leases.take(lease, _LEASE):
                    raise Busy(f"the token of {name} is being renewed", retry_after=_WAIT)
                # Whoever had the lease before us may have stored one between our look and our taking it.
                stored = self.stored(name)
                if stored is not None and self._good(stored, auth, replacing):
                    return stored
                token = self._fetch(name, auth)
                if token.lifetime >= SHARED_FROM:
                    self._share(name, token)
            except (Transient, Misconfigured) as error:
                asked = error.retry_after if isinstance(error, Transient) else None
                after = _AGAIN if asked is None else asked
                until = self._clock() + timedelta(seconds=after)
                self._refusals[f"{name}/{self._fingerprint(auth)}"] = _Refusal(until, error)
                raise
            finally:
                self._leases.give_back(lease, after=after)
        return token

    def _wait_if_told(self, key: str) -> None:
        told, now = self._refusals.get(key), self._clock()
        if told is None or now >= told.until:
            return
        if isinstance(told.error, Misconfigured):
            raise Misconfigured(told.error.reason)
        raise Busy(told.error.reason, retry_after=(told.until - now).total_seconds())

    def _good(self, token: Token, auth: OAuth2, replaced: Token | None) -> bool:
        same = replaced is not None and token.value == replaced.value
        return not same and token.fingerprint == self._fingerprint(auth) and token.fresh(self._clock())

    def _fingerprint(self, auth: OAuth2) -> str:
        known = self._fingerprints.get(id(auth))
        if known is None or known[0] is not auth:
            known = self._fingerprints[id(auth)] = auth, fingerprint(auth)
            if len(self._fingerprints) > _REMEMBERED:
                self._fingerprints.pop(next(iter(self._fingerprints)), None)
        return known[1]

    def _fetch(self, name: str, auth: OAuth2) -> Token:
        asked_at = self._clock()
        answer = self._http_send(token_request(auth))
        return read_token(name, auth, answer, asked_at, answer.retry_after(self._clock))

    def _share(self, name: str, token: Token) -> None:
        value: dict[str, JsonValue] = {
            "access_token": token.value,
            "expires_at": iso(token.expires_at),
            "lifetime": token.lifetime,
            "fingerprint": token.fingerprint,
        }
        try:
            self._secrets.write(f"token/{name}", value)
        except Exception as error:  # of AWS: the token is good all the same, for us
            logger.warning("token not shared", token=name, reason=whereabouts(error))


def lease_name(name: str, credentials: str) -> str:
    """The lease of whoever renews a token: other credentials need not wait for what these came to."""
    return f"token/{name}/{credentials}"


def token_request(auth: OAuth2) -> Request:
    """The token request (RFC 6749, section 4.4.2): credentials in the body under the integration's key names, or in a header."""
    secret = auth.client_secret.get_secret_value()
    form = {"grant_type": "client_credentials", **auth.parameters}
    form |= {key: value for key, value in (("scope", auth.scope), ("audience", auth.audience)) if value}
    types = {"form": "application/x-www-form-urlencoded", "json": "application/json"}
    headers = {"content-type": types[auth.encoding], "accept": "application/json"}
    headers |= {name.lower(): value for name, value in auth.headers.items()}
    if auth.send_credentials_in == "header":
        # Section 2.3.1: both are form-encoded before they are joined.
        headers["authorization"] = "Basic " + _basic(quote(auth.client_id, safe=""), quote(secret, safe=""))
    else:
        form |= {auth.client_id_key: auth.client_id, auth.client_secret_key: secret}
    body = urlencode(form) if auth.encoding == "form" else json.dumps(form, separators=(",", ":"))
    return Request("POST", auth.token_url, headers, body.encode(), _PATIENCE)


def read_token(name: str, auth: OAuth2, answer: Response, asked_at: datetime, retry_after: float | None) -> Token:
    """The token in a token URL's answer.

    Raises Misconfigured with the vendor's own error code if it refuses the credentials (RFC 6749, section 5.2: 400 or 401),
    Transient if it fails otherwise or its answer holds no token.
    """
    if answer.status in (400, 401, 403, 404):
        said = code(text_at(_json_or_nothing(answer), "error"), [auth.client_secret.get_secret_value()])
        raise Misconfigured(f"the token URL of {name} refuses the credentials: HTTP {answer.status} {said}".rstrip())
    failed = outcome_of_status(answer.status, f"the token URL of {name}: HTTP {answer.status}", retry_after=retry_after)
    if failed is not None:
        raise Transient(failed.reason, retry_after=retry_after)
    body = answer.json()
    value = at(body, auth.token_field)
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise Transient(f"the answer of the token URL of {name} has no token at {auth.token_field}")
    lifetime = _seconds(at(body, auth.lifetime_field)) or float(auth.default_lifetime_seconds)
    return Token(value, asked_at + timedelta(seconds=lifetime), lifetime, fingerprint(auth))


def fingerprint(auth: OAuth2) -> str:
    """Tells one set of credentials from another, so that changed ones are not used with the old ones' token."""
    request = token_request(auth)
    return digest(request.url, json.dumps([*request.headers.items()]), request.body.decode(), auth.token_field)


def _said(auth: OAuth2, answer: Response) -> str:
    """The vendor's own words on a token request (RFC 6749, section 5.2, and what others do), without secrets and addresses."""
    body = _json_or_nothing(answer)
    parts = [body, at(body, "error"), at(body, "errors.0")]
    found = [text_at(part, key) for part in parts if isinstance(part, dict) for key in _WORDS]
    words = scrub(without(": ".join(dict.fromkeys(text for text in found if text)), _secrets(auth)))
    lacks = f" without a token at {auth.token_field}" if answer.status < 300 else ""
    return f"HTTP {answer.status}{lacks}" + (f", {words}" if words else "")


def _secrets(auth: OAuth2) -> list[str]:
    """All of a token request that may be secret, in each spelling that it is sent in."""
    secret = auth.client_secret.get_secret_value()
    pair = _basic(quote(auth.client_id, safe=""), quote(secret, safe=""))
    others = [value for value in (*auth.headers.values(), *auth.parameters.values()) if len(value) >= _LIKE_A_KEY]
    return [secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], pair, *others]


def _json_or_nothing(answer: Response) -> JsonValue:
    try:
        return answer.json()
    except Transient:
        return None


def _seconds(value: JsonValue) -> float | None:
    try:
        seconds = float(str(value))
    except ValueError:
        return None
    return min(seconds, 30 * 86400.0) if seconds > 0 else None


def _basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def _with(request: Request, authorization: str) -> Request:
    return replace(request, headers={**request.headers, "authorization": authorization})


def _refused_is_misconfigured(answer: Response) -> Response:
    if answer.status == 401:
        raise Misconfigured("the vendor refuses our credentials (HTTP 401)")
    return answer
