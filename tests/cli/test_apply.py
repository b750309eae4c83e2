"""`apply`, `diff`, `export`: definitions between files and a deployment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shared.secrets import Secrets
from tests.admin_api.samples import KEY, OTHER_KEY, PASSWORD
from tests.aws import Aws
from tests.cli.conftest import DEFINITIONS, Bridge, Sendbridge

ALL = [
    "tracker/shop",
    "template/cart_abandoned",
    "integration/postbird",
    "destination/dynamics",
    "trigger/abandoned_cart",
    "policy/email",
]


DRAFTS = (
    "draft      template/cart_abandoned: nothing is sent with it until version 1 is proven and published, with a trigger: "
    "`sendbridge proof TRIGGER --to ADDRESS --publish`\n"
    "draft      integration/postbird: nothing is sent by it until version 1 is tested and published: "
    "`sendbridge test postbird --to ADDRESS --publish`\n"
    "draft      trigger/abandoned_cart: it does not fire until version 1 is proven and published: "
    "`sendbridge proof abandoned_cart --to ADDRESS --publish`\n"
)


def lines(what: str) -> str:
    return "".join(f"{what:<9}  {label}\n" for label in ALL)


def test_applying_twice_changes_nothing_the_second_time(sendbridge: Sendbridge) -> None:
    assert sendbridge("apply", "-f", DEFINITIONS).out == lines("created") + DRAFTS
    again = sendbridge("apply", "-f", DEFINITIONS)
    assert (again.code, again.out) == (0, lines("unchanged") + DRAFTS)
    sendbridge("test", "postbird", "--to", "ada@example.com", "--publish")
    sendbridge("proof", "abandoned_cart", "--to", "ada@example.com")
    assert sendbridge("apply", "-f", DEFINITIONS).out == lines("unchanged") + (
        "draft      template/cart_abandoned: nothing is sent with it until version 1 is published: "
        "`sendbridge publish template/cart_abandoned`\n"
        "draft      trigger/abandoned_cart: it does not fire until version 1 is published: "
        "`sendbridge publish trigger/abandoned_cart`\n"
    )
    sendbridge("publish", "abandoned_cart")
    assert sendbridge("apply", "-f", DEFINITIONS).out == lines("unchanged")


def test_diff_tells_before_and_after(sendbridge: Sendbridge) -> None:
    before = sendbridge("diff", "-f", DEFINITIONS)
    assert (before.code, before.out) == (1, lines("created"))
    assert sendbridge("--json", "export").json == {"yaml": ""}
    sendbridge("apply", "-f", DEFINITIONS)
    after = sendbridge("diff", "-f", DEFINITIONS)
    assert (after.code, after.out) == (0, lines("unchanged"))


def test_what_changed_is_named_and_secrets_are_never_shown(
    sendbridge: Sendbridge, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [sendbridge("apply", "-f", DEFINITIONS)]
    monkeypatch.setenv("ESP_CLIENT_SECRET", "another-long-password")
    monkeypatch.setenv("ESP_CLIENT_ID", "other")
    runs += [sendbridge("diff", "-f", DEFINITIONS), sendbridge("--json", "apply", "-f", DEFINITIONS)]
    assert "changed    integration/postbird: auth.client_id, auth.client_secret\n" in runs[1].out
    assert runs[2].json[2] == {
        "kind": "integration",
        "name": "postbird",
        "what": "changed",
        "version": 2,
        "changed": ["auth.client_id", "auth.client_secret"],
        "published": None,
    }
    runs += [sendbridge("export"), sendbridge("--json", "export")]
    for run in runs:
        for secret in (KEY, OTHER_KEY, PASSWORD, "another-long-password"):
            assert secret not in run.out + run.err
    kept: Any = Secrets(aws.secretsmanager, aws.secret_prefix).read("definition/integration/postbird")
    assert kept["draft"]["/auth/client_secret"] == "another-long-password"


def test_what_is_exported_can_be_applied(sendbridge: Sendbridge, tmp_path: Path) -> None:
    sendbridge("apply", "-f", DEFINITIONS)
    exported = sendbridge("export", "-o", tmp_path)
    assert len(exported.out.splitlines()) == len(ALL)
    assert "{% for item in cart %}\n" in (tmp_path / "template" / "cart_abandoned.yaml").read_text()
    assert sendbridge("apply", "-f", tmp_path).out == lines("unchanged") + DRAFTS
    one = tmp_path / "all.yml"
    one.write_text(sendbridge("export").out)
    assert sendbridge("apply", "-f", one).out == lines("unchanged") + DRAFTS


def test_what_looks_like_a_variable_survives_an_export(sendbridge: Sendbridge, tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_text("kind: template\nname: t\nsubject: s\nhtml: 'a $${literal} $$${more} ${ESP_CLIENT_ID} $5 ${'\n")
    assert sendbridge("apply", "-f", file).code == 0
    exported = sendbridge("export").out
    assert "a $${literal} $$${more} sendbridge $5 ${" in exported
    file.write_text(exported)
    assert sendbridge("diff", "-f", file).code == 0


def test_files_apply_in_the_order_of_what_refers_to_what(sendbridge: Sendbridge, bridge: Bridge, tmp_path: Path) -> None:
    trigger, rest = tmp_path / "a.yaml", tmp_path / "b.yaml"
    trigger.write_text(Path(DEFINITIONS, "abandoned_cart.yaml").read_text())
    rest.write_text("---\n".join(Path(DEFINITIONS, f"{n}.yaml").read_text() for n in ("shop", "cart_abandoned", "postbird")))
    run = sendbridge("apply", "-f", trigger, rest)
    assert [line.split()[1] for line in run.out.splitlines() if "draft" not in line] == [
        label for label in ALL if label not in ("destination/dynamics", "policy/email")
    ]


def test_one_wrong_definition_keeps_all_from_being_applied(sendbridge: Sendbridge, bridge: Bridge, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text("kind: template\nname: good\nsubject: s\nhtml: h\n")
    (tmp_path / "bad.yaml").write_text("kind: template\nname: bad\nsubject: s\nhtml: h\n\ntitle: x\ndefaults: 5\n")
    run = sendbridge("apply", "-f", tmp_path)
    assert run.code == 2
    assert run.err.splitlines() == [
        f"{tmp_path}/bad.yaml:7: defaults: expected an object",
        f"{tmp_path}/bad.yaml:6: title: expected no such field",
    ]
    assert bridge.seen == []


def test_mistakes_in_files_are_found_without_a_deployment(sendbridge: Sendbridge, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("kind: template\nname: bad\n")
    run = sendbridge("diff", "-f", tmp_path, "--stack", "nothing")
    assert run.err.splitlines() == [
        f"{tmp_path}/bad.yaml:1: body: expected html, or text, or both",
    ]


def test_what_only_the_deployment_can_tell_has_file_and_line_too(sendbridge: Sendbridge, bridge: Bridge, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text("kind: template\nname: good\nsubject: s\nhtml: h\n")
    (tmp_path / "trigger.yaml").write_text(
        "kind: trigger\nname: t\nmust_include: [a]\nwait_seconds: 5\ncampaign: c\ndelivery: d\n"
        "template: good\nintegration: nowhere\ntrackers:\n  - nowhere\n"
    )
    run = sendbridge("apply", "-f", tmp_path)
    assert run.code == 2
    assert run.err.splitlines() == [
        f"{tmp_path}/trigger.yaml:8: integration: expected the name of an integration that exists",
        f"{tmp_path}/trigger.yaml:10: trackers.0: expected the name of a tracker that exists",
    ]
    assert all("dry_run=true" in path for _, path in bridge.seen)


POSTBIRD = """kind: integration
name: postbird
url: {url}
auth: {{type: oauth2, token_url: "https://login.example/token", client_id: x, client_secret: {secret}}}
body:
  to: "{{{{ to }}}}"
webhook:
  secrets: [{{env: SHOP_SECRET}}]
  types:
    message.opened: {kind}
"""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"kind": "read"}, "10: webhook.types.message.opened: expected 'sent'"),
        ({"url": "${NOT_SET}/x"}, "3: url: expected the environment variable NOT_SET, which is not set"),
        ({"secret": "{env: NOT_SET}"}, "4: auth.client_secret: expected the environment variable NOT_SET, which is not set"),
        ({"url": "{env: ESP_URL}"}, "3: url: expected a text: {env: …} is for secrets, use ${…} here"),
        ({"url": "{secret: true}"}, "3: url: expected"),
        ({"secret": "{secret: true}"}, "4: auth.client_secret: expected a value: none is kept here"),
        ({"url": "https://10.0.0.1/x"}, "3: url: expected url must name a public host"),
        ({"url": "2026-11-21"}, "3: url: expected"),
    ],
)
def test_each_mistake_has_its_line(sendbridge: Sendbridge, tmp_path: Path, changes: dict[str, str], expected: str) -> None:
    file = tmp_path / "postbird.yaml"
    values = {"url": "https://api.example/send", "secret": "{env: ESP_CLIENT_SECRET}", "kind": "opened", **changes}
    file.write_text(POSTBIRD.format(**values))
    run = sendbridge("apply", "-f", file)
    assert run.code == 2
    assert run.err.startswith(f"{file}:{expected}")
    assert len(run.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kind: nothing\nname: x\n", "1: kind: expected one of tracker"),
        ("name: x\n", "1: kind: expected one of tracker"),
        ("kind: template\n", "1: name: expected a name"),
        ("- a\n", "1: kind: expected"),
        ("just text\n", "1: kind: expected"),
        ("kind: template\nkind: tracker\n", "2: the file must be YAML: kind is here twice"),
        ("kind: [\n", "2: the file must be YAML"),
        ("kind: template\nname: t\nsubject: s\nhtml: !!binary aGFsbG8=\n", "4: html: expected a text, number"),
        ("kind: template\nname: t\nsubject: s\nhtml: h\ndefaults:\n  1: x\n", "6: defaults.1: expected a key that is text"),
        ("kind: template\nname: t\nsubject: s\nhtml: h\ndefaults: {a: !!set {b, c}}\n", "5: defaults.a: expected a text"),
        ("kind: template\nname: t\nsubject: s\nhtml: h\ndefaults: &a {b: *a}\n", "5: defaults.b"),
        ("kind: template\nname: t\nsubject: s\nhtml: h\ndefaults: " + "[" * 3000, "5: the file must be"),
        ("kind: !!python/object:os.system x\n", "1: the file must be YAML"),
    ],
)
def test_odd_files_are_refused_with_their_line(sendbridge: Sendbridge, tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text(text)
    run = sendbridge("diff", "-f", file)
    assert run.code == 2
    assert run.err.startswith(f"{file}:{expected}")


def test_files_that_are_no_text_are_refused(sendbridge: Sendbridge, tmp_path: Path) -> None:
    for name, content in {"latin.yaml": b"name: \xff\xfe\n", "control.yaml": b"name: \x01\n"}.items():
        (tmp_path / name).write_bytes(content)
        run = sendbridge("apply", "-f", tmp_path / name)
        assert (run.code, run.err) == (
            2,
            f"{tmp_path / name}: the file must be text in UTF-8, without control characters\n",
        )
    assert sendbridge("apply", "-f", tmp_path / "missing.yaml").err == f"{tmp_path}/missing.yaml: No such file or directory\n"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert sendbridge("apply", "-f", empty).err == f"{empty}: there are no .yaml files here\n"


def test_a_definition_in_two_files_is_refused(sendbridge: Sendbridge, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text("kind: template\nname: t\nsubject: s\nhtml: h\n")
    run = sendbridge("apply", "-f", tmp_path)
    assert (run.code, run.err.splitlines()) == (
        2,
        [f"{tmp_path}/b.yaml:2: name: expected a name of its own: {tmp_path}/a.yaml has a template/t as well"],
    )
