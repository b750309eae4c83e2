"""What can only be judged inside a deployment: what a definition refers to, calls, computes and is signed with."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shared.addresses import check_url, without_placeholders
from shared.auth import OAuth2
from shared.definitions import Definition, Destination, Integration, Kind, Template, Tracker
from shared.errors import BadRequest, Misconfigured
from shared.signatures import standard_webhook_key
from shared.validation import Fault, references_of

Exists = Callable[[Kind, str], bool]


def review(kind: Kind, definition: Definition, exists: Exists, origins: tuple[str, ...], destinations: set[str]) -> list[Fault]:
    """Everything that is wrong. `exists` says whether a definition is there; `destinations` are those with a queue."""
    return [
        *_references(kind, definition, exists),
        *_addresses(definition, origins),
        *_signing_secrets(definition),
        *_syntax(definition),
        *_queue(definition, destinations),
    ]


def _references(kind: Kind, definition: Definition, exists: Exists) -> Iterator[Fault]:
    for field, other, name in references_of(kind, definition.model_dump(mode="json")):
        if not exists(other, name):
            yield Fault(field, f"the name of {_a(other)} that exists")


def _a(kind: Kind) -> str:
    return f"an {kind}" if kind == "integration" else f"a {kind}"


def _addresses(definition: Definition, origins: tuple[str, ...]) -> Iterator[Fault]:
    for field, url in addresses(definition):
        try:
            check_url(url, origins, field=field)
        except BadRequest as error:
            yield Fault(field, error.reason)


def addresses(definition: Definition) -> Iterator[tuple[str, str]]:
    """The URLs that a definition has us call, with their fields."""
    if isinstance(definition, Integration | Destination):
        yield "url", without_placeholders(definition.url)
        if isinstance(definition.auth, OAuth2):
            yield "auth.token_url", definition.auth.token_url


def _signing_secrets(definition: Definition) -> Iterator[Fault]:
    for field, secret in signing_secrets(definition):
        try:
            standard_webhook_key(secret)
        except Misconfigured as error:
            yield Fault(field, error.reason)


def signing_secrets(definition: Definition) -> Iterator[tuple[str, str]]:
    """The secrets that somebody signs with, with their fields."""
    if isinstance(definition, Tracker):
        yield from ((f"secrets.{i}", secret.get_secret_value()) for i, secret in enumerate(definition.secrets))
    webhook = definition.webhook if isinstance(definition, Integration) else None
    if webhook is not None and webhook.signature == "standard_webhooks":
        yield from ((f"webhook.secrets.{i}", secret.get_secret_value()) for i, secret in enumerate(webhook.secrets))


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
        yield Fault(field, f"a Liquid template, but {said}")
