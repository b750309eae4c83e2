"""What a cold start pays for: modules imported, import CPU against the floor `import boto3`, and the size of the zip."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass

from infra.bundles import bundle, for_lambda, for_this_host
from tests.architecture.source import lambda_names

RUNS = 7

_SCRIPT = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
before = set(sys.modules)
started = time.process_time()
__import__(sys.argv[2])
print(json.dumps({"cpu": time.process_time() - started, "modules": len(set(sys.modules) - before)}))
"""


@dataclass(frozen=True)
class Function:
    """One function. CPU in milliseconds, sizes in bytes."""

    function: str
    modules: int
    cpu: float
    floor: float
    zip_size: int

    @property
    def ratio(self) -> float:
        """Import CPU as a multiple of the floor's, measured in turns within the same seconds."""
        return self.cpu / self.floor


@dataclass(frozen=True)
class ColdStart:
    """All functions."""

    functions: tuple[Function, ...]


def measure() -> ColdStart:
    """Builds what is not built yet, and measures one function after the other."""
    return ColdStart(tuple(_measure(name) for name in lambda_names()))


def _measure(function: str, runs: int = RUNS) -> Function:
    """Imports the function's handler from its zip alone, and boto3 from the same zip, in turns."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(bundle(function, for_this_host()).path) as archive:
            archive.extractall(folder)
        samples = [(_import(folder, f"{function}.handler"), _import(folder, "boto3")) for _ in range(runs)]
    cpu, floor = (statistics.median(sample[which]["cpu"] * 1000 for sample in samples) for which in (0, 1))
    return Function(function, int(samples[0][0]["modules"]), cpu, floor, bundle(function, for_lambda()).path.stat().st_size)


def _import(folder: str, module: str) -> dict[str, float]:
    base = getattr(sys, "_base_executable", sys.executable)
    done = subprocess.run([base, "-I", "-S", "-c", _SCRIPT, folder, module], capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def show(it: ColdStart) -> None:
    """Prints a row per function."""
    print("function              modules   import CPU   x import boto3   zip (arm64)")
    for one in it.functions:
        print(f"{one.function:<20} {one.modules:>8} {one.cpu:>9.0f} ms {one.ratio:>13.2f} x {one.zip_size / 1e6:>10.2f} MB")


def main() -> None:
    """Prints the figures."""
    show(measure())


if __name__ == "__main__":
    main()
