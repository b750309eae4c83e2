"""Who may touch the world. Who may know whom is held by import-linter: see its contracts in pyproject.toml."""

from __future__ import annotations

from pathlib import Path

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
    "h11",
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


def test_connectors_do_no_io() -> None:
    for path in modules("functions/connectors"):
        names = imported(path)
        assert not {name for name in names if name in IO | OURS_WITH_IO or name.split(".")[0] in IO}, path


def test_only_one_module_talks_http() -> None:
    ways = {"socket", "ssl", "httpx", "httpcore", "requests", "aiohttp", "urllib.request", "http.client"}
    users = {p for p in modules("functions") if imported(p) & ways}
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
