"""Which connectors there are: one row each, its name in definitions → `module:object`.

A module is imported when its connector is first asked for, so a cold start pays only for the vendors a deployment uses.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from shared.errors import Misconfigured

if TYPE_CHECKING:
    from connectors.crms.dynamics import Dynamics
    from connectors.esps.base import Esp
    from connectors.trackers.base import TrackerFormat

C = TypeVar("C")


@dataclass(frozen=True)
class Family(Generic[C]):
    """The connectors of one kind."""

    kind: str
    rows: Mapping[str, str]

    def load(self, name: str) -> C:
        """The connector of this name. Raises Misconfigured if there is none."""
        row = self.rows.get(name)
        if row is None:
            raise Misconfigured(f"there is no {self.kind} connector named {name!r}")
        module, _, attribute = row.partition(":")
        return cast("C", getattr(importlib.import_module(module), attribute))


TRACKERS: Family[TrackerFormat] = Family(
    "tracker",
    {
        "standard_webhooks": "connectors.trackers.standard_webhooks:CONNECTOR",
        "json": "connectors.trackers.any_json:CONNECTOR",
        "cloudevents": "connectors.trackers.cloudevents:CONNECTOR",
        "adobe_io": "connectors.trackers.adobe_io:CONNECTOR",
        "segment": "connectors.trackers.segment:CONNECTOR",
        "rudderstack": "connectors.trackers.rudderstack:CONNECTOR",
        "posthog": "connectors.trackers.posthog:CONNECTOR",
        "shopify": "connectors.trackers.shopify:CONNECTOR",
        "snowplow": "connectors.trackers.snowplow:CONNECTOR",
        "matomo": "connectors.trackers.matomo:CONNECTOR",
        "ga4": "connectors.trackers.ga4:CONNECTOR",
    },
)

ESPS: Family[Esp] = Family(
    "ESP",
    {
        "rest": "connectors.esps.rest:CONNECTOR",
        "postmark": "connectors.esps.postmark:CONNECTOR",
        "resend": "connectors.esps.resend:CONNECTOR",
        "ses": "connectors.esps.ses:CONNECTOR",
        "sendgrid": "connectors.esps.sendgrid:CONNECTOR",
        "brevo": "connectors.esps.brevo:CONNECTOR",
        "mailgun": "connectors.esps.mailgun:CONNECTOR",
        "twilio": "connectors.esps.twilio:CONNECTOR",
        "mailjet": "connectors.esps.mailjet:CONNECTOR",
        "mailtrap": "connectors.esps.mailtrap:CONNECTOR",
        "mandrill": "connectors.esps.mandrill:CONNECTOR",
        "mailersend": "connectors.esps.mailersend:CONNECTOR",
        "sparkpost": "connectors.esps.sparkpost:CONNECTOR",
        "scaleway": "connectors.esps.scaleway:CONNECTOR",
        "postal": "connectors.esps.postal:CONNECTOR",
        "unisender_go": "connectors.esps.unisender_go:CONNECTOR",
        "vonage": "connectors.esps.vonage:CONNECTOR",
        "bird": "connectors.esps.bird:CONNECTOR",
        "sfmc": "connectors.esps.sfmc:CONNECTOR",
        "adobe_campaign": "connectors.esps.adobe_campaign:CONNECTOR",
        "delivra": "connectors.esps.delivra:CONNECTOR",
    },
)

CRMS: Family[type[Dynamics]] = Family(
    "CRM",
    {
        "dynamics": "connectors.crms.dynamics:Dynamics",
    },
)
