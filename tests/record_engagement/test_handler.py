"""The function as Lambda calls it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from record_engagement import handler
from record_engagement.settings import Settings
from shared.links import Links
from tests.record_engagement.conftest import World, sample


@pytest.fixture
def deployed(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The function's environment, in which it has not run yet."""
    aws = world.aws
    settings = Settings(
        environment="test",
        definitions_table=aws.table("definitions"),
        definitions_ttl=0,
        profiles_table=aws.table("profiles"),
        messages_table=aws.table("messages"),
        retention_days=30,
        secret_prefix=aws.secret_prefix,
        base_url="https://api.example.com",
        engagements_queue_url=aws.queue("engagements"),
        engagements_parked_url=aws.queue("engagements-parked"),
        crm_queue_urls=(f"dynamics={aws.queue('crm-dynamics')}",),
    )
    for name, value in settings.to_environment().items():
        monkeypatch.setenv(name, value)
    aws.secretsmanager.create_secret(Name=f"{aws.secret_prefix}/links", SecretString='{"key": "of links"}')
    for cached in (handler._settings, handler._books):
        cached.cache_clear()
    yield world
    for cached in (handler._settings, handler._books):
        cached.cache_clear()


def test_engagements_reach_the_ledger_and_the_crm(deployed: World) -> None:
    assert handler.handle(deployed.aws.delivery("engagements", sample()), None) == {"batchItemFailures": []}
    assert deployed.message("ada").engagements == {"e_open": "opened"}
    mirror = {job.mirror_url for job in deployed.crm_jobs() if job.message_id == "m_ada"}
    assert mirror == {Links("of links", "https://api.example.com").mirror("m_ada")}


def test_an_unreadable_body_is_parked_and_its_neighbour_recorded(deployed: World) -> None:
    event = deployed.aws.delivery("engagements", "[[[[", sample())
    assert handler.handle(event, None) == {"batchItemFailures": []}
    assert len(deployed.aws.received("engagements-parked")) == 1
    assert deployed.message("ada").engagements == {"e_open": "opened"}
