"""All sandboxes as one process: one line of JSON, served until told to stop, with what it had before."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx

HERE = Path(__file__).parents[2]


def start(directory: Path) -> tuple[subprocess.Popen[str], dict[str, dict[str, str]]]:
    command = [sys.executable, "-m", "tests.sandbox", "--state-dir", str(directory)]
    process = subprocess.Popen(command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def end(process: subprocess.Popen[str]) -> int:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.stdout.close()
    return process.wait(15)


def test_it_serves_until_stdin_ends_and_remembers(tmp_path: Path) -> None:
    process, first = start(tmp_path)
    try:
        url = first["dynamics"]["url"] + "/_control/contacts"
        seed = {"contacts": [{"lastname": "Lovelace", "emailaddress1": "ada@example.com"}]}
        ids = httpx.post(url, json=seed, trust_env=False).json()["ids"]
    finally:
        assert end(process) == 0
    process, second = start(tmp_path)
    try:
        assert second == first
        rows = httpx.get(second["dynamics"]["url"] + "/_control/rows?table=contact", trust_env=False).json()
        assert [row["contactid"] for row in rows] == ids
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    finally:
        process.kill()
        end(process)
