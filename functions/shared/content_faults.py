"""What is wrong with a template before anything is rendered: it is not Liquid, or a placeholder is where none may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydantic import JsonValue

from shared.definitions import Definition, Integration, Template
from shared.errors import Permanent
from shared.json_templates import sources
from shared.request_templates import check_url_template
from shared.templates import check


def content_faults(definition: Definition) -> Iterator[tuple[str, str]]:
    """Every field that could not be rendered, as `body.to.0.email`, and what is wrong there, in a few words."""
    if isinstance(definition, Template):
        yield from _fault("subject", lambda: check("subject", definition.subject))
        yield from _fault("html", lambda: check("html", definition.html, html=True))
        yield from _fault("text", lambda: check("text", definition.text))
    if isinstance(definition, Integration):
        yield from _fault("url", lambda: check_url_template("url", definition.url))
        for header, value in definition.headers.items():
            yield from _fault(f"headers.{header}", lambda: check(f"headers.{header}", value))  # noqa: B023  # called at once
        yield from _of_body(definition.body)


def _of_body(body: JsonValue) -> Iterator[tuple[str, str]]:
    try:
        found = [source for _, source in sources("body", body)]
    except Permanent as error:
        where, _, said = error.reason.partition(": ")
        yield _field(where.partition(",")[0]), said
        return
    for source in found:
        yield from _fault(source.name, source.check)


def _fault(name: str, look: Callable[[], None]) -> Iterator[tuple[str, str]]:
    try:
        look()
    except Permanent as error:
        yield _field(name), error.reason.removeprefix(name).lstrip(",: ")


def _field(name: str) -> str:
    return name.replace("/", ".")
