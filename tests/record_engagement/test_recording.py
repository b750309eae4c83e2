"""What an engagement changes, and that it changes it once."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from shared.jobs import EngagementsJob
from shared.person import address_hash
from shared.queues import Queue
from tests.crash import Executioner, Killed
from tests.record_engagement.conftest import AUTH, World, sample


def test_the_sample_is_recorded_synchronised_and_acted_upon(world: World) -> None:
    assert world.handle(world.aws.delivery("engagements", sample())) == 0
    assert world.message("ada").engagements == {"e_open": "opened"}
    assert world.message("grace").engagements == {"e_bounce": "bounced"}
    assert sorted(job.engagement_id for job in world.crm_jobs()) == ["e_bounce", "e_open"]
    assert world.profile("grace").suppressed == {"email": "hard bounce 550"}
    assert world.profile("ada").suppressed == {}


def test_the_trace_says_when_it_happened_how_late_we_knew_and_why(world: World) -> None:
    world.handle(world.aws.delivery("engagements", sample()))
    (opened,) = world.trace("ada")
    assert opened.what == "opened"
    assert opened.data["happened_at"] == "2026-11-21T11:58:00.000Z"
    assert opened.data["arrived_after_seconds"] == 60
    (bounced,) = world.trace("grace")
    assert bounced.reason == "hard 550 5.1.1 <(address)> no such mailbox"


def test_what_the_crm_is_told(world: World) -> None:
    world.record(world.engagement("ada", "clicked", url="https://shop.example.com/cart"))
    (job,) = world.crm_jobs()
    assert (job.campaign, job.delivery, job.type) == ("2026LoyaltyCamp", "DM190", "clicked")
    assert (job.profile_id, job.url) == (world.people["ada"], "https://shop.example.com/cart")
    assert job.mirror_url == world.books.links.mirror("m_ada")


def test_repeats_in_any_order_change_nothing(world: World) -> None:
    kinds = ["sent", "delivered", "opened", "clicked"]
    engagements = [world.engagement("ada", kind) for kind in kinds]
    world.record(*engagements[::-1], *engagements)
    first = world.crm_jobs()
    chance = random.Random(7)
    for _ in range(5):
        chance.shuffle(engagements)
        assert world.record(*engagements) == 0
    assert sorted(hop.what for hop in world.trace("ada")) == sorted(kinds)
    assert sorted(job.type for job in first) == ["clicked", "opened", "sent"]
    assert world.crm_jobs() == []


@pytest.mark.parametrize(
    ("kind", "hard", "reason"),
    [
        ("bounced", True, "hard bounce"),
        ("complained", False, "complained"),
        ("unsubscribed", False, "unsubscribed"),
        ("bounced", False, None),
        ("deferred", False, None),
    ],
)
def test_who_gets_no_more_mail(world: World, kind: str, hard: bool, reason: str | None) -> None:
    world.record(world.engagement("ada", kind, hard=hard))
    assert world.profile("ada").suppressed == ({"email": reason} if reason else {})


def test_who_stops_text_messages_still_gets_mail(world: World) -> None:
    world.person("eve", "sms#")
    world.record(world.engagement("eve", "unsubscribed"))
    assert world.profile("eve").suppressed == {"sms": "unsubscribed"}


def test_a_bounce_is_of_the_address_that_the_message_went_to(world: World) -> None:
    old = address_hash("email", "old@example.com")
    world.person("eve", f"email#{old}")
    world.record(world.engagement("eve", "bounced", hard=True, code="550"))
    assert world.profile("eve").suppressed == {}
    assert [one.reason for one in world.profiles.suppressions_of("email", "old@example.com")] == ["hard bounce 550"]


def test_a_soft_bounce_is_on_the_trace_and_not_in_the_crm(world: World) -> None:
    world.record(world.engagement("ada", "bounced", code="421", reason="try later"))
    assert [hop.reason for hop in world.trace("ada")] == ["soft 421 try later"]
    assert world.crm_jobs() == []


def test_an_unknown_message_is_parked_alone_and_can_be_redriven(world: World) -> None:
    stray = world.engagement("ada", "opened", message_id="m_nobody")
    assert world.record(stray, world.engagement("ada", "opened")) == 0
    (parked,) = world.aws.received_messages("engagements-parked")
    assert "sent no message 'm_nobody'" in parked["MessageAttributes"]["reason"]["StringValue"]
    assert EngagementsJob.model_validate_json(parked["Body"]).engagements == (stray,)
    assert [hop.what for hop in world.trace("ada")] == ["opened"]


def test_a_destination_gets_what_it_lists(world: World) -> None:
    world.aws.define("destination", name="dynamics", url="https://org.example.com", auth=AUTH, events=["opened"])
    world.record(world.engagement("ada", "opened"), world.engagement("ada", "clicked"))
    assert [job.type for job in world.crm_jobs()] == ["opened"]


def test_a_destination_without_a_queue_is_reported_and_delays_no_other(
    world: World, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    world.aws.define("destination", name="another", url="https://another.example.com", auth=AUTH)
    assert world.record(world.engagement("ada", "opened")) == 0
    assert [job.destination for job in world.crm_jobs()] == ["dynamics"]
    assert "destination has no queue" in caplog.text
    assert '"Misconfigured"' in capsys.readouterr().out


def test_a_message_has_at_most_two_hundred_engagements_and_says_so_once(world: World) -> None:
    for start in range(0, 300, 75):
        world.record(*(world.engagement("ada", "clicked", id=f"e_{n}") for n in range(start, start + 75)))
    assert len(world.message("ada").engagements) == 200
    assert len(world.crm_jobs()) == 200
    assert [hop.reason for hop in world.trace("ada") if hop.what == "ignored"] == ["more than 200 engagements: no more are kept"]


def test_an_opt_out_counts_even_beyond_the_two_hundred(world: World) -> None:
    world.record(*(world.engagement("ada", "clicked", id=f"e_{n}") for n in range(200)))
    world.record(world.engagement("ada", "unsubscribed"))
    assert world.profile("ada").suppressed == {"email": "unsubscribed"}


def test_two_functions_at_once_record_an_engagement_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    engagement = world.engagement("ada", "opened")
    event = world.aws.delivery("engagements", EngagementsJob(engagements=(engagement,)))
    read_before = world.ledger.read_all(["m_ada"])
    world.record(engagement)
    with monkeypatch.context() as slower:
        slower.setattr(world.ledger, "read_all", lambda _: read_before)
        assert world.handle(event) == 1
    assert world.handle(event) == 0
    assert [hop.what for hop in world.trace("ada")] == ["opened"]


def test_a_crm_queue_that_does_not_answer_makes_all_come_back(world: World) -> None:
    gone = Queue(world.aws.sqs, world.aws.queue("crm-dynamics") + "-gone")
    world.books = replace(world.compose(), crm_queues={"dynamics": gone})
    event = world.aws.delivery("engagements", sample())
    assert world.handle(event) == 1
    assert world.trace("ada") == []
    world.books = world.compose()
    assert world.handle(event) == 0
    assert len(world.crm_jobs()) == 2


def test_killed_at_any_moment_every_effect_is_there_once(world: World) -> None:
    """Each round is about another person, and is killed at the next moment, then delivered again."""
    moment = 0
    while True:
        name = f"person{moment}"
        world.person(name)
        engagements = (
            world.engagement(name, "bounced", hard=True),
            world.engagement(name, "opened"),
            world.engagement(name, "opened", message_id=f"m_stray{moment}"),
        )
        event = world.aws.delivery("engagements", EngagementsJob(engagements=engagements))
        survived = not killed(world, event, Executioner(moment))
        assert world.handle(event) == 0
        assert sorted(hop.what for hop in world.trace(name)) == ["bounced", "opened"]
        assert world.profile(name).suppressed == {"email": "hard bounce"}
        assert {job.engagement_id for job in world.crm_jobs()} == {f"e_{name}_bounced", f"e_{name}_opened"}
        assert len(world.aws.received("engagements-parked")) >= 1
        moment += 1
        if survived:
            break
    assert moment > 10


def killed(world: World, event: dict[str, object], executioner: Executioner) -> bool:
    clients = (world.aws.dynamodb, world.aws.sqs)
    for client in clients:
        executioner.watch(client)
    try:
        world.handle(event)
    except Killed:
        return True
    finally:
        for client in clients:
            executioner.unwatch(client)
    return False


def test_no_esp_speaks_for_another(world: World) -> None:
    foreign = world.engagement("grace", "bounced", hard=True).model_copy(update={"integration": "another-esp"})
    world.record(foreign, world.engagement("grace", "opened"))
    assert sorted(world.message("grace").engagements.values()) == ["opened"]
    assert world.profile("grace").suppressed == {}
    (parked,) = world.aws.received_messages("engagements-parked")
    assert parked["MessageAttributes"]["reason"]["StringValue"].startswith("another-esp sent no message")
