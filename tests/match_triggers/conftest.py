from __future__ import annotations

import pytest

from match_triggers.handler import App, compose
from tests.aws import Aws
from tests.match_triggers.shop import cart_trigger, put_trigger, settings_of


@pytest.fixture
def app(aws: Aws) -> App:
    """The function, with the cart trigger."""
    put_trigger(aws, cart_trigger())
    return compose(settings_of(aws), aws.dynamodb, aws.sqs, aws.clock)
