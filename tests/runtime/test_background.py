"""Work in the background, and the end of the process."""

import pathlib
import subprocess
import sys
import time

import pytest

from runtime.background import run_in_background

ROOT = pathlib.Path(__file__).parents[2]


def test_results_and_errors() -> None:
    assert run_in_background(lambda: 3, "three").result() == 3
    with pytest.raises(ZeroDivisionError):
        run_in_background(lambda: 1 // 0, "error").result()


@pytest.mark.parametrize("busy", [True, False])
def test_a_mistake_ends_the_process_though_the_compiler_is_busy(busy: bool) -> None:
    program = f"""
import sys, time
from commands import parser
from main import COMMANDS
from runtime.background import run_in_background
run_in_background(lambda: time.sleep({60 * busy}), "compile")
sys.argv = ["main.py", "info", "missing.wvst"]
print("begun")
parser.run(COMMANDS)
"""
    begin = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert (result.returncode, result.stdout) == (2, "begun\n")
    assert "missing.wvst" in result.stderr and "Traceback" not in result.stderr
    assert time.monotonic() - begin < 50
