"""Who may know whom: functions → connectors → shared; and who may touch the world."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.source import FUNCTIONS, ROOT, imported, lambda_names, modules

IO = {
    "httpx",
    "httpcore",
    "boto3",
    "botocore",
    "socket",
    "ssl",
    "subprocess",
    "requests",
    "aiohttp",
    "http.client",
    "urllib.request",
}
OURS_WITH_IO = {
    "shared.http",
    "shared.aws",
    "shared.secrets",
    "shared.ledger",
    "shared.profiles",
    "shared.queues",
    "shared.state",
}


def roots(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("name", lambda_names())
def test_functions_do_not_know_each_other(name: str) -> None:
    others = set(lambda_names()) - {name}
    for path in modules(f"functions/{name}"):
        assert not roots(imported(path)) & others, path


def test_shared_knows_neither_connectors_nor_functions() -> None:
    above = {"connectors", *lambda_names()}
    for path in modules("functions/shared"):
        assert not roots(imported(path)) & above, path


def test_connectors_know_no_function() -> None:
    for path in modules("functions/connectors"):
        assert not roots(imported(path)) & set(lambda_names()), path


def test_connector_families_do_not_know_each_other() -> None:
    families = [p.name for p in (FUNCTIONS / "connectors").iterdir() if p.is_dir() and not p.name.startswith("_")]
    for family in families:
        others = {f"connectors.{other}" for other in families if other != family}
        for path in modules(f"functions/connectors/{family}"):
            assert not {n for n in imported(path) if any(n == o or n.startswith(f"{o}.") for o in others)}, path


def test_connectors_do_no_io() -> None:
    for path in modules("functions/connectors"):
        names = imported(path)
        assert not {name for name in names if name in IO | OURS_WITH_IO or name.split(".")[0] in IO}, path


def test_only_one_module_talks_http() -> None:
    clients = {"httpx", "httpcore", "requests", "aiohttp", "urllib.request", "http.client"}
    users = {p for p in modules("functions") if imported(p) & clients}
    assert users == {FUNCTIONS / "shared" / "http.py"}


def test_only_one_module_makes_aws_clients() -> None:
    users = {p for p in modules("functions") if "boto3" in imported(p)}
    assert users == {FUNCTIONS / "shared" / "aws.py"}


def test_functions_know_neither_their_deployment_nor_their_tests() -> None:
    for path in modules("functions"):
        assert not roots(imported(path)) & {"infra", "cli", "tests", "aws_cdk", "constructs"}, path


def test_time_and_chance_come_in_as_arguments() -> None:
    allowed = {FUNCTIONS / "shared" / "clock.py"}
    calls = ("datetime.now(", "datetime.utcnow(", "time.time(", "time.sleep(")
    found = [(p, call) for p in modules("functions") if p not in allowed for call in calls if call in _code(p)]
    assert found == []


def _code(path: Path) -> str:
    return "\n".join(line.split("#")[0] for line in path.read_text().splitlines())


def test_nothing_of_the_sandboxes_comes_from_what_they_test() -> None:
    for path in modules("tests/sandbox"):
        assert not roots(imported(path)) & {"shared", "connectors", *lambda_names()}, path
    assert (ROOT / "tests" / "sandbox").is_dir()
