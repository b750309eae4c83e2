"""Definitions that are right."""

from __future__ import annotations

from typing import Any

KEY = "whsec_" + "c2VjcmV0LWtleS1mb3ItdGVzdHMtb25seS0x"
OTHER_KEY = "whsec_" + "c2VjcmV0LWtleS1mb3ItdGVzdHMtb25seS0y"
PASSWORD = "correct-horse-battery"


def tracker(**changes: Any) -> dict[str, Any]:
    return {"secrets": [KEY], **changes}


def journal(**changes: Any) -> dict[str, Any]:
    """A tracker that reads a journal."""
    auth = {"type": "oauth2", "token_url": "https://ims.example/token", "client_id": "app", "client_secret": PASSWORD}
    read = {"url": "https://events.example/organizations/1", "organization": "1234@AdobeOrg", "auth": auth, **changes}
    return {"format": "adobe_io", "client_id": "app", "journal": read}


def template(**changes: Any) -> dict[str, Any]:
    return {"subject": "Your cart", "html": "<p>Hello {{ profile.first_name }}</p>", **changes}


def integration(**changes: Any) -> dict[str, Any]:
    return {
        "url": "https://api.postbird.example/v1/messages",
        "auth": {
            "type": "oauth2",
            "token_url": "https://api.postbird.example/oauth/token",
            "client_id": "sendbridge",
            "client_secret": PASSWORD,
        },
        "body": {
            "from": {"email": "shop@example.com"},
            "to": {"email": "{{ to }}"},
            "subject": "{{ message.subject }}",
            "html": "{{ message.html }}",
            "metadata": {"message_id": "{{ message.id }}"},
        },
        "webhook": {"secrets": [KEY], "types": {"message.delivered": "delivered"}},
        **changes,
    }


def destination(**changes: Any) -> dict[str, Any]:
    auth = {"type": "oauth2", "token_url": "https://login.example/token", "client_id": "app", "client_secret": PASSWORD}
    return {"url": "https://org.crm.example", "auth": auth, **changes}


def trigger(**changes: Any) -> dict[str, Any]:
    return {
        "must_include": ["Product Added"],
        "must_not_include": ["Order Completed"],
        "wait_seconds": 5,
        "template": "cart",
        "integration": "postbird",
        "campaign": "abandoned-cart",
        "delivery": "first-reminder",
        **changes,
    }
