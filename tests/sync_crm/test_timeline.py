"""What a contact's timeline shows, and that it shows it once."""

from __future__ import annotations

from tests.sandbox.dynamics_store import SALES_USER
from tests.sync_crm.conftest import World

ADAS = ("sent", "opened", "clicked")


def test_a_contact_has_an_activity_for_each_engagement_and_a_task_for_a_click(world: World) -> None:
    assert world.sync(*(world.job("ada", kind) for kind in ADAS), world.job("grace", "bounced")) == 0
    assert world.timeline("ada") == ["sb_emailclick", "sb_emailopen", "sb_emailsend", "task"]
    assert world.timeline("grace") == ["sb_emailbounce", "task"]


def test_an_activity_says_what_the_form_of_its_kind_shows(world: World) -> None:
    world.sync(world.job("ada", "clicked"), crm=world.compose(owner=SALES_USER))
    row = world.row("ada", "sb_emailclick")
    assert row["subject"] == "2026LoyaltyCamp / DM190"
    assert row["_ownerid_value"] == SALES_USER
    assert row["_regardingobjectid_value"] == world.contacts["ada"]
    assert row["sb_campaignname"] == "2026LoyaltyCamp"
    assert row["sb_deliveryname"] == "DM190"
    assert row["sb_eventdate"] == "2026-11-21T11:58:30Z"
    assert row["sb_mirrorpageurl"] == "https://api.example.com/v1/mirror/m_1/sig"
    assert row["sb_trackingurl"] == "https://shop.example.com/cart"


def test_a_click_has_a_follow_up_with_a_due_date_that_names_the_email(world: World) -> None:
    world.sync(world.job("ada", "clicked"))
    task = world.row("ada", "task")
    assert task["subject"] == "Follow up the click in 2026LoyaltyCamp / DM190"
    assert task["scheduledend"] == "2026-11-23T11:58:30Z"
    assert "https://shop.example.com/cart" in str(task["description"])


def test_a_bounce_says_why_and_has_a_task_to_mend_the_address(world: World) -> None:
    world.sync(world.job("grace", "bounced"))
    assert world.row("grace", "sb_emailbounce")["description"] == "550 5.1.1 no such mailbox"
    assert str(world.row("grace", "task")["subject"]).startswith("Mend the email address")


def test_tasks_can_be_switched_off(world: World) -> None:
    crm = world.compose(follow_up_clicks=False, follow_up_bounces=False)
    world.sync(world.job("ada", "clicked"), world.job("grace", "bounced"), crm=crm)
    assert world.timeline("ada") + world.timeline("grace") == ["sb_emailclick", "sb_emailbounce"]


def test_repeats_and_any_order_make_one_activity_and_one_hop_each(world: World) -> None:
    jobs = [world.job("ada", kind) for kind in ADAS]
    world.sync(*jobs[::-1], *jobs)
    for job in jobs:
        assert world.sync(job, crm=world.compose()) == 0
    assert world.timeline("ada") == ["sb_emailclick", "sb_emailopen", "sb_emailsend", "task"]
    assert sorted(str(hop.data["type"]) for hop in world.trace("ada")) == sorted(ADAS)


def test_the_trace_has_status_and_duration(world: World) -> None:
    world.sync(world.job("ada", "sent"))
    (hop,) = world.trace("ada")
    assert (hop.what, hop.data["status"], hop.data["destination"]) == ("written", 204, "dynamics")
    assert isinstance(hop.data["milliseconds"], int)


def test_one_request_writes_a_whole_batch(world: World) -> None:
    world.sync(world.job("ada", "sent"))
    before = len(world.sandbox.faults.calls)
    world.sync(*(world.job("ada", "sent", engagement_id=f"e_{n}") for n in range(9)))
    assert len(world.sandbox.faults.calls) == before + 1


def test_values_longer_than_their_columns_are_cut(world: World) -> None:
    long = world.job("ada", "clicked", campaign="\U0001f600" * 300, url="https://shop.example.com/" + "x" * 3000)
    assert world.sync(long) == 0
    assert world.timeline("ada") == ["sb_emailclick", "task"]
    assert str(world.row("ada", "sb_emailclick")["subject"]) == "\U0001f600" * 100


def test_text_that_looks_like_a_batch_is_only_text(world: World) -> None:
    world.sync(world.job("ada", "clicked", url="https://x/\r\n--batch_x--\r\nPATCH /"))
    assert world.row("ada", "sb_emailclick")["sb_trackingurl"] == "https://x/\r\n--batch_x--\r\nPATCH /"


def test_times_of_the_far_past_and_future_are_written_as_far_as_dynamics_goes(world: World) -> None:
    world.sync(
        world.job("ada", "opened", at="0001-01-01T00:00:00Z"),
        world.job("ada", "clicked", at="9999-12-31T23:59:59Z"),
    )
    assert world.row("ada", "sb_emailopen")["sb_eventdate"] == "1753-01-01T00:00:00Z"
    assert world.row("ada", "task")["scheduledend"] == "9000-01-03T00:00:00Z"
