"""`test`, `preview`, `publish`: an integration's life at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.exchange import Response
from shared.profiles import Profiles
from tests.admin_api.conftest import TOKEN, Vendors
from tests.admin_api.samples import PASSWORD
from tests.aws import Aws
from tests.cli.conftest import DEFINITIONS, Bridge, Run, Sendbridge

TO = ("--to", "ada@example.com")


@pytest.fixture
def applied(sendbridge: Sendbridge) -> Sendbridge:
    assert sendbridge("apply", "-f", DEFINITIONS).code == 0
    return sendbridge


def sent(run: Run) -> dict[str, object]:
    """The body of the request that a run shows."""
    found: dict[str, object] = json.loads(run.json["calls"][0]["request"]["body"])
    return found


def test_a_test_shows_everything_and_publishes(applied: Sendbridge) -> None:
    run = applied("test", "postbird", *TO, "--publish")
    assert run.code == 0
    lines = run.out.splitlines()
    assert lines[0] == "> POST http://127.0.0.1:8025/v1/messages"
    assert "> authorization: Bearer (secret)" in lines
    assert "< 202, after 0 ms" in lines or any(line.startswith("< 202, after") for line in lines)
    assert '< {"id": "pb_1", "status": "accepted"}' in lines
    assert any(line.split()[:2] == ["message.html", "message"] for line in lines)
    assert lines[-2:] == ["postbird, version 1: sent, as pb_1", "postbird: version 1 is in force."]
    assert PASSWORD not in run.out
    assert TOKEN not in run.out


def test_a_test_and_then_a_publication(applied: Sendbridge) -> None:
    assert applied("publish", "postbird").code == 2
    assert applied("test", "postbird", *TO).out.splitlines()[-1] == (
        "It is tested now: `sendbridge publish integration/postbird` puts it in force."
    )
    assert applied("publish", "postbird").out == "integration/postbird: version 1 is in force.\n"
    again = applied("--json", "test", "postbird", *TO, "--publish")
    assert (again.code, again.json["published"]) == (0, 1)


def test_what_was_not_sent_says_what_would_become_of_a_message(applied: Sendbridge, vendors: Vendors) -> None:
    token = Response(200, {}, b'{"access_token": "t"}')
    vendors.answers = [token, Response(429, {"retry-after": "7"}, b"")]
    run = applied("test", "postbird", *TO, "--publish")
    assert run.code == 1
    assert run.out.splitlines()[-1].startswith("postbird, version 1: not sent; a message would be tried again after 7 s: ")
    assert applied("publish", "postbird").code == 2


def test_a_preview_shows_the_request_and_the_variables(applied: Sendbridge, tmp_path: Path) -> None:
    context = tmp_path / "context.yaml"
    context.write_text("cart: [{name: Lamp, price: 10, quantity: 1}]\n")
    options = ("--template", "cart_abandoned", "--context", context, "--set", "first_name=Ada")
    run = applied("preview", "postbird", *TO, *options)
    assert run.code == 0
    lines = run.out.splitlines()
    assert lines[0] == "> POST http://127.0.0.1:8025/v1/messages"
    assert any(line.split() == ["profile.first_name", "profile", '"Ada"'] for line in lines)
    assert lines[-1] == "postbird, version 1: nothing was sent, this is what would be"


def test_a_preview_that_cannot_be_made_says_why(applied: Sendbridge, tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text('{"to": "{{ profile.nothing }}"}')
    run = applied("preview", "postbird", *TO, "--body", body)
    assert run.code == 1
    assert run.out.splitlines()[-1].endswith("without a value and a default: profile.nothing")


def test_files_take_the_place_of_what_is_stored(applied: Sendbridge, tmp_path: Path) -> None:
    body, message = tmp_path / "body.yaml", tmp_path / "message.yaml"
    body.write_text("to: '{{ to }}'\nliteral: ${HOME}\nenv: {env: HOME}\nsubject: '{{ message.subject }}'\n")
    message.write_text("subject: Hello\nhtml: <p>x</p>\n")
    run = applied("--json", "test", "postbird", *TO, "--body", body, "--message", message)
    assert sent(run) == {"to": "ada@example.com", "literal": "${HOME}", "env": {"env": "HOME"}, "subject": "Hello"}
    assert run.json["proven"] is False


def test_what_is_not_applied_yet_is_tried(applied: Sendbridge, tmp_path: Path) -> None:
    file = tmp_path / "other.yaml"
    file.write_text("kind: integration\nname: other\nurl: ${ESP_URL}/other\nbody: {to: '{{ to }}'}\n")
    run = applied("test", "other", *TO, "--file", file)
    assert (run.code, run.out.splitlines()[-1]) == (0, "other, not saved yet: sent, as pb_1")
    missing = applied("test", "postbird", *TO, "--file", file)
    assert (missing.code, missing.err) == (2, f"{file}: there is no integration named postbird in it.\n")


def test_a_stored_profile_and_a_phone_number(applied: Sendbridge, aws: Aws) -> None:
    profiles = Profiles(aws.dynamodb, aws.table("profiles"))
    stored = profiles.upsert([("email", "grace@example.com")], {"email": "grace@example.com"}, aws.clock())
    assert sent(applied("--json", "test", "postbird", "--profile-id", stored))["to"] == {"email": "grace@example.com"}
    unknown = applied("test", "postbird", "--profile-id", "nobody")
    assert (unknown.code, unknown.err) == (2, "there is no profile with this id\n")
    nowhere = applied("test", "postbird", "--to", "+491701234567")
    assert nowhere.code == 1
    assert "'to'" in nowhere.out.splitlines()[-1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["test"],
        ["test", "postbird"],
        ["test", "postbird", "--to", "a@example.com", "--profile-id", "p"],
        ["test", "postbird", "--profile-id", "p", "--set", "a=b"],
        ["test", "postbird", *TO, "--set", "nothing"],
        ["test", "postbird", *TO, "--body", "missing.json"],
        ["test", "postbird", *TO, "--template", "a", "--message", "b"],
        ["preview", "postbird", *TO, "--publish"],
        ["publish"],
        ["preset"],
        ["preset", "nobody"],
        ["suppressions", "show"],
        ["suppressions", "show", "a@example.com", "--cause", "manual"],
        ["suppressions", "remove", "a@example.com", "--reason", "why"],
        ["suppressions", "add", "a@example.com", "--cause", "manual", "--cause", "bounced"],
        ["suppressions", "forget", "a@example.com"],
    ],
)
def test_arguments_that_make_no_sense_are_refused(sendbridge: Sendbridge, bridge: Bridge, arguments: list[str]) -> None:
    run = sendbridge(*arguments)
    assert (run.code, run.out) == (2, "")
    assert run.err
    assert "Traceback" not in run.err
    assert bridge.seen == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[1]", "expected a mapping"),
        (b"{", "the file must be YAML or JSON, in UTF-8"),
        (b"\xff", "the file must be YAML or JSON, in UTF-8"),
        (b"a: !!set {b}", "a: expected a text, number, list or mapping: put it in quotes"),
        (b"? [1]\n: 2", "the file must be YAML or JSON, in UTF-8"),
        (b"[" * 3000, "the file must be YAML or JSON, in UTF-8"),
        (b"a: &a {b: *a}", "a.b"),
    ],
)
def test_an_odd_file_is_refused(sendbridge: Sendbridge, tmp_path: Path, content: bytes, expected: str) -> None:
    file = tmp_path / "odd.yaml"
    file.write_bytes(content)
    run = sendbridge("test", "postbird", *TO, "--body", file)
    assert (run.code, len(run.err.splitlines())) == (2, 1)
    assert run.err.startswith(f"{file}: {expected}")


# ---- applying


PAIR = """
kind: integration
name: {name}
url: ${{ESP_URL}}/{name}
failover: {other}
body: {{to: "{{{{ to }}}}"}}
"""


def test_integrations_that_stand_in_for_each_other_are_applied_together(sendbridge: Sendbridge, tmp_path: Path) -> None:
    for name, other in (("first", "second"), ("second", "first")):
        (tmp_path / f"{name}.yaml").write_text(PAIR.format(name=name, other=other))
    run = sendbridge("apply", "-f", tmp_path)
    assert (run.code, sorted(line for line in run.out.splitlines() if line.startswith("created"))) == (
        0,
        ["created    integration/first", "created    integration/second"],
    )
    assert "changed" not in run.out
    assert sendbridge("diff", "-f", tmp_path).code == 0


def test_a_failover_is_applied_before_what_it_stands_in_for(sendbridge: Sendbridge, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(PAIR.format(name="a", other="b"))
    (tmp_path / "b.yaml").write_text(PAIR.format(name="b", other='""'))
    lines = sendbridge("apply", "-f", tmp_path).out.splitlines()
    assert lines[:2] == ["created    integration/b", "created    integration/a"]


def test_what_does_not_go_together_is_found_without_a_deployment(sendbridge: Sendbridge, bridge: Bridge, tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(
        "kind: integration\nname: texts\nchannel: sms\nurl: https://sms.example\nbody: {}\n---\n"
        "kind: template\nname: t\nsubject: s\nhtml: h\n---\n"
        "kind: trigger\nname: r\nmust_include: [a]\nwait_seconds: 5\ncampaign: c\ndelivery: d\n"
        "integration: texts\ntemplate: t\n"
    )
    run = sendbridge("apply", "-f", file)
    assert (run.code, run.err) == (
        2,
        f"{file}:19: template: expected a template with text, as its integration is for sms\n",
    )
    assert bridge.seen == []


# ---- suppressions


def test_addresses_are_suppressed_shown_and_allowed_again(sendbridge: Sendbridge, bridge: Bridge) -> None:
    assert sendbridge("suppressions", "show", "ada@example.com").out == (
        "ada@example.com: nothing keeps it from getting messages.\n"
    )
    added = sendbridge("suppressions", "add", "ada@example.com", "--reason", "asked on the phone")
    assert added.out == "ada@example.com: manual on 2026-11-21T12:00:00.000Z, asked on the phone (said by )\n"
    assert sendbridge("--json", "suppressions", "show", "Ada@Example.com").json["suppressions"][0]["cause"] == "manual"
    bridge.admin._clock.forward(1)  # type: ignore[attr-defined]  # the tests' clock
    assert sendbridge("suppressions", "remove", "ada@example.com").out.endswith("nothing keeps it from getting messages.\n")


def test_who_opted_out_is_written_to_again_only_if_that_is_said(sendbridge: Sendbridge, bridge: Bridge) -> None:
    sendbridge("suppressions", "add", "+491701234567", "--cause", "unsubscribed")
    bridge.admin._clock.forward(1)  # type: ignore[attr-defined]  # the tests' clock
    assert "unsubscribed" in sendbridge("suppressions", "remove", "+491701234567").out
    lifted = sendbridge("suppressions", "remove", "+491701234567", "--cause", "unsubscribed")
    assert "nothing keeps it" in lifted.out


def test_what_is_no_address_is_refused_and_no_address_is_in_a_url(sendbridge: Sendbridge, bridge: Bridge) -> None:
    assert sendbridge("suppressions", "show", "nobody").err == "address: expected a phone number like +491701234567\n"
    assert sendbridge("suppressions", "add", "@example.com").err == "address: expected an email address\n"
    assert {path for _, path in bridge.seen} == {"/v1/admin/suppressions/show", "/v1/admin/suppressions/add"}
