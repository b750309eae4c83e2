"""The access tokens a vendor has issued: opaque, random, short-lived, revocable."""

import secrets
from dataclasses import dataclass
from typing import Literal

from tests.sandbox.clock import Clock

Verdict = Literal["good", "expired", "invalid"]


@dataclass
class Token:
    """One issued token. `serial` counts from 1; times are epoch seconds."""

    serial: int
    client_id: str
    issued: float
    expires: float
    revoked: bool = False


class TokenBook:
    """Issues tokens and judges those presented."""

    def __init__(self, clock: Clock, prefix: str = "") -> None:
        self.clock, self.prefix = clock, prefix
        self.issued: dict[str, Token] = {}

    def issue(self, client_id: str, seconds: float) -> str:
        """A new token that lives for `seconds`."""
        value = self.prefix + secrets.token_urlsafe(32)
        now = self.clock()
        self.issued[value] = Token(len(self.issued) + 1, client_id, now, now + seconds)
        return value

    def judge(self, authorization: str) -> tuple[Verdict, Token | None]:
        """What an `Authorization` header is worth, and the token it named."""
        scheme, _, value = authorization.partition(" ")
        token = self.issued.get(value) if scheme == "Bearer" else None
        if token is None or token.revoked:
            return "invalid", token
        return ("expired" if self.clock() >= token.expires else "good"), token

    def revoke(self) -> int:
        """Revoke every token issued so far; how many were alive."""
        alive = [t for t in self.issued.values() if not t.revoked and t.expires > self.clock()]
        for token in alive:
            token.revoked = True
        return len(alive)

    def report(self) -> list[dict[str, object]]:
        """The tokens without their values."""
        return [vars(token) for token in self.issued.values()]
