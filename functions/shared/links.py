"""Links that cannot be guessed: ids and an HMAC of them, under a key that only this deployment has."""

from __future__ import annotations

import base64
import hmac

from shared.errors import Misconfigured
from shared.secrets import Secrets


class Links:
    """Makes and checks the signed links of one deployment. `base_url` has no slash at its end."""

    def __init__(self, key: str, base_url: str) -> None:
        self._key = key.encode()
        self._base_url = base_url

    def signature(self, purpose: str, subject: str) -> str:
        """22 URL-safe characters (128 bits)."""
        mac = hmac.digest(self._key, f"{purpose}:{subject}".encode(), "sha256")[:16]
        return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()

    def valid(self, purpose: str, subject: str, signature: str) -> bool:
        """Compares in constant time."""
        return hmac.compare_digest(self.signature(purpose, subject).encode(), signature.encode())

    def mirror(self, message_id: str) -> str:
        """Where the message can be seen as it was sent."""
        return f"{self._base_url}/v1/mirror/{message_id}/{self.signature('mirror', message_id)}"

    def unsubscribe(self, message_id: str, profile_id: str, channel: str) -> str:
        """Where whoever got the message says that they want no more on its channel. It says all that is needed to do so, so
        that it works for as long as the person is known, though nothing else may be left of the message.
        """
        subject = unsubscription(message_id, profile_id, channel)
        return f"{self._base_url}/v1/unsubscribe/{subject}/{self.signature('unsubscribe', subject)}"


def unsubscription(message_id: str, profile_id: str, channel: str) -> str:
    """What is signed in a link to unsubscribe, and the part of its path that says it."""
    return f"{message_id}/{profile_id}/{channel}"


def read_links(secrets: Secrets, base_url: str) -> Links:
    """The links of this deployment. Raises Misconfigured if the stack's secret `links` has no key."""
    key = (secrets.read("links") or {}).get("key")
    if not isinstance(key, str) or not key:
        raise Misconfigured("the secret that signs links has no key")
    return Links(key, base_url)
