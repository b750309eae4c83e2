"""A message's content: its variables, and what the template and the integration make of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from shared.clock import iso
from shared.definitions import Integration, Template
from shared.email_html import prepared
from shared.errors import Permanent
from shared.ids import record_uuid
from shared.jobs import MessageJob
from shared.json_templates import render_json
from shared.links import Links
from shared.mirrors import Content
from shared.person import Profile, identifier_of
from shared.plain_text import tidied
from shared.request_templates import render_headers, render_url
from shared.sms import segments_of
from shared.templates import Variables, render

_CONTROL = re.compile(r"[\s\x00-\x1f\x7f]+")
"""What may not be in a subject: it is one line, whatever is put into it."""


def render_content(job: MessageJob, template: Template, integration: Integration, profile: Profile, links: Links) -> Content:
    """Renders the message.

    A template sees what `variables` says; the integration's body, headers and URL see `message.subject`, `.html`, `.text` and
    `.segments` as well. Raises Permanent.
    """
    given = variables(job, template, integration, profile, links)
    made = _text_message(template, integration, given) if integration.channel == "sms" else _email(template, given)
    inner = over(given, {"message": vars(made)})
    where = f"integration {integration.name!r}"
    return Content(
        html=made.html,
        subject=made.subject,
        text=made.text,
        body=render_json(f"{where}, body", integration.body, inner),
        url=render_url(f"{where}, url", integration.url, inner),
        headers=render_headers(where, integration.headers, inner),
        segments=made.segments,
    )


@dataclass(frozen=True)
class _Made:
    """What a template became."""

    text: str
    subject: str = ""
    html: str = ""
    segments: int = 0


def variables(
    job: MessageJob, template: Template, integration: Integration, profile: Profile, links: Links
) -> dict[str, JsonValue]:
    """The job's context (`cart`, `events`, `event`), the person, our links and the message, over the template's defaults.

    `to` and `identifier` are only there if the profile has them, so that whoever uses them is told.
    """
    ours: dict[str, JsonValue] = {
        "profile": dict(profile.attributes),
        "mirror_url": links.mirror(job.message_id),
        "unsubscribe_url": links.unsubscribe(job.message_id, profile.id, integration.channel),
        "message": _message(job),
        "now": iso(job.decided_at),
    }
    person = {"to": profile.address(integration.channel), "identifier": identifier_of(profile, integration.identifier)}
    return over(template.defaults, {**job.context, **ours, **{name: value for name, value in person.items() if value}})


def _message(job: MessageJob) -> dict[str, JsonValue]:
    return {
        "id": job.message_id,
        "uuid": record_uuid("message", job.message_id),
        "trigger": job.trigger,
        "campaign": job.campaign,
        "delivery": job.delivery,
        "template": job.template,
    }


def _email(template: Template, variables: Variables) -> _Made:
    where = f"template {template.name!r}"
    if not template.subject:
        raise Permanent(f"{where} has no subject, so it is none of an email")
    subject = _CONTROL.sub(" ", render(f"{where}, subject", template.subject, variables)).strip()
    if not template.html:
        return _Made(render(f"{where}, text", template.text, variables), subject)
    made = prepared(f"{where}, html", template.html, template.base_url)
    html = render(f"{where}, html", made.html, variables, "html")
    if template.text:
        return _Made(render(f"{where}, text", template.text, variables), subject, html)
    return _Made(tidied(render(f"{where}, html as text", made.text, variables, "text_of_html")), subject, html)


def _text_message(template: Template, integration: Integration, variables: Variables) -> _Made:
    where = f"template {template.name!r}"
    if not template.text:
        raise Permanent(f"{where} has no text, so it is none of a text message")
    text = render(f"{where}, text", template.text, variables).strip()
    if not text:
        raise Permanent(f"{where}, text: nothing is left of it")
    if (segments := segments_of(text)) > integration.max_segments:
        most = integration.max_segments
        raise Permanent(f"{where}, text: it takes {segments} segments, and the integration allows {most}")
    return _Made(text, segments=segments)


def over(defaults: Mapping[str, JsonValue], values: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The values, and the defaults where there is none or it is null, also inside of objects."""
    merged = dict(defaults)
    for key, value in values.items():
        default = merged.get(key)
        if isinstance(default, dict) and isinstance(value, dict):
            merged[key] = over(default, value)
        elif value is not None or key not in merged:
            merged[key] = value
    return merged
