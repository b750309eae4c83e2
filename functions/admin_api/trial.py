"""An integration tried out: the request that it makes of a message, what the vendor answers, and what we conclude from that.

A test makes the real call, with a token of its own; a preview makes none. Neither touches a queue, the ledger, a limit or a
circuit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field, JsonValue, SecretStr, StringConstraints, ValidationError

from admin_api.bounded import until
from admin_api.edit import Editor, Put
from admin_api.listing import Line, lines
from admin_api.showing import Mask, mask_of, unsent
from admin_api.store import Body, Store, Stored
from connectors.esps.base import Answered, Outgoing, Sent
from connectors.registry import ESPS
from shared.auth import Auth, BearerAuth, OAuth2
from shared.clock import Clock, iso
from shared.content import render_content, variables
from shared.definitions import Integration, Template
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError, Transient, Unauthorized, Unknown
from shared.exchange import Exchange, Request, Response, run
from shared.fields import Name, Part
from shared.ids import trial_id
from shared.jobs import MessageJob
from shared.links import Links
from shared.observe import logger
from shared.person import Profile, stranger
from shared.problem import first_problem
from shared.profiles import Profiles
from shared.tokens import Send, Tokens, read_token, token_request
from shared.validation import check

_NOBODY = "p_test"
_LONGEST = 200_000

_Text = Annotated[str, StringConstraints(max_length=_LONGEST)]


class MadeUp(Part):
    """A message that is no template's."""

    subject: Annotated[str, StringConstraints(max_length=1000)] = "A test message"
    html: _Text = "<p>This is a test message of Sendbridge.</p>"
    text: _Text = "This is a test message of Sendbridge."


class Context(Part):
    """What a visit would have given."""

    cart: tuple[JsonValue, ...] = ()
    events: tuple[JsonValue, ...] = ()
    event: dict[str, JsonValue] = Field(default_factory=dict)


class Trial(Part):
    """Body of `POST …/{name}/test`."""

    preview: bool = False
    """Whether nothing is to be called."""
    profile_id: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """A stored profile."""
    profile: dict[str, JsonValue] | None = None
    """Attributes of a made-up one."""
    identifiers: dict[str, Annotated[str, StringConstraints(max_length=500)]] = Field(default_factory=dict)
    """Its identifiers, by namespace."""
    template: Name | None = None
    message: MadeUp | None = None
    """Instead of a template; without either, a message of ours."""
    body: dict[str, JsonValue] | None = None
    """A JSON template in place of the integration's: this proves nothing."""
    context: Context = Context()
    integration: dict[str, JsonValue] | None = None
    """An integration that is not saved yet, in place of the newest version: this proves nothing either."""


def read_trial(body: JsonValue) -> Trial:
    """The body of a request. Raises BadRequest (422)."""
    try:
        trial = Trial.model_validate(body)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])[:100]
        raise BadRequest(first_problem(error)[:500], field=where or "body", status=422) from error
    for one, other in (("profile_id", "profile"), ("template", "message")):
        if getattr(trial, one) is not None and getattr(trial, other) is not None:
            raise BadRequest(f"give {one} or {other}, not both", field=one, status=422)
    return trial


@dataclass(frozen=True)
class Subject:
    """What is tried: an integration, with a message to a person."""

    job: MessageJob
    integration: Integration
    template: Template
    profile: Profile
    version: int | None
    """Which of the stored ones it is; None if it is not stored."""
    is_saved: bool
    """Whether it is tried as it is stored, so that a success proves that version."""
    draft: Stored | None
    """The version, if it is not in force yet."""


@dataclass(frozen=True)
class Bench:
    """Where integrations are tried. `chance` makes each test message's id another one; a test takes at most `seconds`."""

    editor: Editor
    store: Store
    profiles: Profiles
    tokens: Tokens
    links: Callable[[], Links]
    send: Send
    clock: Clock
    chance: Callable[[], str]
    seconds: float
    monotonic: Callable[[], float] = time.monotonic

    def run(self, name: str, trial: Trial, by: str) -> Body:
        """Makes the test, or the preview. Raises BadRequest if there is nothing to be tried, or nobody to try it with."""
        subject = self._subject(name, trial, by)
        about: Body = {"integration": name, "version": subject.version, "message_id": subject.job.message_id}
        found = self._previewed(subject) if trial.preview else self._tested(subject, by)
        return {**about, **found, "variables": [line.as_json() for line in self._variables(subject)]}

    def _variables(self, subject: Subject) -> list[Line]:
        """The variables of the message; none if they cannot even be told apart, which is then said as the message's error."""
        bare = subject.template.model_copy(update={"defaults": {}})
        try:
            given = variables(subject.job, bare, subject.integration, subject.profile, self.links())
            return lines(subject.template, subject.integration, given)
        except SendbridgeError:
            return []

    def _previewed(self, subject: Subject) -> Body:
        try:
            request = next(self._exchange(subject))
        except SendbridgeError as error:
            lacking = [line.name for line in self._variables(subject) if line.lacks]
            missing = f"; without a value and a default: {', '.join(lacking)}" if lacking else ""
            return {"request": None, "error": error.reason + missing}
        integration = subject.integration
        return {"request": mask_of(integration).request(unsent(request, integration)), "error": None}

    def _tested(self, subject: Subject, by: str) -> Body:
        calls: list[JsonValue] = []
        outcome = self._outcome(subject, calls)
        proven = isinstance(outcome, Sent) and self._note(subject, by)
        logger.info("integration tested", definition=subject.integration.name, version=subject.version, proven=proven)
        return {"calls": calls, "conclusion": _conclusion(outcome, subject.integration), "proven": proven}

    def _outcome(self, subject: Subject, calls: list[JsonValue]) -> Sent | SendbridgeError:
        integration, ends = subject.integration, self.monotonic() + self.seconds
        send = until(self.send, ends, self.monotonic)
        try:
            exchange = self._exchange(subject)
            auth = _fixed(integration.auth, send, self.clock)
            token = auth.token.get_secret_value() if isinstance(auth, BearerAuth) else ""
            noting = _noting(send, mask_of(integration, token), calls, self.monotonic)
            answered = run(exchange, self.tokens.authorised("integration", integration.name, auth, noting))
        except SendbridgeError as error:
            return error
        return answered.outcomes[0]

    def _exchange(self, subject: Subject) -> Exchange[Answered]:
        """The operation that sends the message. Raises Permanent if it cannot be rendered."""
        integration = subject.integration
        content = render_content(subject.job, subject.template, integration, subject.profile, self.links())
        outgoing = Outgoing(subject.job.message_id, content.url, content.body, content.headers)
        return ESPS.load(integration.connector).send(integration, [outgoing], self.clock)

    def _note(self, subject: Subject, by: str) -> bool:
        """Whether the version is proven. An edit meanwhile has made another one, which is not."""
        if not subject.is_saved:
            return False
        try:
            if subject.draft is not None:
                self.store.mark_tested(subject.draft, iso(self.clock()), by)
        except BadRequest:
            return False
        return True

    def _subject(self, name: str, trial: Trial, by: str) -> Subject:
        known = self.editor.known("integration", name)
        newest = known.newest
        if trial.integration is None and newest is None:
            raise BadRequest(f"there is no integration named {name!r}", status=404)
        body = trial.integration if trial.integration is not None else (newest.body if newest else None)
        definition = self.editor.checked(Put("integration", name, body, by), known.values)
        if not isinstance(definition, Integration):
            raise TypeError("an integration was checked")
        saved = newest if trial.integration is None else None
        integration = definition if trial.body is None else definition.model_copy(update={"body": trial.body})
        template = self._template(trial, integration)
        return Subject(
            job=self._job(trial, integration, template),
            integration=integration,
            template=template,
            profile=self._profile(trial),
            version=saved.version if saved else None,
            is_saved=saved is not None and trial.body is None,
            draft=saved if saved is known.standing.draft else None,
        )

    def _template(self, trial: Trial, integration: Integration) -> Template:
        if trial.template is None:
            made = trial.message or MadeUp()
            content = {"text": made.text} if integration.channel == "sms" else made.model_dump()
            return Template(name="test", **content)
        newest = self.store.standing("template", trial.template).newest
        template = check("template", newest.body)[0] if newest else None
        if not isinstance(template, Template):
            raise BadRequest("there is no valid template of this name", field="template", status=422)
        return template

    def _profile(self, trial: Trial) -> Profile:
        if trial.profile_id is None:
            return replace(stranger(_NOBODY), attributes=trial.profile or {}, identifiers=trial.identifiers)
        found = self.profiles.get(trial.profile_id)
        if found is None:
            raise BadRequest("there is no profile with this id", field="profile_id", status=422)
        return found

    def _job(self, trial: Trial, integration: Integration, template: Template) -> MessageJob:
        now = self.clock()
        return MessageJob(
            message_id=trial_id(self.chance()),
            trigger="test",
            trigger_version=1,
            visit_id="test",
            profile_id=trial.profile_id,
            decided="send",
            campaign="Test",
            delivery="Test",
            template=template.name,
            integration=integration.name,
            decided_at=now,
            anchor_at=now,
            valid_until=now,
            context=trial.context.model_dump(mode="json"),
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


def _conclusion(outcome: Sent | SendbridgeError, integration: Integration) -> Body:
    """What Sendbridge would do with a message that ended like this."""
    if isinstance(outcome, Sent):
        return {"outcome": "sent", "esp_message_id": outcome.esp_message_id, "reason": ""}
    kind = next((name for error, name in _OUTCOMES if isinstance(outcome, error)), "misconfigured")
    mask = mask_of(integration)
    conclusion: Body = {"outcome": kind, "esp_message_id": "", "reason": mask.text(outcome.reason)}
    if isinstance(outcome, Transient) and outcome.retry_after is not None:
        conclusion["retry_after_seconds"] = outcome.retry_after
    return conclusion
