"""What a run says, on a terminal and elsewhere."""

import contextlib
import logging
import os
import pty
import re
import subprocess
import sys
import termios

import pytest

from runtime import logging as run_log


@pytest.fixture(autouse=True)
def _restored_logger():
    yield
    for handler in list(run_log.logger.handlers):
        run_log.logger.removeHandler(handler)
        handler.close()
    run_log.logger.propagate = True


def test_console_is_plain_and_the_file_has_times(tmp_path, capsys):
    path = tmp_path / "model_training.log"
    logger = run_log.start_logging(str(path))
    logger.info("step %d", 1)
    logger.warning("careful")
    assert capsys.readouterr().err == "step 1\nwarning: careful\n"
    lines = path.read_text().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO step 1", lines[0])
    assert lines[1].endswith(" WARNING careful")


def test_starting_again_appends_and_does_not_double(tmp_path, capsys):
    path = tmp_path / "t.log"
    for _ in range(2):
        run_log.start_logging(str(path)).info("hello")
    assert capsys.readouterr().err == "hello\nhello\n"
    assert len(path.read_text().splitlines()) == 2


def test_no_log_file_is_a_warning(tmp_path, capsys):
    logger = run_log.start_logging(str(tmp_path / "missing" / "t.log"))
    logger.info("on")
    warning, line = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: ") and "missing/t.log" in warning
    assert line == "on"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_one_warning(capsys):
    logger = run_log.start_logging("/dev/full")
    logger.info("one")
    logger.info("two")
    one, warning, two = capsys.readouterr().err.splitlines()
    assert (one, two) == ("one", "two")
    assert warning.startswith("warning: /dev/full: ") and "console only" in warning


def test_no_bar_where_there_is_no_terminal(capsys):
    with run_log.ProgressBar(3) as bar:
        bar.update(3, bits=1.5)
    assert capsys.readouterr().err == ""


_ON_A_TERMINAL = """
from runtime import logging as run_log
logger = run_log.start_logging(None)
with run_log.ProgressBar(20, initial=5) as bar:
    for step in range(5, 20):
        logger.info("line %02d", step)
        bar.update(1, bits=f"{step}.5")
"""


def test_bar_and_lines_do_not_garble_one_another():
    parent, child = pty.openpty()
    termios.tcsetwinsize(child, (24, 100))
    root = run_log.__file__.rsplit("/training/", 1)[0]
    with subprocess.Popen([sys.executable, "-c", _ON_A_TERMINAL], stderr=child, cwd=root) as run:
        os.close(child)
        shown = b""
        with contextlib.suppress(OSError):  # Linux says so when the other side is closed
            while piece := os.read(parent, 4096):
                shown += piece
    os.close(parent)
    assert run.returncode == 0
    lines = shown.decode().split("\r\n")
    # What stands in a line is what was written after the last carriage return.
    seen = [line.split("\r")[-1] for line in lines]
    assert [line for line in seen if line.startswith("line")] == [
        f"line {step:02d}" for step in range(5, 20)
    ]
    assert "20/20" in seen[-2] and "bits=19.5" in seen[-2]
    assert re.search(r"\d\d:\d\d<\d\d:\d\d", shown.decode())  # elapsed<left


TRAIN = {
    "train/loss": 3.14159,
    "train/bits_per_sample": 4.5324,
    "train/compression_ratio": 0.5665,
    "train/grad_norm": 1.25,
    "train/learning_rate": 1e-4,
    "train/samples_per_second": 123456.0,
    "train/input_wait": 0.031,
}


def test_format_metrics():
    assert run_log.format_metrics(100, 1000, TRAIN) == (
        "step  100/1000 | loss  3.1416 nats/symbol |  4.5324 bits/sample | ratio 0.5665 of raw | "
        "grad norm     1.25 | lr 1.00e-04 |  123k samples/s | input wait   3%"
    )
    valid = {"valid/loss": 2.0, "valid/bits_per_sample": 2.9, "valid/compression_ratio": 0.36}
    assert run_log.format_metrics(7, 10, {**valid, "other": 1.0}) == (
        "step  7/10 | valid loss  2.0000 nats/symbol | valid  2.9000 bits/sample"
        " | valid ratio 0.3600 of raw"
    )


@pytest.mark.parametrize("value", [0.0, 1e-9, 0.99996, 12.5, 1e5, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["train/grad_norm", "train/learning_rate"])
def test_columns_stay_aligned(name, value):
    def bars(metrics):
        line = run_log.format_metrics(1, 10, metrics)
        return [i for i, character in enumerate(line) if character == "|"]

    assert bars({**TRAIN, name: value}) == bars(TRAIN)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (950.0, "950"),
        (999.6, "1k"),
        (1234.0, "1.23k"),
        (45.6e6, "45.6M"),
        (2e9, "2G"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
    ],
)
def test_samples_per_second(value, shown):
    line = run_log.format_metrics(1, 1, {"train/samples_per_second": value})
    assert line == f"step 1/1 | {shown:>5} samples/s"


def test_summary_table():
    table = run_log.summary_table([("steps", "50"), ("model", "./audio_model.npz")])
    rule = "-" * 24
    assert table.split("\n") == [rule, "steps  50", "model  ./audio_model.npz", rule]


def test_the_logger_is_the_one_the_writers_use():
    assert run_log.start_logging(None) is logging.getLogger("wavestream")
