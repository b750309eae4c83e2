"""Amazon SES: email by the API's second version, one message to a request, signed by Signature Version 4.

Events come through an SNS topic (or EventBridge) to the webhook. What SNS signs it signs by a certificate that would have to be
fetched from it again and again; so what proves a post is a login in the subscription's address, which SNS sends over TLS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from connectors.esps.base import Esp, Preset, answer_of
from connectors.esps.sns import notified
from shared.definitions import Webhook
from shared.errors import Misconfigured, Permanent, SendbridgeError, Transient
from shared.exchange import Response
from shared.mapping import at, put, text_at

_VERDICTS: Mapping[str, tuple[type[SendbridgeError], str]] = {
    "NotVerified": (Misconfigured, "the From address is not verified, or the account is still in SES's sandbox"),
    "MessageRejected": (Permanent, "the content or the recipient was rejected"),
    "MailFromDomainNotVerifiedException": (Misconfigured, "the MAIL FROM domain is not verified"),
    "AccountSuspendedException": (Misconfigured, "the account may not send any more"),
    "SendingPausedException": (Misconfigured, "sending is paused for the account or the configuration set"),
    "LimitExceededException": (Transient, "a quota is used up"),
    "TooManyRequestsException": (Transient, "the sending rate or the daily quota is used up"),
    "ThrottlingException": (Transient, "too many requests in a second"),
}

_BODY = "Content.Simple.Body"
_SECTIONS = {
    "Delivery": "delivery",
    "DeliveryDelay": "deliveryDelay",
    "Bounce": "bounce",
    "Complaint": "complaint",
    "Reject": "reject",
    "Rendering Failure": "failure",
    "Open": "open",
    "Click": "click",
    "Subscription": "subscription",
}
_CODES = ("bouncedRecipients.0.status", "delayedRecipients.0.status", "delayType", "complaintFeedbackType")
_REASONS = ("bouncedRecipients.0.diagnosticCode", "delayedRecipients.0.diagnosticCode", "reason", "errorMessage")


class Ses(Esp):
    """The connector `ses`."""

    verdicts = _VERDICTS
    preset = Preset(
        title="Amazon SES",
        channel="email",
        source="Amazon SES: API v2 SendEmail, event data; Amazon SNS: HTTPS endpoints (read 2026-11-21)",
        definition={
            "connector": "ses",
            "channel": "email",
            "url": "https://email.${AWS_REGION}.amazonaws.com/v2/email/outbound-emails",
            "auth": {
                "type": "sigv4",
                "access_key_id": "${AWS_ACCESS_KEY_ID}",
                "secret_access_key": {"env": "AWS_SECRET_ACCESS_KEY"},
                "region": "${AWS_REGION}",
                "service": "ses",
            },
            "body": {
                "FromEmailAddress": "${FROM}",
                "Destination": {"ToAddresses": ["{{ identifier }}"]},
                "Content": {
                    "Simple": {
                        "Subject": {"Data": "{{ message.subject }}", "Charset": "UTF-8"},
                        "Body": {
                            "Html": {"Data": "{{ message.html }}", "Charset": "UTF-8"},
                            "Text": {"Data": "{{ message.text }}", "Charset": "UTF-8"},
                        },
                        "Headers": [
                            {"Name": "List-Unsubscribe", "Value": "<{{ unsubscribe_url }}>"},
                            {"Name": "List-Unsubscribe-Post", "Value": "List-Unsubscribe=One-Click"},
                        ],
                    }
                },
                "EmailTags": [{"Name": "message_id", "Value": "{{ message.id }}"}],
                "ConfigurationSetName": "${SES_CONFIGURATION_SET}",
            },
            "message_id_path": "MessageId",
            "limit": {"messages": 14, "seconds": 1},
            "webhook": {
                "signature": "basic",
                "secrets": [{"env": "SES_WEBHOOK_LOGIN"}],
                "types": {
                    "Send": "sent",
                    "Delivery": "delivered",
                    "DeliveryDelay": "deferred",
                    "Bounce": "bounced",
                    "Complaint": "complained",
                    "Complaint.not-spam": "other",
                    "Reject": "failed",
                    "Rendering Failure": "failed",
                    "Open": "opened",
                    "Click": "clicked",
                    "Subscription.unsubscribed": "unsubscribed",
                },
                "type": "type",
                "time": "time",
                "message_id": "mail.tags.message_id.0",
                "url": "click.link",
                "bounce_type": "bounce.bounceType",
                "hard_bounces": ["Permanent"],
                "code": "code",
                "reason": "reason",
            },
        },
        notes=(
            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY: of an IAM user that may do ses:SendEmail and nothing else.",
            "The limit: 14 messages a second is what most accounts begin with; yours is in the console, Account dashboard.",
            "SES_CONFIGURATION_SET: a configuration set with an event destination to an SNS topic; without one nothing is told.",
            "SNS: subscribe by HTTPS to https://LOGIN@host/v1/engagements/NAME, where LOGIN is the user:password of "
            "SES_WEBHOOK_LOGIN. Whoever knows the login can post; the topic's signature is not looked at, as its certificate "
            "would have to be fetched. SNS asks to confirm: its request is parked with the engagements that cannot be used; "
            "open its SubscribeURL, or run `aws sns confirm-subscription` with its Token. Nothing is ever fetched by itself.",
            "Raw message delivery, and EventBridge as a target of the configuration set, are read as well.",
        ),
    )

    def join(self, bodies: Sequence[JsonValue]) -> JsonValue:
        """The only one, without a part that has nothing in it."""
        found = at(bodies[0], _BODY)
        if not isinstance(found, dict):
            return bodies[0]
        return put(bodies[0], _BODY, {name: part for name, part in found.items() if at(part, "Data") != ""})

    def codes(self, response: Response) -> list[str]:
        """The exception's name, from the header `x-amzn-errortype` or the body; `NotVerified` if SES says that of an identity."""
        answer = answer_of(response)
        name = response.headers.get("x-amzn-errortype", "") or text_at(answer, "__type").rpartition("#")[2]
        unverified = "not verified" in (text_at(answer, "message") or text_at(answer, "Message"))
        return [*(["NotVerified"] if unverified else []), name.partition(":")[0]]

    def event(self, webhook: Webhook, event: JsonValue) -> JsonValue:
        """What SES says, out of the envelope of SNS or EventBridge; its time and reason are where its type has them."""
        told = notified(event)
        told = told.get("detail", told) if isinstance(told, dict) else told
        if not isinstance(told, dict):
            return told
        kind = text_at(told, "eventType") or text_at(told, "notificationType")
        about = told.get(_SECTIONS.get(kind, ""))
        return {
            **told,
            "type": kind + _finer(about),
            "time": at(about, "timestamp") or at(told, "mail.timestamp"),
            "code": _first(about, _CODES),
            "reason": _first(about, _REASONS),
        }


def _finer(about: JsonValue) -> str:
    if text_at(about, "complaintFeedbackType") == "not-spam":
        return ".not-spam"
    return ".unsubscribed" if at(about, "newTopicPreferences.unsubscribeAll") is True else ""


def _first(about: JsonValue, paths: tuple[str, ...]) -> str:
    return next((found for path in paths if (found := text_at(about, path))), "")


CONNECTOR = Ses()
