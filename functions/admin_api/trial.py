"""An integration tried out: the request that it makes of a message, what the vendor answers, and what we conclude from that.

A test makes the real call; a preview makes none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field, JsonValue, StringConstraints

from admin_api.bench import NOBODY, Bench, Subject, conclusion, test_job
from admin_api.desk import Desk, Put
from admin_api.reading import read_as
from admin_api.store import Body, Store, Stored
from shared.clock import Clock, iso
from shared.definitions import Integration, Template, Visit
from shared.errors import BadRequest
from shared.fields import Name, Part
from shared.observe import logger
from shared.person import Profile, stranger
from shared.profiles import Profiles
from shared.validation import check

_LONGEST = 200_000

_Text = Annotated[str, StringConstraints(max_length=_LONGEST)]


class MadeUp(Part):
    """A message that is no template's."""

    subject: Annotated[str, StringConstraints(max_length=1000)] = "A test message"
    html: _Text = "<p>This is a test message of Sendbridge.</p>"
    text: _Text = "This is a test message of Sendbridge."


class Whom(Part):
    """The profile that a message is made for: a stored one, or a made-up one."""

    profile_id: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    profile: dict[str, JsonValue] | None = None
    """Attributes of a made-up one."""
    identifiers: dict[str, Annotated[str, StringConstraints(max_length=500)]] = Field(default_factory=dict)
    """Its identifiers, by namespace."""

    def found(self, profiles: Profiles, sample: Template) -> Profile:
        """The profile; a made-up one has what the template's sample has as well. Raises BadRequest (422)."""
        if self.profile_id is None:
            attributes = {**sample.sample.profile, **(self.profile or {})}
            return replace(stranger(NOBODY), attributes=attributes, identifiers=self.identifiers)
        found = profiles.get(self.profile_id)
        if found is None:
            raise BadRequest("there is no profile with this id", field="profile_id", status=422)
        return found


class Trial(Whom):
    """Body of `POST …/integration/{name}/test`."""

    preview: bool = False
    """Whether nothing is to be called."""
    template: Name | None = None
    message: MadeUp | None = None
    """Instead of a template; without either, a message of ours."""
    body: dict[str, JsonValue] | None = None
    """A JSON template in place of the integration's: this proves nothing."""
    context: Visit = Visit()
    """What a visit would have given; where nothing is said, the template's sample."""
    integration: dict[str, JsonValue] | None = None
    """An integration that is not saved yet, in place of the newest version: this proves nothing either."""


def read_trial(body: JsonValue) -> Trial:
    """The body of a request. Raises BadRequest (422)."""
    trial = read_as(Trial, body)
    for one, other in (("profile_id", "profile"), ("template", "message")):
        if getattr(trial, one) is not None and getattr(trial, other) is not None:
            raise BadRequest(f"give {one} or {other}, not both", field=one, status=422)
    return trial


@dataclass(frozen=True)
class _Saved:
    """Which of the stored versions is tried; none if it is not stored."""

    version: int | None
    proves: bool
    """Whether it is tried as it is stored, so that a success proves that version."""
    draft: Stored | None
    """The version, if it is not in force yet."""


@dataclass(frozen=True)
class Trials:
    """Where integrations are tried. `chance` makes each test message's id another one."""

    bench: Bench
    desk: Desk
    store: Store
    profiles: Profiles
    clock: Clock
    chance: Callable[[], str]

    def run(self, name: str, trial: Trial, by: str) -> Body:
        """Makes the test, or the preview. Raises BadRequest if there is nothing to be tried, or nobody to try it with."""
        subject, saved = self._subject(name, trial, by)
        about: Body = {"integration": name, "version": saved.version, "message_id": subject.job.message_id}
        found = self.bench.preview(subject) if trial.preview else self._tested(subject, saved, by)
        return {**about, **found, "variables": [line.as_json() for line in self.bench.variables(subject)]}

    def _tested(self, subject: Subject, saved: _Saved, by: str) -> Body:
        (tried,) = self.bench.post([subject])
        proven = tried.sent and self._note(saved, by)
        logger.info("integration tested", definition=subject.integration.name, version=saved.version, proven=proven)
        return {"calls": tried.calls, "conclusion": conclusion(tried.outcome, subject.integration), "proven": proven}

    def _note(self, saved: _Saved, by: str) -> bool:
        """Whether the version is proven. An edit meanwhile has made another one, which is not."""
        if not saved.proves:
            return False
        try:
            if saved.draft is not None:
                self.store.mark_tested([saved.draft], iso(self.clock()), by)
        except BadRequest:
            return False
        return True

    def _subject(self, name: str, trial: Trial, by: str) -> tuple[Subject, _Saved]:
        known = self.desk.known("integration", name)
        newest = known.newest
        if trial.integration is None and newest is None:
            raise BadRequest(f"there is no integration named {name!r}", status=404)
        body = trial.integration if trial.integration is not None else (newest.body if newest else None)
        definition = self.desk.checked(Put("integration", name, body, by), known.values)
        if not isinstance(definition, Integration):
            raise TypeError("an integration was checked")
        saved = newest if trial.integration is None else None
        integration = definition if trial.body is None else definition.model_copy(update={"body": trial.body})
        template = self._template(trial, integration)
        context = trial.context.over(template.sample).context()
        job = test_job(self.chance(), self.clock(), context, template, integration)
        job = job.model_copy(update={"profile_id": trial.profile_id})
        draft = saved if saved is known.standing.draft else None
        about = _Saved(saved.version if saved else None, saved is not None and trial.body is None, draft)
        return Subject(job, integration, template, trial.found(self.profiles, template)), about

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
