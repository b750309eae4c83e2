from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import JsonValue

from shared.claims import Fresh
from shared.clock import iso
from shared.errors import Misconfigured, SendbridgeError, Transient, Unknown
from shared.exchange import Response
from shared.jobs import EngagementsJob
from shared.ledger_rows import Claim
from shared.person import Suppression, address_hash
from tests.aws import Aws
from tests.send_message.world import INTEGRATION, LEASE, TEMPLATE, TRIGGER, World


@pytest.fixture
def world(aws: Aws) -> World:
    return World(aws)


def without_key(world: World) -> None:
    world.define("integration", INTEGRATION, idempotency_header="")


def test_a_message_is_rendered_posted_and_settled(world: World) -> None:
    job = world.job()
    world.aws.clock.forward(1.5)
    assert world.deliver(job) == 0
    (body,) = world.esp.bodies()
    link = world.outbox.links.mirror("m_1")
    html = f"<p>Ada: Lamp</p><a href='{link}'>see</a>"
    assert body == {
        "from": {"email": "shop@example.com"},
        "to": {"email": "ada@example.com", "name": "Ada"},
        "subject": "Ada, your cart",
        "html": html,
        "text": "Lamp",
        "metadata": {"message_id": "m_1"},
    }
    message = world.message()
    assert (message.status, message.esp_message_id, message.attempts) == ("sent", "pb_1", 1)
    assert [hop.hop for hop in message.trace] == ["match_triggers", "send_message"]
    figures = message.trace[-1].data
    assert figures["host"] == "api.postbird.example"
    assert (figures["status"], figures["milliseconds"], figures["esp_calls"]) == (202, 4, 1)
    assert (figures["seconds_after_decision"], figures["seconds_after_deadline"]) == (1.5, 1.5)
    kept = world.mirrors.read(message.claim.kept)
    assert kept is not None
    assert kept.html == html
    (engagement,) = world.engagements()
    assert (engagement.type, engagement.message_id, engagement.at) == ("sent", "m_1", world.aws.clock())


def test_a_text_message_goes_to_the_phone_and_says_how_many_segments_it_takes(world: World) -> None:
    world.define("template", {"name": "cart", "text": "Hi {{ profile.first_name }} " + "x" * 160})
    sms = INTEGRATION | {"channel": "sms", "body": {"to": "{{ to }}", "text": "{{ message.text }}"}}
    world.define("integration", sms, headers={"X-Segments": "{{ message.segments }}"})
    assert world.deliver(world.job(profile_id=world.person(phone="+491701234567"))) == 0
    assert world.esp.bodies() == [{"to": "+491701234567", "text": "Hi Ada " + "x" * 160}]
    assert world.esp.requests[0].headers["x-segments"] == "2"
    assert world.message().trace[-1].data["segments"] == 2


def test_a_text_message_of_too_many_segments_is_parked_with_their_number(world: World) -> None:
    world.define("template", {"name": "cart", "text": "x" * 161})
    world.define("integration", INTEGRATION | {"body": {"text": "{{ message.text }}"}}, channel="sms", max_segments=1)
    world.deliver(world.job(profile_id=world.person(phone="+491701234567")))
    reason = "template 'cart', text: it takes 2 segments, and the integration allows 1"
    assert world.why() == ("parked", "parked", reason)
    assert world.esp.requests == []


def test_the_trace_and_the_logs_hold_no_address_and_no_name(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.esp.script = [Response(422, {}, b'{"error": {"code": "bad", "message": "ada@example.com, Ada"}}')]
    world.deliver(world.job())
    said = world.message().trace[-1].model_dump_json() + capsys.readouterr().out
    assert "bad" in said
    assert "ada@" not in said
    assert '"Ada' not in said


def test_a_decision_not_to_send_is_recorded(world: World) -> None:
    assert world.deliver(world.job(decided="skip", reason="no profile", profile_id=None)) == 0
    assert world.why() == ("skipped", "skipped", "no profile")
    assert world.esp.requests == []


def skips(world: World, reason: str, **changes: object) -> None:
    assert world.deliver(world.job(**changes)) == 0
    assert world.why() == ("skipped", "skipped", reason)
    assert world.esp.requests == []
    assert world.engagements() == []


def test_a_message_that_is_no_longer_valid_is_skipped(world: World) -> None:
    skips(world, "no longer valid", valid_until=world.aws.clock() - timedelta(seconds=1))


def test_an_order_after_the_decision_is_an_exit_and_the_trace_says_how_it_came(world: World) -> None:
    job = world.job()
    world.ordered(job)
    skips(world, "order placed")
    assert [hop.what for hop in world.message().trace] == ["fired", "skipped"]
    world.deliver(job)
    assert [hop.what for hop in world.message().trace] == ["fired", "skipped"]


def test_the_ledger_knows_where_it_went_but_no_address(world: World) -> None:
    world.deliver(world.job())
    assert world.message().claim.sent_to == f"email#{address_hash('email', 'ada@example.com')}"


def test_what_waits_for_an_unpublished_trigger_is_skipped(world: World) -> None:
    world.undefine("trigger", "abandoned")
    skips(world, "the trigger was unpublished")
    world.undefine("template", "cart")
    world.deliver(world.job(message_id="m_2"))
    assert world.why("m_2") == ("skipped", "skipped", "the trigger was unpublished")


def test_while_the_trigger_is_paused_messages_wait_and_then_go_with_the_newest_content(world: World) -> None:
    world.define("trigger", TRIGGER, enabled=False)
    job = world.job()
    for _ in range(2):
        assert world.deliver(job, receives=2) == 1
    assert world.why() == ("waiting", "waits", "the trigger abandoned is paused")
    assert len(world.message().trace) == 2
    world.define("template", TEMPLATE, subject="What is new")
    world.define("trigger", TRIGGER)
    assert world.deliver(job, receives=3) == 0
    (sent,) = world.esp.bodies()
    assert sent["subject"] == "What is new"  # type: ignore[index,call-overload]  # it is a dict
    assert [hop.what for hop in world.message().trace] == ["fired", "waits", "sent"]


def test_a_paused_trigger_s_messages_wait_until_they_are_too_old_and_hold_no_slot(world: World) -> None:
    world.define("trigger", TRIGGER, enabled=False, cap={"times": 1})
    who = world.person()
    job = world.job(profile_id=who, valid_until=world.aws.clock() + timedelta(seconds=100))
    assert world.deliver(job) == 1
    found = world.profiles.get(who)
    assert found is not None
    assert found.sends == {}
    world.aws.clock.forward(101)
    assert world.deliver(job, receives=2) == 0
    assert world.why() == ("skipped", "skipped", "no longer valid")


@pytest.mark.parametrize(
    ("receives", "seconds"),
    [(1, 5), (2, 10), (6, 160), (7, 300), (100, 300), (101, 14 * 86_400 / 79), (179, 14 * 86_400), (999, 14 * 86_400)],
)
def test_what_waits_is_looked_at_soon_and_then_ever_less_so_that_sqs_does_not_park_it(
    world: World, monkeypatch: pytest.MonkeyPatch, receives: int, seconds: float
) -> None:
    waited: list[float | None] = []

    def patience(error: Transient, *_: object) -> int:
        waited.append(error.retry_after)
        return 1

    monkeypatch.setattr("shared.queues.patience", patience)
    world.define("trigger", TRIGGER, enabled=False)
    world.deliver(world.job(valid_until=world.aws.clock() + timedelta(days=14)), receives=receives)
    assert waited == [pytest.approx(seconds, abs=2)]


def test_an_erased_profile_is_skipped(world: World) -> None:
    skips(world, "no profile", profile_id="p_gone")


@pytest.mark.parametrize(
    ("email", "reason"),
    [
        ("", "no email address"),
        (None, "no email address"),
        (7, "no email address"),
        ("ada", "the email address is not valid"),
        ("ada@example", "the email address is not valid"),
        ("ada@-example.com", "the email address is not valid"),
        ("ada@example..com", "the email address is not valid"),
        ("a b@example.com", "the email address is not valid"),
        ("ada@example.com,grace@example.com", "the email address is not valid"),
        ("Ada <ada@example.com>", "the email address is not valid"),
        ("ada@example.com\r\nBcc: x@example.com", "the email address is not valid"),
        ("a" * 65 + "@example.com", "the email address is not valid"),
        ("ada@" + "a." * 130 + "com", "the email address is not valid"),
    ],
)
def test_an_address_that_cannot_be_written_to_is_skipped(world: World, email: JsonValue, reason: str) -> None:
    skips(world, reason, profile_id=world.person(email=email))


@pytest.mark.parametrize("email", ["ada+carts@mail.example.co.uk", "o'neil@example.com", "jörg@bücher.example"])
def test_an_unusual_address_is_written_to(world: World, email: str) -> None:
    world.deliver(world.job(profile_id=world.person(email=email)))
    assert world.message().status == "sent"


def test_a_suppressed_person_is_skipped(world: World) -> None:
    profile = world.person()
    now = world.aws.clock()
    world.profiles.suppress(profile, Suppression("sms", "manual", "stop", now, "a test"))
    world.profiles.suppress(profile, Suppression("email", "bounced", "hard bounce", now, "a test"))
    skips(world, "suppressed: hard bounce", profile_id=profile)


def test_the_checks_have_an_order(world: World) -> None:
    late = world.aws.clock() - timedelta(seconds=1)
    skips(world, "no longer valid", valid_until=late, profile_id=None)


def test_an_open_circuit_is_waited_for_without_a_trace(world: World) -> None:
    world.outbox.circuits.failed("integration#postbird", Transient("down", retry_after=30))
    assert world.deliver(world.job()) == 1
    assert world.ledger.read("m_1") is None
    assert world.esp.requests == []


def test_too_little_time_is_no_time(world: World) -> None:
    assert world.deliver(world.job(), remaining=12) == 1
    assert world.ledger.read("m_1") is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Transient("no connection"), "no connection"),
        (Response(429, {"retry-after": "9"}), "the ESP answered HTTP 429"),
        (Response(503), "the ESP answered HTTP 503"),
        (Misconfigured("not a public host"), "not a public host"),
        (Response(403), "the ESP answered HTTP 403"),
    ],
)
@pytest.mark.parametrize("keyed", [True, False])
def test_what_surely_did_not_go_out_waits_and_is_rendered_anew(
    world: World, answer: Response | SendbridgeError, reason: str, keyed: bool
) -> None:
    if not keyed:
        without_key(world)
    world.esp.script = [answer]
    job = world.job()
    assert world.deliver(job) == 1
    assert world.why() == ("waiting", "waits", reason)
    world.define("template", TEMPLATE, subject="Anew")
    world.aws.clock.forward(120)
    assert world.deliver(job) == 0
    assert world.message().status == "sent"
    assert [body["subject"] for body in world.esp.bodies() if isinstance(body, dict)] == ["Ada, your cart", "Anew"]


UNKNOWN = [Unknown("no answer"), Response(200, {}, b"<html>"), Response(200, {}, b"{}"), RuntimeError("a bug"), Response(502)]


@pytest.mark.parametrize("answer", UNKNOWN, ids=repr)
def test_what_perhaps_went_out_is_posted_again_byte_for_byte(world: World, answer: Response | Exception) -> None:
    world.esp.script = [answer, Transient("no connection")]
    job = world.job()
    assert world.deliver(job) == 1
    assert world.message().status == "unknown"
    world.define("template", TEMPLATE, subject="Anew")
    world.person(first_name="Augusta")
    for left in (1, 0):
        world.aws.clock.forward(LEASE + 1)
        assert world.deliver(job) == left
    assert world.message().status == "sent"
    first, *rest = world.esp.requests
    assert [again.body for again in rest] == [first.body, first.body]
    assert {request.headers["idempotency-key"] for request in world.esp.requests} == {"m_1"}


def test_a_refused_message_is_parked_and_rendered_anew_when_it_is_sent_back(world: World) -> None:
    world.esp.script = [Response(422, {}, b'{"error": {"code": "invalid_request", "field": "subject"}}')]
    job = world.job()
    assert world.deliver(job) == 0
    reason = "the ESP answered HTTP 422 (invalid_request, subject)"
    assert world.why() == ("parked", "parked", reason)
    assert world.parked() == [reason]
    world.define("template", TEMPLATE, subject="Mended")
    assert world.deliver(job) == 0
    assert world.message().status == "sent"


def test_a_template_that_misses_a_variable_is_parked_before_anything_is_sent(world: World) -> None:
    job = world.job(context={})
    assert world.deliver(job) == 0
    (reason,) = world.parked()
    assert reason == "template 'cart', html, line 1: 'cart.0.name' is undefined"
    assert world.why() == ("parked", "parked", reason)
    assert world.esp.requests == []


def test_what_cannot_be_read_is_parked(world: World) -> None:
    assert world.deliver('{"message_id": 1}', world.job()) == 0
    assert world.parked()[0].startswith("unreadable")
    assert world.message().status == "sent"


def test_misconfiguration_opens_the_circuit_and_is_counted(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.esp.script = [Response(403)]
    jobs = [world.job(message_id=f"m_{n}") for n in range(3)]
    assert world.deliver(*jobs) == 3
    assert len(world.esp.requests) == 1
    assert '"Misconfigured"' in capsys.readouterr().out


def test_a_missing_definition_waits(world: World) -> None:
    world.undefine("integration", "postbird")
    assert world.deliver(world.job()) == 1
    assert world.ledger.read("m_1") is None


def test_a_vendors_wait_opens_the_circuit_but_one_messages_wait_does_not(world: World) -> None:
    world.esp.script = [Response(409, {"retry-after": "1"})]
    assert world.deliver(world.job()) == 1
    assert world.deliver(world.job(message_id="m_2")) == 0
    world.esp.script = [Response(429, {"retry-after": "30"})]
    assert world.deliver(world.job(message_id="m_3"), world.job(message_id="m_4")) == 2
    assert len(world.esp.requests) == 3


def test_refusals_do_not_open_the_circuit(world: World) -> None:
    world.esp.script = [Response(422)] * 5
    world.deliver(*(world.job(message_id=f"m_{n}") for n in range(6)))
    assert len(world.esp.requests) == 6


def test_a_failing_esp_is_left_alone_after_three_failures(world: World) -> None:
    world.esp.script = [Response(503)] * 9
    assert world.deliver(*(world.job(message_id=f"m_{n}") for n in range(6))) == 6
    assert len(world.esp.requests) == 3


def test_timeouts_open_the_circuit(world: World) -> None:
    without_key(world)
    world.esp.script = [Unknown("no answer")] * 9
    assert world.deliver(*(world.job(message_id=f"m_{n}") for n in range(6))) == 6
    assert len(world.esp.requests) == 3
    assert sorted(world.message(f"m_{n}").status for n in range(6)) == ["unknown"] * 3 + ["waiting"] * 3


def test_a_message_that_another_delivery_has_is_left_to_it(world: World) -> None:
    job = world.job()
    claim = Claim("another", world.aws.clock().timestamp() + LEASE, "postbird", 1, world.aws.clock().timestamp())
    assert world.claims.insert([Fresh(job, "sending", claim)]) == [None]
    assert world.deliver(job) == 1
    assert world.esp.requests == []
    assert world.why()[1] == "fired"


def test_a_sent_message_is_not_sent_again_but_told_of(world: World) -> None:
    job = world.job()
    world.deliver(job)
    told = world.engagements()
    world.aws.clock.forward(100)
    assert world.deliver(job) == 0
    assert len(world.esp.requests) == 1
    assert world.engagements() == [told[0].model_copy()]


def test_a_batch_is_told_of_at_once(world: World) -> None:
    world.deliver(*(world.job(message_id=f"m_{n}") for n in range(5)))
    (body,) = world.aws.received("engagements")
    assert len(EngagementsJob.model_validate_json(body).engagements) == 5


def test_what_waited_may_be_skipped_later_with_its_reason(world: World) -> None:
    world.esp.script = [Response(503)]
    job = world.job()
    world.deliver(job)
    world.ordered(job)
    world.aws.clock.forward(60)
    assert world.deliver(job) == 0
    assert world.why() == ("skipped", "skipped", "order placed")
    assert [hop.what for hop in world.message().trace] == ["fired", "waits", "skipped"]


def test_sends_that_cannot_be_told_of_come_back(world: World) -> None:
    url = world.outbox.engagements.url
    world.outbox.engagements.url = url + "-gone"
    job = world.job()
    assert world.deliver(job) == 1
    world.outbox.engagements.url = url
    assert world.deliver(job) == 0
    assert len(world.esp.requests) == 1
    assert len(world.engagements()) >= 1


def test_a_job_that_is_sent_at_the_last_moment_is_valid(world: World) -> None:
    job = world.job(valid_until=world.aws.clock())
    assert iso(job.valid_until) == iso(world.aws.clock())
    world.deliver(job)
    assert world.message().status == "sent"
