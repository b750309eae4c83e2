"""Where things are: rules that keep a behaviour findable in one guess."""

from __future__ import annotations

import ast
import statistics
import tomllib
from collections.abc import Iterator

import pytest

from tests.architecture.source import FUNCTIONS, ROOT, definitions, lambda_names, modules, tree

VAGUE = {"utils", "util", "common", "helpers", "helper", "models", "misc", "base_classes"}


@pytest.mark.parametrize("name", lambda_names())
def test_a_function_has_all_its_parts_under_its_own_name(name: str) -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert (FUNCTIONS / name / "handler.py").is_file()
    assert (FUNCTIONS / name / "settings.py").is_file()
    assert (ROOT / "infra" / f"{name}.py").is_file()
    assert list((ROOT / "tests" / name).glob("test_*.py"))
    assert list((ROOT / "events" / name).glob("*.json"))
    assert name.replace("_", "-") in groups


def test_nothing_is_left_of_a_function_that_is_gone() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    known = {name.replace("_", "-") for name in lambda_names()}
    assert set(groups) - known == {"shared", "infra", "local", "dev"}


def test_no_module_has_a_vague_name() -> None:
    assert [p for p in modules("functions", "infra", "cli", "tests") if p.stem in VAGUE] == []


def test_modules_are_short() -> None:
    long = {
        str(p.relative_to(ROOT)): n
        for p in modules("functions", "infra", "cli", "tests")
        if (n := len(p.read_text().splitlines())) > 400
    }
    assert long == {}


def test_functions_are_short() -> None:
    lengths = [
        (node.end_lineno or node.lineno) - node.body[0].lineno + 1
        for path in modules("functions", "infra", "cli")
        for node in definitions(path)
        if hasattr(node, "args")
    ]
    assert statistics.median(lengths) < 8
    assert statistics.quantiles(lengths, n=10)[-1] < 30
    assert max(lengths) < 80


def test_whatever_is_public_says_what_it_is() -> None:
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in modules("functions", "infra", "cli")
        for node in public(tree(path))
        if ast.get_docstring(node) is None
    ]
    assert silent == []


def public(within: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Public classes, functions and methods; not what is local to a function, nor what a private class or overload has."""
    for node in within.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_") and not _is_overload(node):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node)


def _is_overload(node: ast.FunctionDef | ast.ClassDef) -> bool:
    return any(isinstance(one, ast.Name) and one.id == "overload" for one in node.decorator_list)
