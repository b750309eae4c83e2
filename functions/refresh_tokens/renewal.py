"""Renewing the shared access tokens before anybody has to wait for one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from shared.auth import OAuth2
from shared.errors import SendbridgeError
from shared.tokens import Token, Tokens, fingerprint

Report = Callable[[str, float, str], None]
"""Told of each token: its name, the seconds it has left, and why it could not be renewed (empty if it could or need not)."""

AHEAD = 300
"""Seconds before its end from which a token is renewed, so that a token URL may be down for some minutes unnoticed."""


def renew_all(logins: Iterable[tuple[str, OAuth2]], tokens: Tokens, now: datetime, report: Report) -> None:
    """Renews each token that ends soon or is for other credentials; one that cannot be renewed keeps no other waiting."""
    for name, auth in logins:
        try:
            token = _renewed(name, auth, tokens, now)
        except SendbridgeError as error:
            report(name, _left(tokens.stored(name), now), error.reason)
        else:
            if token is not None:
                report(name, token.seconds_left(now), "")


def _renewed(name: str, auth: OAuth2, tokens: Tokens, now: datetime) -> Token | None:
    """The token as it is after renewal; None where none is shared (nobody used one yet, or it lives too short to be)."""
    stored = tokens.stored(name)
    if stored is None:
        return None
    if stored.fingerprint == fingerprint(auth) and stored.seconds_left(now) > max(AHEAD, stored.lifetime / 5):
        return stored
    return tokens.renew(name, auth, replacing=stored)


def _left(token: Token | None, now: datetime) -> float:
    return max(token.seconds_left(now), 0) if token is not None else 0
