"""Each vendor's preset against its sandbox, which is as strict as the vendor: taken as it is, and every fault told apart."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from pydantic import JsonValue

from connectors.esps.base import Outcome, Sent
from connectors.registry import ESPS
from shared.errors import Misconfigured, SendbridgeError, Transient, Unknown
from tests.connectors.esps.sending import at_sandbox, rendered, sandbox_of, send
from tests.contract.sample import filled
from tests.sandbox.esps.vendor import VendorSandbox

pytestmark = pytest.mark.slow

UUID = "00000000-0000-4000-8000-000000000001"
_BY_NAME = ("sfmc", "adobe_campaign", "delivra")
"""Those have the parts of a message in the vendor's own template, which looks for each by its name."""
VENDORS = [name for name in ESPS.rows if name != "rest"]


@pytest.fixture(params=VENDORS)
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def sandbox(vendor: str) -> Iterator[VendorSandbox]:
    with sandbox_of(vendor) as running:
        yield running


def outcome(vendor: str, sandbox: VendorSandbox) -> Outcome:
    integration = at_sandbox(vendor, sandbox)
    try:
        [one] = send(integration, [rendered(integration)]).outcomes
    except SendbridgeError as error:
        return error
    return one


def test_the_preset_is_taken_as_it_is(vendor: str, sandbox: VendorSandbox) -> None:
    sent = outcome(vendor, sandbox)
    assert isinstance(sent, Sent), sent
    [taken] = sandbox.taken
    assert taken.ours == f"m_{1:032x}"
    assert taken.to.lstrip("+") in ("person1@example.com", "15550100001")
    assert sent.esp_message_id == taken.id


def test_as_many_as_fit_go_in_one_request(vendor: str, sandbox: VendorSandbox) -> None:
    integration, esp = at_sandbox(vendor, sandbox), ESPS.load(vendor)
    messages = [rendered(integration, number) for number in range(1, min(esp.most, 7) + 1)]
    groups = {esp.alike(message): [m for m in messages if esp.alike(m) == esp.alike(message)] for message in messages}
    for together in groups.values():
        outcomes = send(integration, together).outcomes
        ids = [one.esp_message_id for one in outcomes if isinstance(one, Sent)]
        assert ids == [taken.id for taken in sandbox.taken[-len(together) :]]
    assert sandbox.requests == len(groups)
    assert sandbox.ours() == [message.id for together in groups.values() for message in together]


@pytest.mark.parametrize("missing", ["html", "text"])
@pytest.mark.parametrize("vendor", [name for name in VENDORS if name not in _BY_NAME and filled(name).channel == "email"])
def test_a_part_that_a_message_lacks_is_not_sent(vendor: str, missing: str) -> None:
    own: dict[str, JsonValue] = {"id": f"m_{1:032x}", "uuid": UUID, "subject": "Hello", "html": "<p>One</p>", "text": "One"}
    with sandbox_of(vendor) as sandbox:
        integration = at_sandbox(vendor, sandbox)
        [sent] = send(integration, [rendered(integration, message={**own, missing: ""})]).outcomes
        assert isinstance(sent, Sent), sent
        assert '""' not in json.dumps(sandbox.taken[0].content, default=str)


@pytest.mark.parametrize(
    ("mode", "kinds", "taken"),
    [
        ("429", (Transient,), 0),
        ("500", (Transient, Unknown), 0),
        ("down", (Transient,), 0),
        ("revoked", (Misconfigured,), 0),
        ("garbage", (Unknown,), 0),
        ("cut_before", (Unknown,), 0),
        ("cut_after", (Unknown,), 1),
    ],
)
def test_faults(vendor: str, sandbox: VendorSandbox, mode: str, kinds: tuple[type[SendbridgeError], ...], taken: int) -> None:
    sandbox.control("fail", target="send", mode=mode, retry_after=7)
    error = outcome(vendor, sandbox)
    assert type(error) in kinds
    assert len(sandbox.taken) == taken
    if mode == "429" and isinstance(error, Transient):
        assert error.retry_after is None or 5 < error.retry_after <= 7
