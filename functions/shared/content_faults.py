"""What is wrong with a template before anything is rendered: it is not Liquid, or a placeholder is where none may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydantic import JsonValue

from shared.definitions import Integration, Template
from shared.email_html import prepared
from shared.errors import Permanent
from shared.fields import Definition
from shared.json_templates import sources
from shared.request_templates import check_url_template
from shared.templates import check


def content_faults(definition: Definition) -> Iterator[tuple[str, str]]:
    """Every field that could not be rendered, as `body.to.0.email`, and what was expected there."""
    if isinstance(definition, Template):
        yield from _fault("subject", lambda: check("subject", definition.subject))
        yield from _fault("html", lambda: _check_html(definition))
        yield from _fault("text", lambda: check("text", definition.text))
    if isinstance(definition, Integration):
        yield from _fault("url", lambda: check_url_template("url", definition.url))
        for header, value in definition.headers.items():
            yield from _fault(f"headers.{header}", lambda: check(f"headers.{header}", value))  # noqa: B023  # called at once
        yield from _of_body(definition.body)


def _check_html(template: Template) -> None:
    check("html", template.html, "html")
    made = prepared("html", template.html, template.base_url)
    check("html, with its styles in its elements", made.html, "html")
    check("html, made into text", made.text, "text_of_html")
    for line, link in made.relative[:1]:
        raise Permanent(f"html, line {line}: the link {link!r} is relative, and there is no base_url")


def _of_body(body: JsonValue) -> Iterator[tuple[str, str]]:
    try:
        found = [source for _, source in sources("body", body)]
    except Permanent as error:
        where, _, said = error.reason.partition(": ")
        yield (
            _field(where.partition(",")[0]),
            said if "," not in where else f"a Liquid template, but in{where.partition(',')[2]}: {said}",
        )
        return
    for source in found:
        yield from _fault(source.name, source.check)


def _fault(name: str, look: Callable[[], None]) -> Iterator[tuple[str, str]]:
    try:
        look()
    except Permanent as error:
        said = error.reason.removeprefix(name).lstrip(",: ")
        yield _field(name), f"a Liquid template, but in {said}" if said.startswith("line ") else said


def _field(name: str) -> str:
    return name.replace("/", ".")
