"""A message's content: its variables, and what the template and the integration make of them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import JsonValue

from shared.definitions import Integration, Template
from shared.jobs import MessageJob
from shared.links import Links
from shared.mirrors import Content
from shared.person import Profile
from shared.templates import render, render_json

_CONTROL = re.compile(r"[\s\x00-\x1f\x7f]+")
"""What may not be in a subject: it is one line, whatever is put into it."""


def render_content(job: MessageJob, template: Template, integration: Integration, profile: Profile, links: Links) -> Content:
    """Renders the message.

    A template sees its defaults, the job's context (`cart`, `events`, `event`), `profile`, `to`, `mirror_url` and `message`;
    the integration's body sees `message.subject`, `message.html` and `message.text` as well. Raises Permanent.
    """
    message: dict[str, JsonValue] = {
        "id": job.message_id,
        "campaign": job.campaign,
        "delivery": job.delivery,
        "trigger": job.trigger,
        "template": job.template,
    }
    ours: dict[str, JsonValue] = {
        "profile": dict(profile.attributes),
        "to": profile.email,
        "mirror_url": links.mirror(job.message_id),
        "message": message,
    }
    variables = over(template.defaults, {**job.context, **ours})
    where = f"template {template.name!r}"
    html = render(f"{where}, html", template.html, variables, html=True)
    subject = _CONTROL.sub(" ", render(f"{where}, subject", template.subject, variables)).strip()
    text = render(f"{where}, text", template.text, variables)
    rendered: dict[str, JsonValue] = {"subject": subject, "html": html, "text": text}
    inner = {**variables, "message": {**message, **rendered}}
    return Content(
        html=html,
        subject=subject,
        text=text,
        body=render_json(f"integration {integration.name!r}, body", integration.body, inner),
        url=integration.url,
        headers={},
    )


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
