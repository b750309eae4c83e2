"""One attempt to send a claimed message, and what becomes of it in the ledger.

| the ESP's connection ends in | idempotency key | none |
|---|---|---|
| success | sent | sent |
| Transient: surely not taken | waits, rendered anew | waits, rendered anew |
| Unknown: perhaps taken | waits, the same body under the same key | parked as unknown |
| Permanent: refused | parked | parked |
| Misconfigured | waits, circuit open, metric | waits, circuit open, metric |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import JsonValue

from connectors.esps.base import Outgoing
from connectors.registry import ESPS
from send_message.outbox import Outbox, circuit
from shared.aws import CALLS
from shared.content import render_content
from shared.definitions import Integration, Template, Trigger
from shared.errors import Busy, Misconfigured, Permanent, SendbridgeError, Unknown
from shared.exchange import Request, Response, run
from shared.jobs import Hop, MessageJob
from shared.ledger import Claim
from shared.mirrors import Content
from shared.observe import count, logger
from shared.person import Profile

if TYPE_CHECKING:
    from connectors.esps.base import Sent


@dataclass
class Attempt:
    """One attempt to send one message. `aws_calls` is how many were made before it began."""

    job: MessageJob
    trigger: Trigger
    template: Template
    integration: Integration
    profile: Profile
    claim: Claim
    outbox: Outbox
    aws_calls: int
    posts: int = 0
    """Requests handed to the ESP's connection: if none, the ESP cannot have taken anything."""

    def make(self) -> Hop:
        """Sends the message and settles it as sent. Raises what it came to otherwise, settled as well."""
        try:
            if self.claim.again and not self._has_key:
                raise Unknown("an earlier attempt may have reached the ESP")
            sent = self._post(self._content())
        except Exception as error:
            ended = self._failed(error)
            if ended is error:
                raise
            raise ended from error
        hop = self.outbox.hop("sent", data=self._figures(sent))
        self.outbox.ledger.settle(self.job.message_id, "sent", [hop], sent.esp_message_id)
        self.outbox.circuits.succeeded(circuit(self.integration))
        return hop

    @property
    def _has_key(self) -> bool:
        return bool(self.integration.idempotency_header or self.integration.idempotency_path)

    def _content(self) -> Content:
        """What to send: as it was if it may have been sent already, else rendered now and kept."""
        kept = self.outbox.mirrors.read(self.job.message_id) if self.claim.again else None
        if kept is not None:
            return kept
        made = render_content(self.job, self.template, self.integration, self.profile, self.outbox.links)
        self.outbox.mirrors.keep(self.job.message_id, made)
        return made

    def _post(self, content: Content) -> Sent:
        integration = self.integration
        outgoing = Outgoing(self.job.message_id, content.url, content.body, content.headers)
        exchange = ESPS.load(integration.connector).send(integration, [outgoing], self.outbox.clock)
        send = self.outbox.tokens.authorised("integration", integration.name, integration.auth, self._counted)
        [outcome] = run(exchange, send).outcomes
        if isinstance(outcome, SendbridgeError):
            raise outcome
        return outcome

    def _counted(self, request: Request) -> Response:
        self.posts += 1
        return self.outbox.http_send(request)

    def _figures(self, sent: Sent) -> dict[str, JsonValue]:
        """Of the hop `sent`. The deadline is when the visitor had been silent for the trigger's wait."""
        silent_for = (self.outbox.clock() - self.job.anchor_at).total_seconds()
        return {
            "status": sent.status,
            "milliseconds": round(sent.seconds * 1000),
            "host": urlsplit(self.integration.url).netloc,
            "attempt": self.claim.message.attempts,
            "esp_calls": self.posts,
            # With the call that will write this.
            "aws_calls": CALLS.total() - self.aws_calls + 1,
            "seconds_after_decision": round((self.outbox.clock() - self.job.decided_at).total_seconds(), 3),
            "seconds_after_deadline": round(silent_for - self.trigger.wait_seconds, 3),
            "mirror_url": self.outbox.links.mirror(self.job.message_id),
        }

    def _failed(self, error: Exception) -> Exception:
        """Settles a failed attempt; returns what the record ends in."""
        unknown, ends = self._may_be_taken(error), error
        if unknown and not self._has_key:
            ends = Permanent(f"outcome unknown, and the ESP has no idempotency key: {_reason(error)}")
        parked = isinstance(ends, Permanent)
        hop = self.outbox.hop("parked" if parked else "waits", _reason(ends), {"attempt": self.claim.message.attempts})
        self.outbox.ledger.settle(self.job.message_id, "parked" if parked else "waiting", [hop], unknown=unknown)
        if self._has_key or not self.claim.again:
            self._account(error)
        return ends

    def _may_be_taken(self, error: Exception) -> bool:
        """Whether this or an earlier attempt may have gone out."""
        if isinstance(error, Permanent) and self.posts:
            return False  # under the same key, what was taken before would not be refused now
        cut = self.posts > 0 and (isinstance(error, Unknown) or not isinstance(error, SendbridgeError))
        return cut or self.claim.again

    def _account(self, error: Exception) -> None:
        """Tells the circuit how the ESP does. Being told to wait for one message, or for our own, is no failure of it."""
        waits_for_one = isinstance(error, Unknown) and error.retry_after is not None
        if isinstance(error, Permanent):
            if self.posts:
                self.outbox.circuits.succeeded(circuit(self.integration))
        elif isinstance(error, SendbridgeError) and not isinstance(error, Busy) and not waits_for_one:
            self.outbox.circuits.failed(circuit(self.integration), error)
        if isinstance(error, Misconfigured):
            logger.error("misconfigured", integration=self.integration.name, reason=error.reason)
            count("Misconfigured", self.outbox.environment)


def _reason(error: Exception) -> str:
    """Only our own errors are known to hold no address."""
    return error.reason if isinstance(error, SendbridgeError) else type(error).__name__
