from __future__ import annotations

import pytest

from shared.definitions import Destination, Integration
from shared.validation import check

INTEGRATION: dict[str, object] = {
    "name": "esp",
    "url": "https://esp.example.com/",
    "body": {},
    "webhook": {"secrets": ["s"], "types": {}},
}
AUTH = {"type": "oauth2", "token_url": "https://a.example.com/", "client_id": "c", "client_secret": "s"}
DESTINATION: dict[str, object] = {"name": "crm", "url": "https://crm.example.com/", "auth": AUTH}


@pytest.mark.parametrize("field", ["headers", "secret_headers"])
@pytest.mark.parametrize("value", ["s3cret\r\nx-more: 1", "s3cret\n", "s3cret\x00", "s3cr\u00e9t", " s3cret", "s3cret ", ""])
def test_a_header_value_is_one_line_of_ascii_and_is_not_quoted(field: str, value: str) -> None:
    definition, faults = check("integration", {**INTEGRATION, field: {"X-Key": value}})  # type: ignore[dict-item]
    assert definition is None
    assert [fault.field for fault in faults] == [f"{field}.X-Key"]
    assert "s3c" not in str(faults)


@pytest.mark.parametrize("field", ["headers", "secret_headers"])
@pytest.mark.parametrize(
    "name", ["", "X Key", "X-Key:", "X\r\nY", "X-K\u00e9y", "Host", "content-length", "Transfer-Encoding", "Proxy-A"]
)
def test_a_header_name_is_a_token_and_not_one_that_steers_the_request(field: str, name: str) -> None:
    definition, faults = check("integration", {**INTEGRATION, field: {name: "value"}})  # type: ignore[dict-item]
    assert definition is None
    assert faults


@pytest.mark.parametrize("user", ["shop:part-of-the-password", "shop\r\n"])
def test_a_user_name_ends_before_the_password(user: str) -> None:
    auth = {"type": "basic", "username": user, "password": "s3cret"}
    definition, faults = check("integration", {**INTEGRATION, "auth": auth})  # type: ignore[dict-item]
    assert definition is None
    assert [fault.field for fault in faults] == ["auth.username"]


@pytest.mark.parametrize("name", ["Host", "X Key", "a\nb"])
def test_the_idempotency_header_is_such_a_header_too(name: str) -> None:
    assert check("integration", {**INTEGRATION, "idempotency_header": name})[0] is None  # type: ignore[dict-item]


def test_usual_headers_are_taken() -> None:
    headers = {"X-Stream": "carts, 2", "Authorization": "Bearer a.b-c_d=="}
    made = Integration.model_validate(
        {**INTEGRATION, "headers": headers, "secret_headers": headers, "idempotency_header": "X-Id"}
    )
    assert made.headers == headers
    assert made.secret_headers["Authorization"].get_secret_value() == "Bearer a.b-c_d=="


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("contact_key", "a eq 1 or b"),
        ("contact_key", "a.b"),
        ("column_prefix", "sb"),
        ("column_prefix", "s'b_"),
        ("owner", "me)/x("),
        ("owner", "c0ffee00-1111-4222-8333-444455556666\n"),
    ],
)
def test_what_becomes_part_of_a_query_is_a_name_or_an_id(field: str, value: str) -> None:
    definition, faults = check("destination", {**DESTINATION, field: value})  # type: ignore[dict-item]
    assert definition is None
    assert [fault.field for fault in faults] == [field]


def test_a_destination_may_have_an_owner_and_no_prefix() -> None:
    owner = "c0ffee00-1111-4222-8333-444455556666"
    made = Destination.model_validate({**DESTINATION, "owner": owner, "column_prefix": "", "contact_key": "EMailAddress2"})
    assert (made.owner, made.column_prefix) == (owner, "")


@pytest.mark.parametrize("url", ["https://esp.example.com/{{ message.id }}", "https://esp.example.com/m/{{message.uuid}}/send"])
def test_a_url_can_be_the_idempotency_key(url: str) -> None:
    assert Integration.model_validate({**INTEGRATION, "url": url, "idempotency_url": True}).sends_once
    assert not Integration.model_validate({**INTEGRATION, "url": url}).sends_once


@pytest.mark.parametrize("url", ["https://esp.example.com/", "https://esp.example.com/{{ message.trigger }}"])
def test_a_url_that_is_the_same_for_all_messages_is_no_idempotency_key(url: str) -> None:
    _, [fault] = check("integration", {**INTEGRATION, "url": url, "idempotency_url": True})  # type: ignore[dict-item]
    assert "message.id" in fault.expected


@pytest.mark.parametrize(("name", "taken"), [("profiles", False), ("profiles-of-old", True)])
def test_no_tracker_has_the_name_under_which_changes_of_profiles_are_heard_of(name: str, taken: bool) -> None:
    definition, faults = check("tracker", {"name": name, "secrets": ["s"]})
    assert (definition is not None) == taken
    assert bool(faults) != taken
