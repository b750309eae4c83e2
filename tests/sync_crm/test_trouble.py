"""Dynamics down, slow, throttling, misconfigured; ourselves killed anywhere."""

from __future__ import annotations

import pytest

from shared.definitions import Destination
from shared.state import Leases
from shared.tokens import fingerprint, lease_name
from tests.crash import Executioner, Killed
from tests.sync_crm.conftest import World, definition

pytestmark = pytest.mark.slow

ADAS = ("sent", "opened", "clicked")
COMPLETE = ["sb_emailclick", "sb_emailopen", "sb_emailsend", "task"]


@pytest.mark.parametrize("mode", ["down", "500", "cut_before", "cut_after", "garbage", "429"])
@pytest.mark.parametrize("target", ["api", "token"])
def test_an_outage_delays_and_nothing_is_lost_or_written_twice(world: World, target: str, mode: str) -> None:
    world.sandbox.control("fail", target=target, mode=mode)
    event = world.aws.delivery("crm-dynamics", *(world.job("ada", kind) for kind in ADAS))
    for _ in range(3):
        assert world.handle(event) == 3
        world.aws.clock.forward(120)
    world.sandbox.control("clear")
    assert world.handle(event) == 0
    assert world.timeline("ada") == COMPLETE
    assert len(world.trace("ada")) == 3


def test_an_answer_that_was_lost_is_not_written_again(world: World) -> None:
    world.sync(world.job("grace", "sent"), world.job("ada", "delivered", type="sent"))
    world.sandbox.control("fail", target="api", mode="cut_after", times=1)
    event = world.aws.delivery("crm-dynamics", world.job("grace", "bounced"))
    assert world.handle(event) == 1
    assert world.handle(event) == 0
    assert world.timeline("grace") == ["sb_emailbounce", "sb_emailsend", "task"]
    assert len(world.trace("grace")) == 2


def test_a_wait_that_dynamics_asks_for_is_kept_by_everybody(world: World) -> None:
    world.sync(world.job("grace", "sent"))
    world.sandbox.control("fail", target="api", mode="429", times=1, retry_after=90)
    event = world.aws.delivery("crm-dynamics", world.job("ada", "sent"))
    assert world.handle(event) == 1
    calls = len(world.sandbox.faults.calls)
    other = world.compose()
    world.aws.clock.forward(89)
    assert world.handle(event, other) == 1
    assert len(world.sandbox.faults.calls) == calls
    world.aws.clock.forward(2)
    assert world.handle(event, other) == 0
    assert world.timeline("ada") == ["sb_emailsend"]


def test_an_open_circuit_is_not_called(world: World) -> None:
    world.sandbox.control("fail", target="api", mode="down")
    event = world.aws.delivery("crm-dynamics", world.job("ada", "sent"))
    for _ in range(20):
        world.handle(event)
    assert sum(call.target == "api" for call in world.sandbox.faults.calls) == 3


@pytest.mark.parametrize("mode", ["500", "down", "429"])
def test_one_operation_in_trouble_comes_back_alone(world: World, mode: str) -> None:
    world.sandbox.control("fail", target="operation", mode=mode, times=1, after=1)
    event = world.aws.delivery("crm-dynamics", *(world.job("ada", kind) for kind in ADAS))
    assert world.handle(event) == 1
    assert len(world.trace("ada")) == 2
    world.aws.clock.forward(60)
    assert world.handle(event) == 0
    assert world.timeline("ada") == COMPLETE
    assert len(world.trace("ada")) == 3


def test_a_refused_record_is_parked_with_the_vendors_words_and_without_personal_data(world: World) -> None:
    crm = world.compose(column_prefix="wrong_")
    assert world.sync(world.job("ada", "sent"), crm=crm) == 0
    (parked,) = world.aws.received_messages("crm-dynamics-parked")
    reason = parked["MessageAttributes"]["reason"]["StringValue"]
    assert reason.startswith("Dynamics: HTTP 400 0x80048d19")
    assert "wrong_campaignname" in reason
    assert "(link)" in reason
    assert [hop.reason for hop in world.trace("ada")] == [reason[:1000]]


def test_a_table_that_is_not_installed_waits_with_what_to_install_and_delays_no_other(
    world: World, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    crm = world.compose(activities={"sent": "sb_emailsend", "opened": "sb_nothing"})
    assert world.sync(world.job("ada", "sent"), world.job("ada", "opened"), crm=crm) == 1
    assert world.timeline("ada") == ["sb_emailsend"]
    assert "install the solution" in logged(caplog)
    assert '"Misconfigured"' in capsys.readouterr().out


def test_a_refused_look_up_parks_with_the_vendors_words(world: World) -> None:
    crm = world.compose(contact_key="emailaddress9")
    assert world.sync(world.job("ada", "sent"), world.job("grace", "sent"), crm=crm) == 0
    assert len(world.aws.received("crm-dynamics-parked")) == 2
    (hop,) = world.trace("ada")
    assert (hop.what, "emailaddress9" in hop.reason) == ("parked", True)


def test_waiting_for_somebody_elses_token_opens_no_circuit(world: World) -> None:
    leases = Leases(world.aws.dynamodb, world.aws.table("state"), world.aws.clock)
    auth = Destination.model_validate(definition(world.sandbox)).auth
    lease = lease_name("destination/dynamics", fingerprint(auth))
    assert leases.take(lease, 30)
    event = world.aws.delivery("crm-dynamics", world.job("ada", "sent"))
    for _ in range(5):
        assert world.handle(event) == 1
    leases.give_back(lease)
    world.aws.clock.forward(1)
    assert world.handle(event) == 0


def test_a_missing_right_waits_until_it_is_given(world: World) -> None:
    world.sandbox.control("settings", denied_tables=["sb_emailsend"])
    event = world.aws.delivery("crm-dynamics", world.job("ada", "sent"))
    assert world.handle(event) == 1
    world.sandbox.control("settings", denied_tables=[])
    world.aws.clock.forward(60)
    assert world.handle(event) == 0
    assert world.timeline("ada") == ["sb_emailsend"]


def test_a_revoked_token_is_renewed_once(world: World) -> None:
    world.sync(world.job("ada", "sent"))
    world.sandbox.control("revoke_tokens")
    assert world.sync(world.job("ada", "opened")) == 0
    assert world.timeline("ada") == ["sb_emailopen", "sb_emailsend"]
    assert world.sandbox.faults.traffic["token"].calls == 2


def test_wrong_credentials_wait_and_do_not_show_the_secret(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.sandbox.control("settings", client_secret="renewed~by~somebody")
    assert world.sync(world.job("ada", "sent")) == 1
    world.sandbox.control("settings", client_secret="dynamics~secret")
    assert "invalid_client" in logged(caplog)
    assert "dynamics~secret" not in logged(caplog)
    assert "ada@" not in logged(caplog)


def test_a_body_that_is_no_job_is_parked_and_its_neighbour_done(world: World) -> None:
    event = world.aws.delivery("crm-dynamics", "{}", world.job("ada", "sent"))
    assert world.handle(event) == 0
    (parked,) = world.aws.received_messages("crm-dynamics-parked")
    assert parked["MessageAttributes"]["reason"]["StringValue"].startswith("unreadable: ")
    assert world.timeline("ada") == ["sb_emailsend"]


def test_killed_at_any_moment_everything_is_there_once(world: World) -> None:
    """Each round is killed at the next moment, and then delivered again to a new process."""
    moment = 0
    while True:
        executioner = Executioner(moment)
        jobs = [world.job("ada", kind, engagement_id=f"e_{moment}_{kind}") for kind in ADAS]
        event = world.aws.delivery("crm-dynamics", *jobs)
        survived = killed_once(world, event, executioner)
        world.aws.clock.forward(60)
        assert world.handle(event, world.compose()) == 0
        moment += 1
        assert world.timeline("ada") == sorted(COMPLETE * moment)
        assert len(world.trace("ada")) == 3 * moment
        if survived:
            break
    assert moment > 12


def killed_once(world: World, event: dict[str, object], executioner: Executioner) -> bool:
    forgetful(world)
    executioner.watch(world.aws.dynamodb)
    try:
        world.handle(event, world.compose(executioner.sending))
    except Killed:
        return False
    finally:
        executioner.unwatch(world.aws.dynamodb)
    return True


def forgetful(world: World) -> None:
    """The contact has to be looked up again, so that this is among the moments too."""
    world.profiles.forget_contact(world.people["ada"], "dynamics", world.contacts["ada"])


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """Everything in the log, with every field."""
    return "\n".join(str(vars(record)) for record in caplog.records)
