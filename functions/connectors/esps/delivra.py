"""Delivra: email by its REST services. The API is private: addresses, headers and names are the preset's to be changed.

What is known of it from public client code: credentials are plain headers, and an answer may begin with a byte order mark.
"""

from __future__ import annotations

from connectors.esps.base import Esp, Preset


class Delivra(Esp):
    """The connector `delivra`."""

    preset = Preset(
        title="Delivra",
        channel="email",
        source="None by the vendor: its API is documented for its customers only",
        definition={
            "connector": "delivra",
            "channel": "email",
            "url": "https://${DELIVRA_HOST}/${DELIVRA_PATH}",
            "headers": {"username": "${DELIVRA_USER}", "listname": "${DELIVRA_LIST}"},
            "secret_headers": {"password": {"env": "DELIVRA_PASSWORD"}},
            "body": {
                "email": "{{ identifier }}",
                "subject": "{{ message.subject }}",
                "html": "{{ message.html }}",
                "text": "{{ message.text }}",
                "reference": "{{ message.id }}",
            },
            "message_id_path": "${DELIVRA_MESSAGE_ID_PATH}",
            "webhook": {
                "signature": "basic",
                "secrets": [{"env": "DELIVRA_WEBHOOK_LOGIN"}],
                "types": {
                    "sent": "sent",
                    "delivered": "delivered",
                    "opened": "opened",
                    "clicked": "clicked",
                    "bounced": "bounced",
                    "complained": "complained",
                    "unsubscribed": "unsubscribed",
                },
                "message_id": "reference",
            },
        },
        notes=(
            "Delivra's API is private, so nothing here is certain: every address, header, field and type is to be compared with "
            "the documentation that Delivra gives its customers, and tried with a test call, before it is published.",
            "DELIVRA_HOST, DELIVRA_PATH: where a message is posted to; integration.delivra.com is a host that public code names. "
            "The headers username, password and listname are from there too.",
            "DELIVRA_MESSAGE_ID_PATH: where Delivra's own message id is in its answer, as `id`. Without one there, a message "
            "counts as unknown.",
            "If Delivra can post events, DELIVRA_WEBHOOK_LOGIN is the user:password it has to send; else take `webhook` out.",
        ),
    )


CONNECTOR = Delivra()
