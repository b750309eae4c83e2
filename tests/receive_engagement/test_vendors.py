"""The sample post of each vendor, as API Gateway hands it over, is taken whole."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from connectors.registry import ESPS
from receive_engagement.post import Intake, receive
from shared.catalogue import Catalogue
from shared.definitions import Integration
from shared.jobs import EngagementsJob
from shared.queues import Queue
from tests.aws import Aws
from tests.contract.sample import NOW, filled

KEYS_OF_THEIR_OWN_FORM = {"resend", "sendgrid", "postal"}
"""Their samples are read with these keys in their own tests."""

FOLDER = Path(__file__).parents[2] / "events" / "receive_engagement"


@pytest.mark.parametrize("vendor", sorted({*ESPS.rows} - {"rest"} - KEYS_OF_THEIR_OWN_FORM))
def test_the_sample_post_is_taken(aws: Aws, vendor: str) -> None:
    integrations = SimpleNamespace(get=lambda name: SimpleNamespace(definition=filled(name)))
    engagements, parked = (Queue(aws.sqs, aws.queue(name)) for name in ("engagements", "engagements-parked"))
    intake = Intake(cast("Catalogue[Integration]", integrations), engagements, parked, lambda: NOW)
    answer = receive(json.loads((FOLDER / f"{vendor}.json").read_text()), intake)
    body = json.loads(str(answer["body"]))
    queued = [one for raw in aws.received("engagements") for one in EngagementsJob.model_validate_json(raw).engagements]
    assert (answer["statusCode"], body["rejected"]) == (200, [])
    assert len(queued) == body["accepted"] > 0
    assert {one.integration for one in queued} == {vendor}
