"""Commands that are killed: the old state, or the finished file."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.slow
def test_killed_twenty_times_nothing_is_lost():
    done = subprocess.run(
        [sys.executable, "-m", "tests.codec.killed"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    # Of 20 of compress, 20 with --delete_input_file, 20 of decompress, most come in time.
    assert sum(map(int, done.stdout.split())) >= 20
