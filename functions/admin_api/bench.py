"""Where messages are tried: rendered and posted as real ones are, with a token of their own.

Nothing here touches a queue, the ledger, a limit or a circuit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue, SecretStr

from admin_api.bounded import until
from admin_api.listing import Line, lines
from admin_api.showing import Mask, mask_of, unsent
from admin_api.store import Body
from connectors.esps.base import Answered, Outgoing, Sent
from connectors.registry import ESPS
from shared.auth import Auth, BearerAuth, OAuth2
from shared.clock import Clock
from shared.content import render_content, variables
from shared.definitions import Integration, Template
from shared.errors import Misconfigured, Permanent, SendbridgeError, Transient, Unauthorized, Unknown
from shared.exchange import Exchange, Request, Response, run
from shared.ids import trial_id
from shared.jobs import MessageJob
from shared.links import Links
from shared.person import Profile
from shared.tokens import Send, Tokens, read_token, token_request

NOBODY = "p_test"
"""The id of whoever has no profile: who unsubscribes by it, unsubscribes nobody."""


@dataclass(frozen=True)
class Subject:
    """One message to be tried: what, through what, to whom."""

    job: MessageJob
    integration: Integration
    template: Template
    profile: Profile


@dataclass(frozen=True)
class Tried:
    """What became of it."""

    calls: list[JsonValue]
    """Each with its request, response, failure and milliseconds."""
    outcome: Sent | SendbridgeError

    @property
    def sent(self) -> bool:
        """Whether the vendor took it."""
        return isinstance(self.outcome, Sent)


@dataclass(frozen=True)
class Bench:
    """The bench of one deployment. Trying takes at most `seconds`."""

    tokens: Tokens
    links: Callable[[], Links]
    send: Send
    clock: Clock
    seconds: float
    monotonic: Callable[[], float] = time.monotonic

    def variables(self, subject: Subject) -> list[Line]:
        """The variables of the message; none if they cannot even be told apart, which is then said as the message's error."""
        bare = subject.template.model_copy(update={"defaults": {}})
        try:
            given = variables(subject.job, bare, subject.integration, subject.profile, self.links())
            return lines(subject.template, subject.integration, given)
        except SendbridgeError:
            return []

    def preview(self, subject: Subject) -> Body:
        """The request that would be made, or why it cannot be."""
        try:
            request = next(self._exchange(subject))
        except SendbridgeError as error:
            lacking = [line.name for line in self.variables(subject) if line.lacks]
            missing = f"; without a value and a default: {', '.join(lacking)}" if lacking else ""
            return {"request": None, "error": error.reason + missing}
        integration = subject.integration
        return {"request": mask_of(integration).request(unsent(request, integration)), "error": None}

    def post(self, subjects: Sequence[Subject]) -> list[Tried]:
        """Really sends messages of one integration, one after the other, in `seconds` altogether."""
        ends = self.monotonic() + self.seconds
        send = until(self.send, ends, self.monotonic)
        auth: Auth | SendbridgeError
        try:
            auth = _fixed(subjects[0].integration.auth, send, self.clock)
        except SendbridgeError as error:
            auth = error
        return [self._posted(subject, auth, send) for subject in subjects]

    def _posted(self, subject: Subject, auth: Auth | SendbridgeError, send: Send) -> Tried:
        integration = subject.integration
        calls: list[JsonValue] = []
        try:
            exchange = self._exchange(subject)
            if isinstance(auth, SendbridgeError):
                raise auth
            token = auth.token.get_secret_value() if isinstance(auth, BearerAuth) else ""
            noting = _noting(send, mask_of(integration, token), calls, self.monotonic)
            answered = run(exchange, self.tokens.authorised("integration", integration.name, auth, noting))
        except SendbridgeError as error:
            return Tried(calls, error)
        return Tried(calls, answered.outcomes[0])

    def _exchange(self, subject: Subject) -> Exchange[Answered]:
        """The operation that sends the message. Raises Permanent if it cannot be rendered."""
        integration = subject.integration
        content = render_content(subject.job, subject.template, integration, subject.profile, self.links())
        outgoing = Outgoing(subject.job.message_id, content.url, content.body, content.headers)
        return ESPS.load(integration.connector).send(integration, [outgoing], self.clock)


def test_job(
    chance: str, now: datetime, context: dict[str, JsonValue], template: Template, integration: Integration
) -> MessageJob:
    """A message that is in no ledger. `chance` makes its id another one than any."""
    return MessageJob(
        message_id=trial_id(chance),
        trigger="test",
        trigger_version=1,
        visit_id="test",
        profile_id=None,
        decided="send",
        campaign="Test",
        delivery="Test",
        template=template.name,
        integration=integration.name,
        decided_at=now,
        anchor_at=now,
        valid_until=now,
        context=context,
    )


def _fixed(auth: Auth, send: Send, clock: Clock) -> Auth:
    """With a token of its own in place of OAuth 2.0 credentials: a test must neither use nor renew what the senders share."""
    if not isinstance(auth, OAuth2):
        return auth
    token = read_token("this integration", auth, send(token_request(auth)), clock(), None)
    return BearerAuth(type="bearer", token=SecretStr(token.value), scheme=auth.scheme)


def _noting(send: Send, mask: Mask, calls: list[JsonValue], monotonic: Callable[[], float]) -> Send:
    """A `send` that notes what went out and what came back."""

    def noting(request: Request) -> Response:
        call: Body = {"request": mask.request(request), "response": None, "failure": None}
        calls.append(call)
        started = monotonic()
        try:
            response = send(request)
            call["response"] = mask.response(response)
        except SendbridgeError as error:
            call["failure"] = mask.text(error.reason)
            raise
        finally:
            call["milliseconds"] = round((monotonic() - started) * 1000)
        return response

    return noting


_OUTCOMES: tuple[tuple[type[SendbridgeError], str], ...] = (
    (Unknown, "unknown"),
    (Transient, "retry"),
    (Permanent, "park"),
    (Misconfigured, "misconfigured"),
    (Unauthorized, "misconfigured"),
)


def conclusion(outcome: Sent | SendbridgeError, integration: Integration) -> Body:
    """What Sendbridge would do with a message that ended like this."""
    if isinstance(outcome, Sent):
        return {"outcome": "sent", "esp_message_id": outcome.esp_message_id, "reason": ""}
    kind = next((name for error, name in _OUTCOMES if isinstance(outcome, error)), "misconfigured")
    mask = mask_of(integration)
    said: Body = {"outcome": kind, "esp_message_id": "", "reason": mask.text(outcome.reason)}
    if isinstance(outcome, Transient) and outcome.retry_after is not None:
        said["retry_after_seconds"] = outcome.retry_after
    return said
