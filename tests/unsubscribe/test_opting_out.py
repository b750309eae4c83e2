from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import pytest

from shared.errors import Transient
from shared.jobs import EngagementsJob, Hop, MessageJob
from shared.ledger import Ledger
from shared.links import Links
from shared.person import address_hash
from shared.profiles import Profiles
from shared.queues import Queue
from tests.aws import Aws
from tests.crash import Executioner, Killed
from tests.rows import in_ledger
from unsubscribe import handler
from unsubscribe.opting_out import Desk, answer
from unsubscribe.settings import Settings

pytestmark = pytest.mark.slow

URL = "https://sendbridge.example"
LINKS = Links("key", URL)
EVENTS = Path("events/unsubscribe")
ONE_CLICK = json.loads((EVENTS / "one_click.json").read_text())
LOOK = json.loads((EVENTS / "look.json").read_text())
MESSAGE = ONE_CLICK["pathParameters"]["message_id"]
EMAIL = "ada@example.com"


class World:
    """Ada, to whom a message was sent."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.profiles = Profiles(aws.dynamodb, aws.table("profiles"))
        self.ledger = Ledger(aws.dynamodb, aws.table("messages"), aws.clock, 86_400)
        self.ada = self.profiles.upsert([("user_id", "ada")], {"email": EMAIL, "phone": "+491711234567"}, aws.clock())
        self.desk = Desk(LINKS, self.profiles, self.ledger, Queue(aws.sqs, aws.queue("engagements")), aws.clock)

    def sent(self) -> None:
        """The message is in the ledger."""
        now = self.aws.clock()
        job = MessageJob(
            message_id=MESSAGE,
            trigger="cart",
            trigger_version=1,
            visit_id="v",
            profile_id=self.ada,
            decided="send",
            campaign="c",
            delivery="d",
            template="t",
            integration="postbird",
            decided_at=now,
            anchor_at=now,
            valid_until=now,
        )
        in_ledger(self.aws, job, sent_to=f"email#{address_hash('email', EMAIL)}")

    def link(self, channel: str = "email") -> dict[str, str]:
        """The parameters in the path of the link that was in the message."""
        path = urlsplit(LINKS.unsubscribe(MESSAGE, self.ada, channel)).path
        found = re.fullmatch("/v1/unsubscribe/([^/]+)/([^/]+)/([^/]+)/([^/]+)", path)
        assert found
        return dict(zip(("message_id", "profile_id", "channel", "signature"), found.groups(), strict=True))

    def ask(self, sample: Mapping[str, object], **parameters: str) -> dict[str, object]:
        """A request like this sample, by Ada's link unless it says otherwise."""
        return answer({**sample, "pathParameters": {**self.link(), **parameters}}, self.desk)

    def suppressed(self) -> dict[str, str]:
        """What Ada gets no more of."""
        found = self.profiles.get(self.ada)
        assert found is not None
        return found.suppressed

    def told(self) -> list[EngagementsJob]:
        """What `record_engagement` is told."""
        return [EngagementsJob.model_validate_json(body) for body in self.aws.received("engagements")]

    def record(self) -> None:
        """The ledger knows what `record_engagement` is told."""
        for job in self.told():
            self.ledger.record(MESSAGE, job.engagements, [Hop(at=self.aws.clock(), hop="record_engagement", what="unsubscribed")])


@pytest.fixture
def world(aws: Aws) -> World:
    made = World(aws)
    made.sent()
    return made


class Page(HTMLParser):
    """What is on a page."""

    def __init__(self, given: dict[str, object]) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(str(given["body"]))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for one, attributes in self.tags if one == tag]


def test_to_look_changes_nothing(world: World) -> None:
    given = world.ask(LOOK)
    assert given["statusCode"] == 200
    assert world.suppressed() == {}
    assert world.told() == []


def test_the_page_has_a_button_that_posts_what_mail_programs_post_and_needs_no_script(world: World) -> None:
    page = Page(world.ask(LOOK))
    assert page.all("form") == [{"method": "post"}]
    assert page.all("input") == [{"type": "hidden", "name": "List-Unsubscribe", "value": "One-Click"}]
    assert len(page.all("button")) == 1
    assert not page.all("script")
    assert {"name": "robots", "content": "noindex, nofollow"} in page.all("meta")


@pytest.mark.parametrize("sample", [LOOK, ONE_CLICK])
def test_the_page_is_in_no_index_and_loads_nothing(world: World, sample: dict[str, object]) -> None:
    headers = cast("dict[str, str]", world.ask(sample)["headers"])
    assert headers["x-robots-tag"] == "noindex, nofollow"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "private, no-store"
    assert "set-cookie" not in headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"


def test_one_click_is_enough(world: World) -> None:
    given = world.ask(ONE_CLICK)
    assert given["statusCode"] == 200
    assert "no more emails" in str(given["body"])
    assert world.suppressed() == {"email": "unsubscribed"}
    [[told]] = [job.engagements for job in world.told()]
    assert (told.message_id, told.integration, told.type, told.at) == (MESSAGE, "postbird", "unsubscribed", world.aws.clock())


def test_each_channel_has_links_of_its_own(world: World) -> None:
    assert "no more text messages" in str(world.ask(ONE_CLICK, **world.link("sms"))["body"])
    assert world.suppressed() == {"sms": "unsubscribed"}


def test_it_is_told_once_however_often_they_click(world: World) -> None:
    world.ask(ONE_CLICK)
    world.record()
    assert list(message.engagements.values() if (message := world.ledger.read(MESSAGE)) else ()) == ["unsubscribed"]
    given = world.ask(ONE_CLICK)
    assert given["statusCode"] == 200
    assert world.told() == []


def test_who_opted_in_again_can_opt_out_again_by_the_same_link(world: World) -> None:
    world.ask(ONE_CLICK)
    world.record()
    world.aws.clock.forward(60)
    world.profiles.allow("email", EMAIL, world.aws.clock(), "a form")
    assert world.suppressed() == {}
    world.aws.clock.forward(60)
    world.ask(ONE_CLICK)
    assert world.suppressed() == {"email": "unsubscribed"}


def test_the_link_works_when_the_ledger_has_forgotten_the_message(world: World) -> None:
    world.aws.dynamodb.delete_item(TableName=world.aws.table("messages"), Key={"pk": {"S": MESSAGE}})
    world.aws.clock.forward(timedelta(days=5000).total_seconds())
    assert world.ask(ONE_CLICK)["statusCode"] == 200
    assert world.suppressed() == {"email": "unsubscribed"}
    assert world.told() == []


def test_of_a_person_who_was_erased_nothing_is_made_but_their_address_is_stopped(world: World) -> None:
    world.aws.dynamodb.delete_item(TableName=world.aws.table("profiles"), Key={"pk": {"S": f"profile#{world.ada}"}})
    assert world.ask(ONE_CLICK)["statusCode"] == 200
    assert world.profiles.get(world.ada) is None
    assert [one.reason for one in world.profiles.suppressions_of("email", EMAIL)] == ["unsubscribed"]


@pytest.mark.parametrize("sample", [LOOK, ONE_CLICK])
@pytest.mark.parametrize(
    "change",
    [
        {"signature": "AAAAAAAAAAAAAAAAAAAAAA"},
        {"signature": ""},
        {"signature": "é"},
        {"signature": LINKS.signature("mirror", MESSAGE)},
        {"message_id": "m_2"},
        {"profile_id": "p_2"},
        {"channel": "sms"},
    ],
)
def test_a_link_that_is_not_ours_says_nothing(world: World, sample: dict[str, object], change: dict[str, str]) -> None:
    given = world.ask(sample, **change)
    assert given["statusCode"] == 404
    assert not Page(given).all("form")
    assert world.suppressed() == {}
    assert world.told() == []


def test_a_link_cannot_be_cut_elsewhere(world: World) -> None:
    """What is signed has slashes between its parts; a part has none."""
    link = world.link()
    moved = {"message_id": f"{link['message_id']}/{link['profile_id']}", "profile_id": link["channel"], "channel": ""}
    signature = LINKS.signature("unsubscribe", "a/b/c/email")
    assert world.ask(ONE_CLICK, **moved)["statusCode"] == 404
    assert world.ask(ONE_CLICK, message_id="a/b", profile_id="c", signature=signature)["statusCode"] == 404
    assert world.ask(ONE_CLICK, message_id="a", profile_id="b/c", signature=signature)["statusCode"] == 404


def test_a_channel_that_there_is_not_is_not_ours(world: World) -> None:
    assert world.ask(ONE_CLICK, **world.link("pigeon"))["statusCode"] == 404


def test_without_parameters_there_is_no_page(world: World) -> None:
    assert answer({"requestContext": {"http": {"method": "GET"}}}, world.desk)["statusCode"] == 404


def test_the_opt_out_is_written_though_the_queue_fails(world: World) -> None:
    class Broken(Queue):
        def __init__(self) -> None:
            """Reaches nothing."""

        def send(self, body: object, *, delay: int = 0) -> None:
            raise Transient("the queue is away")

    world.desk = replace(world.desk, engagements=Broken())
    with pytest.raises(Transient):
        world.ask(ONE_CLICK)
    assert world.suppressed() == {"email": "unsubscribed"}


def test_killed_at_any_moment_and_tried_again_all_is_done(aws: Aws) -> None:
    for moment in range(100):
        world = World(Aws())
        world.sent()
        executioner = Executioner(moment)
        for client in (world.aws.dynamodb, world.aws.sqs):
            executioner.watch(client)
        with contextlib.suppress(Killed):
            world.ask(ONE_CLICK)
        for client in (world.aws.dynamodb, world.aws.sqs):
            executioner.unwatch(client)
        world.ask(ONE_CLICK)
        assert world.suppressed() == {"email": "unsubscribed"}, moment
        assert len({engagement.id for job in world.told() for engagement in job.engagements}) == 1
        if executioner.calls <= moment:
            break
    assert 8 < moment < 99


@pytest.fixture
def deployed(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The handler has the settings of this deployment."""
    aws = world.aws
    settings = Settings(
        environment="test",
        profiles_table=aws.table("profiles"),
        messages_table=aws.table("messages"),
        retention_days=1,
        secret_prefix=aws.secret_prefix,
        base_url=URL,
        engagements_queue_url=aws.queue("engagements"),
    )
    for name, value in settings.to_environment().items():
        monkeypatch.setenv(name, value)
    aws.secretsmanager.create_secret(Name=f"{aws.secret_prefix}/links", SecretString='{"key": "key"}')
    handler._desk.cache_clear()
    return world


def handled(event: dict[str, object]) -> dict[str, object]:
    given = handler.handle(event, None)
    handler._desk.cache_clear()
    assert isinstance(given, dict)
    assert json.loads(json.dumps(given)) == given
    return given


def test_the_handler_reads_its_settings_and_the_key(deployed: World) -> None:
    assert handled({**ONE_CLICK, "pathParameters": deployed.link()})["statusCode"] == 200
    assert deployed.suppressed() == {"email": "unsubscribed"}


@pytest.mark.parametrize("sample", [LOOK, ONE_CLICK])
def test_the_samples_have_forged_links(deployed: World, sample: dict[str, object]) -> None:
    assert handled(dict(sample))["statusCode"] == 404


def test_what_fails_is_asked_to_be_tried_again(deployed: World) -> None:
    deployed.aws.dynamodb.delete_table(TableName=deployed.aws.table("profiles"))
    given = handled({**ONE_CLICK, "pathParameters": deployed.link()})
    assert given["statusCode"] == 503
    assert "try" in str(given["body"])
