"""`check`, `proof`, `publish`, `pause`, `unpublish`, `versions`, `diff`, `rollback`: a trigger's life at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli import api
from cli.ready_made import triggers
from shared.exchange import Response
from shared.profiles import Profiles
from tests.admin_api.conftest import Vendors
from tests.admin_api.samples import PASSWORD
from tests.aws import Aws
from tests.cli.conftest import DEFINITIONS, Bridge, Run, Sendbridge

TO = ("--to", "ada@example.com")
NOON = "2026-11-21T12:00:00.000Z"


@pytest.fixture
def applied(sendbridge: Sendbridge) -> Sendbridge:
    """All samples, the integration in force."""
    assert sendbridge("apply", "-f", DEFINITIONS).code == 0
    assert sendbridge("test", "postbird", *TO, "--publish").code == 0
    return sendbridge


@pytest.fixture
def published(applied: Sendbridge) -> Sendbridge:
    """All samples in force."""
    assert applied("proof", "abandoned_cart", *TO, "--publish").code == 0
    return applied


def edited(sendbridge: Sendbridge, tmp_path: Path, name: str, old: str, new: str) -> Run:
    """Applies one of the samples with something else in it."""
    file = tmp_path / f"{name}.yaml"
    text = Path(DEFINITIONS, f"{name}.yaml").read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    return sendbridge("apply", "-f", file)


def last(run: Run, lines: int = 1) -> list[str]:
    """The end of what was printed."""
    return run.out.splitlines()[-lines:]


# ---- check


def test_a_check_finds_everything_and_changes_nothing(sendbridge: Sendbridge, bridge: Bridge, tmp_path: Path) -> None:
    good = sendbridge("check", "-f", DEFINITIONS)
    assert (good.code, good.out) == (0, "6 definitions: nothing is wrong with them.\n")
    assert all("dry_run=true" in path for _, path in bridge.seen)
    (tmp_path / "t.yaml").write_text("kind: template\nname: t\nsubject: s\nhtml: '{{ nobody.gives }}'\n")
    bad = sendbridge("check", "-f", tmp_path)
    assert (bad.code, bad.err) == (
        2,
        f"{tmp_path}/t.yaml:4: html: expected no variable nobody.gives: there is none of this name, and none in defaults\n",
    )


def test_a_trigger_and_its_template_are_checked_together_without_a_deployment(
    sendbridge: Sendbridge, bridge: Bridge, tmp_path: Path
) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(
        "kind: template\nname: t\nsubject: s\nhtml: '{{ metadata.size }}'\n---\n"
        "kind: trigger\nname: r\nmust_include: [a]\nwait_seconds: 5\ncampaign: c\ndelivery: d\n"
        "integration: postbird\ntemplate: t\n"
    )
    run = sendbridge("check", "-f", file)
    assert (run.code, run.err) == (
        2,
        f"{file}:13: template: expected one whose variables this trigger gives: its html has metadata.size, "
        "and the trigger's metadata has no size\n",
    )
    file.write_text(file.read_text().replace("must_include: [a]", "must_include: [a]\nmust_not_include: [a]"))
    assert "it can never fire" in sendbridge("check", "-f", file).err
    assert bridge.seen == []


def test_a_template_and_its_trigger_are_changed_together(published: Sendbridge, tmp_path: Path) -> None:
    """What the one asks for, only the other's new version gives; and back again."""
    names = ("abandoned_cart", "cart_abandoned")
    with_size = [
        Path(DEFINITIONS, "abandoned_cart.yaml").read_text() + "metadata: {size: {path: size}}\n",
        Path(DEFINITIONS, "cart_abandoned.yaml").read_text().replace("your cart is waiting", "{{ metadata.size }}"),
    ]
    for name, text in zip(names, with_size, strict=True):
        (tmp_path / f"{name}.yaml").write_text(text)
    assert published("apply", "-f", tmp_path).code == 0
    assert edited(published, tmp_path, "cart_abandoned", "you left", "you have left").code == 0
    assert edited(published, tmp_path, "abandoned_cart", "First", "Second").code == 0


def test_triggers_that_cancel_each_other_are_applied_together(applied: Sendbridge, tmp_path: Path) -> None:
    text = Path(DEFINITIONS, "abandoned_cart.yaml").read_text()
    for name, other in (("first", "second"), ("second", "first")):
        (tmp_path / f"{name}.yaml").write_text(text.replace("name: abandoned_cart", f"name: {name}\ncancels: [{other}]"))
    assert applied("apply", "-f", tmp_path).code == 0
    assert applied("diff", "-f", tmp_path).code == 0


# ---- proof


def test_a_proof_shows_everything_and_publishes(applied: Sendbridge, vendors: Vendors) -> None:
    run = applied("proof", "abandoned_cart", *TO, "--to", "grace@example.com", "--publish")
    assert run.code == 0
    assert "> authorization: Bearer (secret)" in run.out
    assert any(line.split()[:2] == ["cart[].name", "cart"] for line in run.out.splitlines())
    assert last(run, 5) == [
        "ada@example.com: sent, as pb_1",
        "grace@example.com: sent, as pb_1",
        "abandoned_cart, version 1, with template cart_abandoned, version 1: proven.",
        "trigger/abandoned_cart: version 1 is in force.",
        "template/cart_abandoned: version 1 is in force with it.",
    ]
    assert PASSWORD not in run.out
    assert b"Hello Ada" in vendors.asked[-1].body


def test_a_proof_is_made_for_a_profile_and_a_visit(applied: Sendbridge, aws: Aws, vendors: Vendors, tmp_path: Path) -> None:
    visit, profile = tmp_path / "visit.yaml", tmp_path / "profile.json"
    visit.write_text("cart: [{name: Chair, price: 10, quantity: 1}]\n")
    profile.write_text('{"first_name": "Mary"}')
    stored = Profiles(aws.dynamodb, aws.table("profiles")).upsert(
        [("email", "grace@example.com")], {"email": "grace@example.com", "first_name": "Grace"}, aws.clock()
    )
    for options, name in (
        (("--set", "first_name=Jo"), "Jo"),
        (("--profile-file", profile), "Mary"),
        (("--profile-id", stored), "Grace"),
    ):
        assert applied("proof", "abandoned_cart", *TO, *options, "--visit", visit).code == 0
        sent = json.loads(vendors.asked[-1].body)
        assert (sent["to"], sent["subject"]) == ({"email": "ada@example.com"}, f"{name}, your cart is waiting")
        assert "Chair" in sent["html"]


def test_a_proof_that_is_not_sent_publishes_nothing(applied: Sendbridge, vendors: Vendors) -> None:
    vendors.answers = [Response(200, {}, b'{"access_token": "t"}'), Response(422, {}, b"{}")]
    run = applied("proof", "abandoned_cart", *TO, "--publish")
    assert run.code == 1
    assert last(run)[0] == "abandoned_cart, version 1, with template cart_abandoned, version 1: not proven."
    refused = applied("publish", "trigger/abandoned_cart")
    assert (refused.code, "has no proof" in refused.err) == (2, True)


def test_a_proof_without_an_integration_in_force_says_what_to_do(sendbridge: Sendbridge) -> None:
    sendbridge("apply", "-f", DEFINITIONS)
    run = sendbridge("proof", "abandoned_cart", *TO)
    assert (run.code, "`sendbridge test postbird --to ADDRESS --publish`" in run.err) == (2, True)


@pytest.mark.parametrize("name", triggers())
def test_what_is_ready_made_is_proven_by_its_sample(
    applied: Sendbridge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("INTEGRATION", "postbird")
    monkeypatch.setenv("SHOP_URL", "https://shop.example.com")
    file = tmp_path / "ready.yaml"
    file.write_text(applied("preset", name).out)
    assert applied("apply", "-f", file).code == 0
    run = applied("proof", name, *TO, "--publish")
    assert (run.code, last(run)[0]) == (0, f"template/{name}: version 1 is in force with it.")
    # Its template has the same name: the trigger is meant, as it brings the template along.
    assert applied("publish", name).out.startswith(f"trigger/{name}: version ")
    assert "must_include" in applied("versions", name).out
    assert applied("unpublish", name).out.startswith(f"trigger/{name}: out of force")
    assert applied("unpublish", name).out.startswith(f"template/{name}: out of force")


# ---- publish and the others


def test_a_name_alone_means_the_only_draft_of_that_name(published: Sendbridge, tmp_path: Path) -> None:
    for kind, rest in (("template", "subject: s\nhtml: h\n"), ("integration", "url: ${ESP_URL}/x\nbody: {to: '{{ to }}'}\n")):
        (tmp_path / f"{kind}.yaml").write_text(f"kind: {kind}\nname: same\n{rest}")
    published("apply", "-f", tmp_path)
    run = published("publish", "same")
    assert (run.code, run.err) == (2, "same is the name of several: say template/same or integration/same.\n")
    assert published("test", "same", *TO, "--publish").code == 0
    assert "of a trigger that uses it" in published("publish", "same").err
    assert published("publish", "integration/same").out == "integration/same: version 1 is in force.\n"
    assert published("publish", "nothing").err == "There is no trigger, template or integration named nothing.\n"
    assert published("publish", "tracker/shop").err.startswith("tracker/shop: expected KIND/NAME, with one of trigger, ")


def test_a_difference_shows_what_rules_ask_and_not_what_they_do_not(published: Sendbridge, tmp_path: Path) -> None:
    rules = "must_not_include: [Order Completed, {cart: items, at_most: 0}]"
    assert edited(published, tmp_path, "abandoned_cart", "must_not_include: [Order Completed]", rules).code == 0
    absent = published("diff", "abandoned_cart", "--from", "9")
    assert (absent.code, absent.err) == (2, "there is no version 9 of trigger 'abandoned_cart'\n")
    run = published("diff", "abandoned_cart")
    assert (run.code, run.out) == (
        1,
        'must_not_include: ["Order Completed"] → ["Order Completed", {"at_most": 0, "cart": "items"}]\n',
    )


def test_a_trigger_is_paused_resumed_and_unpublished(published: Sendbridge, monkeypatch: pytest.MonkeyPatch) -> None:
    assert published("pause", "abandoned_cart").out == "trigger/abandoned_cart: paused; its messages wait.\n"
    assert "paused: its messages wait" in published("doctor").out
    assert published("resume", "abandoned_cart").out.startswith("trigger/abandoned_cart: resumed; ")
    refused = published("unpublish", "template/cart_abandoned")
    assert (refused.code, refused.err) == (
        2,
        "published triggers use it: abandoned_cart; first `sendbridge unpublish trigger/abandoned_cart`\n",
    )
    assert published("unpublish", "abandoned_cart").out == "trigger/abandoned_cart: out of force; version 3 is a draft.\n"
    monkeypatch.setattr(api.Api.__init__, "__kwdefaults__", {"sleep": pytest.fail})  # it is nothing that passes
    again = published("unpublish", "abandoned_cart")
    assert (again.code, again.err) == (2, "trigger 'abandoned_cart' is not published\n")
    assert published("publish", "abandoned_cart").code == 0
    assert published("pause", "integration/postbird").out == "integration/postbird: paused; its messages wait.\n"


def test_versions_say_who_did_what(published: Sendbridge, tmp_path: Path) -> None:
    edited(published, tmp_path, "abandoned_cart", "wait_seconds: 5", "wait_seconds: 60")
    lines = published("versions", "abandoned_cart").out.splitlines()
    assert lines[0] == f"   2  {NOON}  ?  changed wait_seconds"
    assert lines[1].endswith("  in force")
    assert [line.split()[-1] for line in lines[2:]] == ["tested", "published"]


def test_two_versions_are_compared_line_by_line(published: Sendbridge, tmp_path: Path) -> None:
    assert published("diff", "template/cart_abandoned", "--from", 1, "--to", 1).code == 0
    edited(published, tmp_path, "cart_abandoned", "<p>you left something behind:</p>", "<p>look:</p>")
    run = published("diff", "cart_abandoned")
    assert run.code == 1
    assert run.out.splitlines()[:2] == ["--- html, version 1", "+++ html, version 2"]
    assert "-    <p>you left something behind:</p>" in run.out
    assert "+    <p>look:</p>" in run.out
    edited(published, tmp_path, "abandoned_cart", "wait_seconds: 5", "wait_seconds: 60")
    assert published("diff", "trigger/abandoned_cart").out == "wait_seconds: 5 → 60\n"


def test_what_was_proven_is_rolled_back_to_and_published_at_once(published: Sendbridge, tmp_path: Path) -> None:
    edited(published, tmp_path, "cart_abandoned", "your cart is waiting", "look")
    published("proof", "abandoned_cart", *TO)
    published("publish", "cart_abandoned")
    run = published("rollback", "template/cart_abandoned", "--to", 1)
    assert run.out.splitlines() == [
        "template/cart_abandoned: version 3 has the content of version 1 again: subject",
        "It was proven: `sendbridge publish template/cart_abandoned` puts it in force.",
    ]
    assert published("publish", "cart_abandoned").out == "template/cart_abandoned: version 3 is in force.\n"
    assert published("rollback", "cart_abandoned", "--to", 1).out == (
        "template/cart_abandoned: version 3 has that content already.\n"
    )
    assert published("versions", "cart_abandoned").out.splitlines()[0].endswith("rolled back to version 1: subject  in force")
    assert published("rollback", "cart_abandoned", "--to", 9).err == "there is no version 9 of template 'cart_abandoned'\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["check"],
        ["diff"],
        ["diff", "a", "-f", DEFINITIONS],
        ["diff", "-f", DEFINITIONS, "--from", "1"],
        ["diff", "a", "--from", "x"],
        ["proof", "a"],
        ["proof", "a", *TO * 11],
        ["proof", "a", *TO, "--profile-id", "p", "--set", "a=b"],
        ["proof", "a", *TO, "--set", "nothing"],
        ["proof", "a", *TO, "--visit", "missing.yaml"],
        ["rollback", "a"],
        ["pause"],
        ["pause", "template/a"],
        ["unpublish", "integration/a"],
        ["versions"],
    ],
    ids=str,
)
def test_arguments_that_make_no_sense_are_refused(sendbridge: Sendbridge, bridge: Bridge, arguments: list[str]) -> None:
    run = sendbridge(*arguments)
    assert (run.code, run.out) == (2, "")
    assert run.err
    assert "Traceback" not in run.err
    assert bridge.seen == []
