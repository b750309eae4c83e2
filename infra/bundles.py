"""The zip of a function: its own code and dependency group, pruned, byte-compiled, the same bytes for the same inputs.

Built for Lambda (arm64, Python 3.13) or for the interpreter that runs the embedded AWS. Kept under `build/`, so that a
second build needs neither the registry nor time.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
FUNCTIONS = ROOT / "functions"

_LOCK = ROOT / "requirements.lock"
_UV = Path(sys.executable).parent / "uv"
# What every zip may hold besides the function's own folder.
_LAYERS = ("shared", "connectors")

# botocore describes some 400 services; a function gets the ones it calls.
_BOTOCORE_DATA = ("endpoints.json", "partitions.json", "sdk-default-configuration.json", "_retry.json")
_PRUNED = (
    "bin",
    "*.dist-info",
    "**/*.pyi",
    "**/*.pyx",
    "**/*.c",
    "**/*.h",
    "**/py.typed",
    "**/tests",
    "**/__pycache__",
    "boto3/data",
    "boto3/examples",
    "botocore/data/**/examples-1.json*",
    "botocore/data/**/waiters-2.json*",
    # We use its logger and its metrics.
    "aws_lambda_powertools/event_handler",
    "aws_lambda_powertools/utilities/[a-ik-su-z]*",
    "dateutil/zoneinfo/*.tar.gz",
    # Used by python-liquid's localised filters only, which are not switched on.
    "babel/locale-data/*.dat",
    "pytz/zoneinfo/*",
)


@dataclass(frozen=True)
class Target:
    """What a zip is built for: the options of `uv pip install`, and the interpreter that compiles (None: source only)."""

    name: str
    install: tuple[str, ...]
    compiler: str | None


@dataclass(frozen=True)
class Bundle:
    """A built zip. `digest` is of what is in it (names and bytes), so it does not depend on the compressor."""

    path: Path
    digest: str


class BundleError(Exception):
    """A function cannot be packed; the message says which and why, in one sentence."""


def for_lambda() -> Target:
    """AWS Lambda's arm64 with Python 3.13, on glibc 2.34. Without a 3.13 here, source is shipped as it is: slower to start."""
    platform = ("--python-platform", "aarch64-manylinux_2_28", "--python-version", "3.13")
    return Target("arm64", platform, _python_3_13())


def for_this_host() -> Target:
    """The interpreter that runs the embedded AWS."""
    return Target(f"host-{sys.implementation.cache_tag}", ("--python", sys.executable), sys.executable)


def bundle(function: str, target: Target) -> Bundle:
    """The zip of this function, built unless it was already. Raises BundleError."""
    folder = BUILD / "bundles" / f"{function}-{target.name}"
    return _kept(folder, _fingerprint(function, target), lambda scratch: _build(function, target, scratch))


def deployed() -> list[str]:
    """Every function there is."""
    return sorted(path.parent.name for path in FUNCTIONS.glob("*/handler.py"))


def prepare(functions: Iterable[str], target: Target) -> None:
    """Builds the zips of these functions on all cores, so that `bundle` finds them. Raises BundleError."""
    functions = list(functions)
    # Functions that need the same share one gathering; the first of them does it.
    first = {_needs(function, target): function for function in reversed(functions)}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda function: bundle(function, target), first.values()))
        list(pool.map(lambda function: bundle(function, target), functions))


def services(function: str) -> tuple[str, ...]:
    """The AWS services this function calls: `AWS_SERVICES` of its settings module."""
    try:
        module = importlib.import_module(f"{function}.settings")
    except ModuleNotFoundError as error:
        raise BundleError(f"functions/{function}/settings.py cannot be imported: {error}.") from error
    return tuple(sorted(module.AWS_SERVICES))


def group(function: str) -> str:
    """The dependency group of a function."""
    return function.replace("_", "-")


def _kept(folder: Path, key: str, build: Callable[[Path], Bundle]) -> Bundle:
    """What was built for this key, else built now. All or nothing: two builds may run at once."""
    known = folder / f"{key}.json"
    if not known.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            built = build(Path(scratch))
            built.path.replace(folder / f"{built.digest}.zip")
            note = Path(scratch) / "note"
            note.write_text(json.dumps(built.digest))
            note.replace(known)
    digest = json.loads(known.read_text())
    return Bundle(folder / f"{digest}.zip", digest)


def _build(function: str, target: Target, scratch: Path) -> Bundle:
    """The dependencies' zip with our own code behind them: compressing them again for each function takes seconds."""
    dependencies = _dependencies(function, target)
    own = scratch / "own"
    for part in (function, *_LAYERS):
        shutil.copytree(FUNCTIONS / part, own / part, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    _compile(own, target, keep_source=True)
    files = dict(_files(own))
    path = scratch / "zip"
    shutil.copyfile(dependencies.path, path)
    _zip(files, path)
    return Bundle(path, _hash(dependencies.digest.encode(), _digest(files.items()).encode()))


def _dependencies(function: str, target: Target) -> Bundle:
    """A zip of what the group needs, shared by the functions that need the same."""
    folder = BUILD / "dependencies" / target.name
    return _kept(folder, _needs(function, target), lambda scratch: _gather(function, target, scratch))


def _needs(function: str, target: Target) -> str:
    """The same for two functions whose dependencies are the same."""
    parts = [_group_of(function), services(function), target.install, _compiler_tag(target)]
    return _hash(json.dumps(parts).encode(), *_toolchain())


def _gather(function: str, target: Target, scratch: Path) -> Bundle:
    installed = scratch / "installed"
    _install(function, target, installed)
    _prune(installed, services(function))
    _compile(installed, target, keep_source=False)
    files = dict(_files(installed))
    path = scratch / "zip"
    _zip(files, path)
    return Bundle(path, _digest(files.items()))


def _install(function: str, target: Target, into: Path) -> None:
    command = [
        *(str(_UV), "pip", "install", "--quiet", "--target", str(into), "--only-binary", ":all:", "--no-compile"),
        *("--constraints", str(_LOCK), "--group", f"{ROOT / 'pyproject.toml'}:{group(function)}"),
        *target.install,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_quiet_environment())
    if done.returncode:
        raise BundleError(f"The dependencies of {function} cannot be installed for {target.name}: {done.stderr.strip()}")


def _prune(installed: Path, called: tuple[str, ...]) -> None:
    for pattern in _PRUNED:
        for path in list(installed.glob(pattern)):
            _remove(path)
    for path in (installed / "botocore" / "data").glob("*"):
        if path.name.removesuffix(".gz") not in (*_BOTOCORE_DATA, *called):
            _remove(path)


def _compile(folder: Path, target: Target, *, keep_source: bool) -> None:
    """Hash-based, unchecked: a zip's files are all dated 1980, so byte-code that goes by date is stale on arrival.

    Our own source stays beside it, for readable tracebacks; that of libraries would make the zip a third larger.
    """
    if target.compiler is None:
        return
    options = ["-q", "--invalidation-mode", "unchecked-hash", "-s", str(folder), *([] if keep_source else ["-b"])]
    subprocess.run([target.compiler, "-I", "-m", "compileall", *options, str(folder)], check=True)
    if not keep_source:
        for source in folder.rglob("*.py"):
            source.unlink()


def _zip(files: dict[str, Path], into: Path) -> None:
    """Adds files to a zip, made if it is not there."""
    with zipfile.ZipFile(into, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, path in files.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())


def _fingerprint(function: str, target: Target) -> str:
    """Of everything the zip is made from."""
    sources = {name: path for part in (function, *_LAYERS) for name, path in _files(FUNCTIONS / part, FUNCTIONS)}
    parts = [_group_of(function), sorted(target.install), _compiler_tag(target), _digest(sorted(sources.items()))]
    return _hash(json.dumps(parts).encode(), *_toolchain())


@cache
def _toolchain() -> tuple[bytes, bytes]:
    return Path(__file__).read_bytes(), _LOCK.read_bytes()


def _group_of(function: str) -> list[str]:
    """The requirements of a function's group, with the groups it includes."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    if group(function) not in groups:
        raise BundleError(f"pyproject.toml has no dependency group {group(function)}.")
    return sorted(_flattened(groups, group(function)))


def _flattened(groups: dict[str, list[str | dict[str, str]]], name: str) -> Iterator[str]:
    for entry in groups[name]:
        if isinstance(entry, str):
            yield entry
        else:
            yield from _flattened(groups, entry["include-group"])


@cache
def _python_3_13() -> str | None:
    if sys.version_info[:2] == (3, 13):
        return sys.executable
    found = subprocess.run([_UV, "python", "find", "3.13"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


@cache
def _compiler_tag(target: Target) -> str:
    """The byte-code version that the compiler writes: two interpreters with the same one write the same."""
    if target.compiler is None:
        return "source"
    script = "import importlib.util as u, sys; print(sys.implementation.cache_tag, u.MAGIC_NUMBER.hex())"
    return subprocess.run([target.compiler, "-I", "-c", script], capture_output=True, text=True, check=True).stdout


def _quiet_environment() -> dict[str, str]:
    return {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}


def _files(folder: Path, base: Path | None = None) -> Iterable[tuple[str, Path]]:
    """Every file under the folder, by its name in the zip. Byte-code lying about in a working tree is not ours."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not (base and "__pycache__" in path.parts):
            yield path.relative_to(base or folder).as_posix(), path


def _digest(files: Iterable[tuple[str, Path]]) -> str:
    return _hash(*(part for name, path in files for part in (name.encode(), path.read_bytes())))


def _hash(*parts: bytes) -> str:
    """Each part goes in with its length, so that no two lists of parts read the same."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8) + part)
    return total.hexdigest()[:32]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
