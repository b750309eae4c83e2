"""What can only be judged inside a deployment: what a definition refers to, calls, computes and is signed with."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydantic import JsonValue

from shared.addresses import check_url
from shared.auth import OAuth2
from shared.definitions import Definition, Destination, Integration, Kind, Template, Tracker
from shared.errors import BadRequest, Misconfigured, Permanent
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
        yield "url", definition.url
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
    sources = [*_sources(definition)]
    if not sources:
        return
    # Imported here, as Liquid is the half of a cold start and only templates and integrations are written in it.
    from shared.templates import check  # noqa: PLC0415

    for field, source, html in sources:
        try:
            check(field, source, html=html)
        except Permanent as error:
            yield Fault(field, f"a Liquid template, but in {error.reason.removeprefix(f'{field}, ')}")


def _sources(definition: Definition) -> Iterator[tuple[str, str, bool]]:
    """Everything that is a template, with its field, and whether values in it are escaped for HTML."""
    if isinstance(definition, Template):
        yield from (("subject", definition.subject, False), ("html", definition.html, True), ("text", definition.text, False))
    if isinstance(definition, Integration):
        yield from ((field, text, False) for field, text in _texts(definition.body, "body"))


def _texts(body: JsonValue, field: str) -> Iterator[tuple[str, str]]:
    if isinstance(body, str):
        yield field, body
    if isinstance(body, dict):
        yield from (found for key, value in body.items() for found in _texts(value, f"{field}.{key}"))
    if isinstance(body, list):
        yield from (found for index, value in enumerate(body) for found in _texts(value, f"{field}.{index}"))
