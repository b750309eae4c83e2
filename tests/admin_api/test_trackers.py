"""What is wrong with a tracker, as far as only a deployment can tell."""

from __future__ import annotations

from typing import Any

import pytest

from tests.admin_api.conftest import Ask
from tests.admin_api.samples import KEY, tracker
from tests.admin_api.test_definitions import errors

PLAIN: dict[str, Any] = {"format": "json", "mapping": {}}
PUBLIC = "whpk_" + "A" * 43 + "="


@pytest.mark.parametrize(
    "body",
    [
        {**PLAIN, "proof": "header", "secrets": ["anything at all"]},
        {**PLAIN, "proof": "basic", "secrets": ["user:pass:word", "user:"]},
        {**PLAIN, "proof": "standard_webhooks", "secrets": [KEY, PUBLIC]},
        {"format": "segment", "secrets": ["shared secret of any form"]},
    ],
)
def test_a_secret_has_the_form_that_its_proof_needs(ask: Ask, body: dict[str, Any]) -> None:
    status, said = ask("PUT", "/definitions/tracker/shop", tracker(**body))
    assert status == 200, said


@pytest.mark.parametrize(
    "body",
    [
        {**PLAIN, "proof": "basic", "secrets": ["user:password", "userpassword"]},
        {**PLAIN, "proof": "standard_webhooks", "secrets": [KEY, "plain text"]},
        {**PLAIN, "proof": "standard_webhooks", "secrets": [KEY, "whpk_AAAA"]},
        {"format": "standard_webhooks", "secrets": [KEY, "plain text"]},
    ],
)
def test_one_of_another_form_is_refused(ask: Ask, body: dict[str, Any]) -> None:
    assert errors(ask("PUT", "/definitions/tracker/shop", tracker(**body))).keys() == {"secrets.1"}
