"""A trigger's proof: the message that it would send, through its integration, to named addresses and to nobody else.

It is made of the newest versions of the trigger and its template, with a test profile and a sample of a visit, and proves both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, TypeVar

from pydantic import Field, JsonValue, StringConstraints

from admin_api.bench import NOBODY, Bench, Subject, Tried, conclusion, test_job
from admin_api.desk import Desk, absent
from admin_api.reading import check_address, read_as
from admin_api.store import Body, Standing, Store
from admin_api.trial import Whom
from shared.clock import Clock, iso
from shared.definitions import Integration, Kind, Template, Visit
from shared.errors import BadRequest
from shared.fields import Definition
from shared.observe import logger
from shared.person import ADDRESS_OF, Profile
from shared.profiles import Profiles
from shared.triggers import Trigger
from shared.validation import check

D = TypeVar("D", bound=Definition)

_ADDRESSES = ("email", "email_sha256", "phone")


class Proof(Whom):
    """Body of `POST …/trigger/{name}/proof`."""

    to: Annotated[tuple[Annotated[str, StringConstraints(max_length=320)], ...], Field(min_length=1, max_length=10)]
    """Who gets it: email addresses or phone numbers. The profile's own address gets nothing."""
    visit: Visit = Visit()
    """What a visit would have given; where nothing is said, the template's sample."""


def read_proof(body: JsonValue) -> Proof:
    """The body of a request. Raises BadRequest (422)."""
    proof = read_as(Proof, body)
    if proof.profile_id is not None and proof.profile is not None:
        raise BadRequest("give profile_id or profile, not both", field="profile_id", status=422)
    return proof


@dataclass(frozen=True)
class _Parts:
    """What a proof is made of."""

    trigger: Trigger
    template: Template
    integration: Integration
    standings: tuple[Standing, Standing]
    """The trigger's, then the template's."""


@dataclass(frozen=True)
class Prover:
    """Where proofs are made. `chance` makes each one's id another one."""

    bench: Bench
    desk: Desk
    store: Store
    profiles: Profiles
    clock: Clock
    chance: Callable[[], str]

    def run(self, name: str, proof: Proof, by: str) -> Body:
        """Sends the proof. Raises BadRequest: 404 if there is no such trigger, 422 if it cannot be sent, or to nobody."""
        parts = self._parts(name)
        for index, address in enumerate(proof.to):
            check_address(parts.integration.channel, address, f"to.{index}")
        profile = proof.found(self.profiles, parts.template)
        context = proof.visit.over(parts.template.sample).context()
        subjects = [self._subject(parts, _redirected(profile, parts.integration, address), context) for address in proof.to]
        tried = self.bench.post(subjects)
        proven = all(one.sent for one in tried) and self._note(parts, by)
        trigger, template = (standing.newest.version if standing.newest else None for standing in parts.standings)
        logger.info("trigger proven", definition=name, version=trigger, proven=proven)
        return {
            "trigger": name,
            "version": trigger,
            "template": {"name": parts.template.name, "version": template},
            "integration": parts.integration.name,
            "proofs": [_line(*pair, parts.integration) for pair in zip(proof.to, _named(subjects, tried), strict=True)],
            "proven": proven,
            "variables": [line.as_json() for line in self.bench.variables(subjects[0])],
        }

    def _subject(self, parts: _Parts, profile: Profile, context: dict[str, JsonValue]) -> Subject:
        job = test_job(self.chance(), self.clock(), context, parts.template, parts.integration)
        trigger = parts.trigger
        about = {"trigger": trigger.name, "campaign": trigger.campaign, "delivery": trigger.delivery}
        return Subject(job.model_copy(update=about), parts.integration, parts.template, profile)

    def _note(self, parts: _Parts, by: str) -> bool:
        """Whether both are proven. An edit meanwhile has made another version, which is not."""
        drafts = [standing.draft for standing in parts.standings if standing.draft is not None]
        try:
            if drafts:
                self.store.mark_tested(drafts, iso(self.clock()), by)
        except BadRequest:
            return False
        return True

    def _parts(self, name: str) -> _Parts:
        standing = self.store.standing("trigger", name)
        if standing.newest is None:
            raise absent("trigger", name)
        trigger = _valid(Trigger, "trigger", standing)
        of_template = self.store.standing("template", trigger.template)
        template = _valid(Template, "template", of_template)
        known = self.desk.known("integration", trigger.integration)
        integration = known.definition(known.standing.current)
        if not isinstance(integration, Integration):
            how = f"`sendbridge test {trigger.integration} --to ADDRESS --publish`"
            reason = f"the integration {trigger.integration} is not published, so nothing can be sent through it: {how}"
            raise BadRequest(reason, field="integration", status=422)
        return _Parts(trigger, template, integration, (standing, of_template))


def _valid(model: type[D], kind: Kind, standing: Standing) -> D:
    definition, faults = check(kind, standing.newest.body) if standing.newest else (None, [])
    if not isinstance(definition, model):
        why = f"{faults[0].field}: expected {faults[0].expected}" if faults else "there is none"
        raise BadRequest(f"the {kind} is not valid: {why}", field=kind, status=422)
    return definition


def _redirected(profile: Profile, integration: Integration, address: str) -> Profile:
    """The profile with this address in place of its own, and nothing else by which the ESP might know the person."""
    named = {} if integration.identifier in _ADDRESSES else {integration.identifier: address}
    attributes = {**profile.attributes, **named, ADDRESS_OF[integration.channel]: address}
    return replace(profile, id=NOBODY, attributes=attributes, identifiers={})


def _named(subjects: list[Subject], tried: list[Tried]) -> list[tuple[str, Tried]]:
    return [(subject.job.message_id, one) for subject, one in zip(subjects, tried, strict=True)]


def _line(address: str, made: tuple[str, Tried], integration: Integration) -> Body:
    message_id, tried = made
    about: Body = {"to": address, "message_id": message_id}
    return {**about, "calls": tried.calls, "conclusion": conclusion(tried.outcome, integration)}
