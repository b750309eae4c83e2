"""Equal inputs make equal requests, byte for byte."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from shared.addresses import check_url
from tests.contract.asking import ended
from tests.contract.registered import ROWS, Operation, Row, each_operation, sample

ROOT = Path(__file__).parents[2]


def fingerprint() -> str:
    """Of all requests of all samples."""
    requests = [
        repr((one.method, one.url, list(one.headers.items()), one.body, one.timeout))
        for row in ROWS
        for operation in sample(row).operations.values()
        for one in ended(operation).asked
    ]
    return hashlib.sha256("".join(requests).encode()).hexdigest()


def test_requests_are_the_same_every_time_and_in_every_process() -> None:
    code = "from tests.contract.test_requests import fingerprint; print(fingerprint())"
    path = os.pathsep.join((str(ROOT), str(ROOT / "functions")))
    other = {"PYTHONPATH": path, "PYTHONHASHSEED": "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"}
    done = subprocess.run([sys.executable, "-c", code], env=other, capture_output=True, text=True, check=True)
    assert fingerprint() == fingerprint() == done.stdout.strip()


@each_operation()
def test_requests_can_be_sent_as_they_are(row: Row, operation: Operation) -> None:
    for request in ended(operation).asked:
        check_url(request.url)
        assert 0 < request.timeout <= 25
        for name, value in request.headers.items():
            assert name == name.lower()
            assert f"{name}{value}".isascii()
            assert f"{name}{value}".isprintable()
