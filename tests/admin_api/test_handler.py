from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Handle = Callable[[dict[str, Any]], dict[str, Any]]
EVENTS = Path(__file__).parents[2] / "events" / "admin_api"


@pytest.mark.parametrize(
    ("case", "status"),
    [
        ("put_template", 200),
        ("put_trigger_without_its_template", 422),
        ("list_definitions", 200),
        ("list_parked", 200),
        ("redrive", 200),
        ("trace_of_a_visitor", 200),
        ("report_of_a_day", 200),
        ("doctor", 200),
        ("preview_an_integration", 200),
        ("publish_what_is_not_there", 404),
        ("list_presets", 200),
        ("suppress_an_address", 200),
    ],
)
def test_the_sample_requests(through_handle: Handle, case: str, status: int) -> None:
    answer = through_handle(json.loads((EVENTS / f"{case}.json").read_text()))
    assert answer["statusCode"] == status
    kind = "application/json" if status == 200 else "application/problem+json"
    assert answer["headers"]["content-type"] == kind


def test_a_cold_start_loads_neither_the_http_client_nor_the_templates() -> None:
    program = "import sys, admin_api.handler; print([m for m in ('h11', 'liquid', 'connectors') if m in sys.modules])"
    root = Path(__file__).parents[2] / "functions"
    result = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(root)}, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
