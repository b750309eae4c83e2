"""What can only be judged inside a deployment: what a definition refers to, calls, computes and is signed with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from pydantic import JsonValue

from shared.addresses import check_url, without_placeholders
from shared.auth import OAuth2
from shared.definitions import Destination, Integration, Kind, Template
from shared.errors import BadRequest, Misconfigured
from shared.fields import Definition
from shared.signatures import standard_webhook_key
from shared.trackers import Tracker
from shared.triggers import Trigger
from shared.validation import Body, Fault, Find, mismatches, references_of

_KEY = re.compile(r"(.*[-_])?(api[-_]?key|key|token|secret|password|passwd|pwd|signature|sig|auth)", re.IGNORECASE)
"""Names of query parameters that hold what must not be seen."""


@dataclass(frozen=True)
class Around:
    """The other definitions that one is judged among."""

    find: Find
    triggers: Callable[[], Iterable[Body]]
    """All triggers: they bring together a template and an integration."""


def review(kind: Kind, definition: Definition, around: Around, origins: tuple[str, ...], destinations: set[str]) -> list[Fault]:
    """Everything that is wrong. `destinations` are those with a queue."""
    body = definition.model_dump(mode="json")
    syntax = [*_syntax(definition)]
    return [
        *(Fault(field, f"the name of {_a(other)} that exists") for field, other, name in _absent(kind, body, around.find)),
        *mismatches(kind, body, around.find),
        *_connector(definition),
        *_addresses(definition, origins),
        *_signing_secrets(definition),
        *_logins(definition),
        *syntax,
        *_queue(definition, destinations),
        *_rules(definition),
        *(() if syntax else _variables(kind, definition, body, around)),
    ]


def _absent(kind: Kind, body: dict[str, JsonValue], find: Find) -> Iterator[tuple[str, Kind, str]]:
    return (reference for reference in references_of(kind, body) if find(reference[1], reference[2]) is None)


def _connector(definition: Definition) -> Iterator[Fault]:
    if not isinstance(definition, Integration):
        return
    # Imported here, as nothing else of what is edited needs to know the vendors.
    from connectors.registry import ESPS  # noqa: PLC0415

    if definition.connector not in ESPS.rows:
        yield Fault("connector", f"one of {', '.join(ESPS.rows)}")


def _a(kind: Kind) -> str:
    return f"an {kind}" if kind == "integration" else f"a {kind}"


def _addresses(definition: Definition, origins: tuple[str, ...]) -> Iterator[Fault]:
    for field, url in addresses(definition):
        try:
            check_url(url, origins, field=field)
        except BadRequest as error:
            yield Fault(field, error.reason)
            continue
        for name in _keys(url):
            yield Fault(field, f"no {name} in it: a URL is seen and logged, so put it into secret_headers")


def _keys(url: str) -> list[str]:
    return [name for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True) if _KEY.fullmatch(name)]


def addresses(definition: Definition) -> Iterator[tuple[str, str]]:
    """The URLs that a definition has us call, with their fields."""
    if isinstance(definition, Integration | Destination):
        yield "url", without_placeholders(definition.url)
        if isinstance(definition.auth, OAuth2):
            yield "auth.token_url", definition.auth.token_url
    if isinstance(definition, Tracker) and definition.journal is not None:
        yield "journal.url", definition.journal.url
        yield "journal.auth.token_url", definition.journal.auth.token_url


def _signing_secrets(definition: Definition) -> Iterator[Fault]:
    for field, secret in signing_secrets(definition):
        try:
            standard_webhook_key(secret)
        except Misconfigured as error:
            yield Fault(field, error.reason)


def _logins(definition: Definition) -> Iterator[Fault]:
    """A login without a colon is none that anybody could send."""
    if isinstance(definition, Tracker) and definition.proof == "basic":
        for index, secret in enumerate(definition.secrets):
            if ":" not in secret.get_secret_value():
                yield Fault(f"secrets.{index}", "user:password, as proof is basic")


def signing_secrets(definition: Definition) -> Iterator[tuple[str, str]]:
    """The secrets that somebody signs with by Standard Webhooks, with their fields."""
    if isinstance(definition, Tracker) and "standard_webhooks" in (definition.proof, _own_proof(definition)):
        yield from ((f"secrets.{i}", secret.get_secret_value()) for i, secret in enumerate(definition.secrets))
    webhook = definition.webhook if isinstance(definition, Integration) else None
    if webhook is not None and webhook.signature == "standard_webhooks":
        yield from ((f"webhook.secrets.{i}", secret.get_secret_value()) for i, secret in enumerate(webhook.secrets))


def _own_proof(tracker: Tracker) -> str:
    """The format, if posts are proven in its own way."""
    return tracker.format if tracker.proof == "vendor" else ""


def _queue(definition: Definition, destinations: set[str]) -> Iterator[Fault]:
    if isinstance(definition, Destination) and definition.name not in destinations:
        known = ", ".join(sorted(destinations)) or "none"
        yield Fault("name", f"a destination of this deployment, which are: {known}")


def _syntax(definition: Definition) -> Iterator[Fault]:
    if not isinstance(definition, Template | Integration):
        return
    # Imported here, as Liquid is the half of a cold start and only templates and integrations are written in it.
    from shared.content_faults import content_faults  # noqa: PLC0415

    for field, said in content_faults(definition):
        yield Fault(field, said)


def _rules(definition: Definition) -> Iterable[Fault]:
    if not isinstance(definition, Trigger):
        return []
    # Imported here, as it brings the engine of regular expressions, which nothing else of what is edited needs.
    from shared.rule_faults import faults_of  # noqa: PLC0415

    return faults_of(definition)


def _variables(kind: Kind, definition: Definition, body: Body, around: Around) -> Iterable[Fault]:
    if not isinstance(definition, Template | Integration | Trigger):
        return []
    from shared.provided import lacking, lacking_in, unknown_in  # noqa: PLC0415  # Liquid, as above

    if isinstance(definition, Trigger):
        return lacking(body, around.find)
    unknown = unknown_in(definition) if isinstance(definition, Template) else []
    return unknown or lacking_in(kind, body, around.triggers(), around.find)
