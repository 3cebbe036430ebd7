"""The defaults fit into the memory of a desktop, and long runs keep to what they have."""

import pathlib
import re
import subprocess
import sys

import pytest

from benchmarks.long_run import growth, measure

BENCHMARK = pathlib.Path(__file__).parent.parent / "benchmarks" / "training_speed.py"


@pytest.mark.slow
def test_a_step_of_the_default_batch_fits():
    run = subprocess.run(
        [sys.executable, str(BENCHMARK), "--memory"],
        check=True,
        capture_output=True,
        text=True,
        timeout=1800,  # Seconds; a shared machine takes many of them.
    )
    found = re.findall(r"(\d+) bits, batch 128, chunk 2048: ([\d.]+) GB", run.stdout)
    peaks = {int(depth): float(size) for depth, size in found}
    assert peaks[8] < 8
    assert peaks[16] < 12


@pytest.mark.slow
def test_memory_does_not_grow_with_steps(tmp_path):
    """After the first forty checkpoints and validations, in which the heap finds its size."""
    steps = 5000
    assert growth(measure(steps, str(tmp_path)), since=steps / 2) < 30
