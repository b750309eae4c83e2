"""Each function's zip: importable alone, small, without what it must not hold, and the same each time."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra import bundles
from infra.bundles import Bundle, BundleError, Target, bundle, for_lambda, for_this_host

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FUNCTIONS = sorted(path.parent.name for path in bundles.FUNCTIONS.glob("*/handler.py"))
BUDGETS = tomllib.loads((Path(__file__).parent / "budgets.toml").read_text())

_IMPORT = """
import json, sys
known = set(sys.modules)
sys.path.insert(0, {folder!r})
import {function}.handler as handler
paths = [getattr(module, "__file__", None) or "" for module in sys.modules.values()]
print(json.dumps({{"callable": callable(handler.handle), "modules": sorted(set(sys.modules) - known), "paths": paths}}))
"""


@dataclass(frozen=True)
class Imported:
    """What importing a handler brought in."""

    callable: bool
    modules: list[str]
    paths: list[str]


@pytest.fixture(scope="session", params=FUNCTIONS)
def function(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def built(function: str) -> Bundle:
    return bundle(function, for_this_host())


@pytest.fixture(scope="session")
def unpacked(built: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(built.path) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def imported(function: str, unpacked: Path) -> Imported:
    """The handler imported as Lambda does, with nothing but the standard library and the zip."""
    script = _IMPORT.format(folder=str(unpacked), function=function)
    base = getattr(sys, "_base_executable", sys.executable)
    environment = {"AWS_DEFAULT_REGION": "eu-central-1"}
    done = subprocess.run(
        [base, "-I", "-S", "-c", script], cwd=unpacked, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return Imported(**json.loads(done.stdout.splitlines()[-1]))


def test_the_handler_is_imported_from_the_zip_alone(imported: Imported, unpacked: Path) -> None:
    standard = (str(Path(sys.base_prefix)), str(Path(json.__file__).parents[1]))
    assert imported.callable
    assert not [path for path in imported.paths if path and not path.startswith((str(unpacked), *standard, "<"))]


def test_modules_stay_within_the_budget(function: str, imported: Imported) -> None:
    assert len(imported.modules) <= BUDGETS[function]["modules"]


def test_banned_packages_are_not_imported(function: str, imported: Imported) -> None:
    packages = {module.split(".")[0] for module in imported.modules}
    assert not packages & set(BUDGETS[function]["banned"])


def test_the_zip_for_lambda_stays_within_the_budget(function: str) -> None:
    assert bundle(function, for_lambda()).path.stat().st_size <= BUDGETS[function]["kilobytes"] * 1000


def test_the_zip_for_lambda_is_for_arm64_and_holds_no_other_binary(function: str) -> None:
    with zipfile.ZipFile(bundle(function, for_lambda()).path) as archive:
        binaries = [name for name in archive.namelist() if ".so" in name]
        assert binaries
        # Byte 18 of an ELF file says which machine it is for; 0xB7 is AArch64.
        assert {archive.read(name)[18] for name in binaries} == {0xB7}


def test_the_zip_holds_the_function_and_the_layers_below_it_only(function: str, built: Bundle) -> None:
    with zipfile.ZipFile(built.path) as archive:
        own = {name.split("/")[0] for name in archive.namelist()} & {path.name for path in bundles.FUNCTIONS.iterdir()}
    assert own == {function, "shared", "connectors"}


def test_botocore_knows_only_the_services_the_function_calls(function: str, built: Bundle) -> None:
    with zipfile.ZipFile(built.path) as archive:
        names = [name for name in archive.namelist() if name.startswith("botocore/data/")]
    services = {name.split("/")[2] for name in names if name.count("/") > 2}
    assert services == set(bundles.services(function))


@pytest.mark.parametrize("name", ["admin_api", "send_message"])
def test_whoever_reckons_with_time_zones_brings_them(name: str) -> None:
    with zipfile.ZipFile(bundle(name, for_lambda()).path) as archive:
        assert {"tzdata/zoneinfo/Europe/Berlin", "tzdata/zoneinfo/Europe/__init__.pyc"} <= set(archive.namelist())


def test_byte_code_is_hash_based_and_unchecked(built: Bundle) -> None:
    with zipfile.ZipFile(built.path) as archive:
        flags = {archive.read(name)[4] for name in archive.namelist() if name.endswith(".pyc")}
    assert flags == {1}


def test_everything_is_dated_alike(built: Bundle) -> None:
    with zipfile.ZipFile(built.path) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_two_builds_are_the_same_to_the_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bundle("receive_event", for_this_host())
    monkeypatch.setattr(bundles, "BUILD", tmp_path)
    second = bundle("receive_event", for_this_host())
    assert second.path.is_relative_to(tmp_path)
    assert (second.digest, second.path.read_bytes()) == (first.digest, first.path.read_bytes())


def test_a_second_build_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    first = bundle("receive_event", for_this_host())
    monkeypatch.setattr(bundles, "_build", _not_called)
    assert bundle("receive_event", for_this_host()) == first


def test_a_function_without_a_group_is_refused_by_name() -> None:
    with pytest.raises(BundleError, match=r"no dependency group shared-nothing\.$"):
        bundle("shared_nothing", for_this_host())


def test_what_cannot_be_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "BUILD", tmp_path)
    nowhere = Target("nowhere", ("--python-version", "3.13", "--python-platform", "no-such-machine"), None)
    with pytest.raises(BundleError, match=r"receive_event cannot be installed for nowhere"):
        bundle("receive_event", nowhere)


def test_every_function_has_a_budget() -> None:
    assert sorted(BUDGETS) == FUNCTIONS


def _not_called(*_: object) -> Bundle:
    raise AssertionError("built again")
