"""The function as Lambda calls it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from sync_crm import handler
from sync_crm.settings import Settings
from tests.aws import Aws
from tests.sync_crm.conftest import EVENTS, World, definition


@pytest.fixture
def deployed(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """The function's environment, in which it has not run yet."""
    aws = world.aws
    settings = Settings(
        environment="test",
        definitions_table=aws.table("definitions"),
        definitions_ttl=0,
        profiles_table=aws.table("profiles"),
        messages_table=aws.table("messages"),
        retention_days=30,
        state_table=aws.table("state"),
        secret_prefix=aws.secret_prefix,
        crm_queue_urls=("other=http://localhost/other", f"dynamics={world.queue}"),
        crm_parked_urls=("other=http://localhost/other-parked", f"dynamics={world.parked}"),
        allowed_origins=(world.sandbox.url,),
    )
    for name, value in settings.to_environment().items():
        monkeypatch.setenv(name, value)
    handler._app.cache_clear()
    yield aws
    handler._app()._http.close()
    handler._app.cache_clear()


def event_of(aws: Aws, world: World) -> dict[str, object]:
    """The sample event, about Ada."""
    sample = json.loads((EVENTS / "click.json").read_text())
    body = json.loads(sample["Records"][0]["body"])
    return aws.delivery("crm-dynamics", json.dumps({**body, "message_id": "m_ada", "profile_id": world.people["ada"]}))


def test_a_click_becomes_an_activity_and_a_task(deployed: Aws, world: World) -> None:
    deployed.define("destination", **definition(world.sandbox))
    assert handler.handle(event_of(deployed, world), None) == {"batchItemFailures": []}
    assert world.timeline("ada") == ["sb_emailclick", "task"]


def test_without_its_definition_everything_waits(deployed: Aws, world: World, caplog: pytest.LogCaptureFixture) -> None:
    event = event_of(deployed, world)
    assert handler.handle(event, None) != {"batchItemFailures": []}
    assert "the destination dynamics does not exist" in "\n".join(str(vars(record)) for record in caplog.records)
    deployed.define("destination", **definition(world.sandbox))
    assert handler.handle(event, None) == {"batchItemFailures": []}


def test_a_changed_definition_is_used_without_a_deploy(deployed: Aws, world: World) -> None:
    deployed.define("destination", **definition(world.sandbox))
    deployed.define("destination", **definition(world.sandbox, follow_up_clicks=False))
    handler.handle(event_of(deployed, world), None)
    assert world.timeline("ada") == ["sb_emailclick"]
