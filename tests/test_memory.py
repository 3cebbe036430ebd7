"""The defaults fit into the memory of a desktop."""

import pathlib
import re
import subprocess
import sys

import pytest

BENCHMARK = pathlib.Path(__file__).parent.parent / "benchmarks" / "training_speed.py"


@pytest.mark.slow
def test_a_step_of_the_default_batch_fits():
    run = subprocess.run(
        [sys.executable, str(BENCHMARK), "--memory"],
        check=True,
        capture_output=True,
        text=True,
        timeout=900,
    )
    found = re.findall(r"(\d+) bits, batch 128, chunk 2048: ([\d.]+) GB", run.stdout)
    peaks = {int(depth): float(size) for depth, size in found}
    assert peaks[8] < 8
    assert peaks[16] < 12
