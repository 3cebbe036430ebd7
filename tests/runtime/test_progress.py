"""How far something is, on a terminal and elsewhere."""

import contextlib
import io
import logging
import os
import pathlib
import pty
import re
import subprocess
import sys
import termios

from runtime.progress import ProgressBar, progress_bar

ROOT = pathlib.Path(__file__).parents[2]


class _Clock:
    """Stands still until it is set."""

    now = 1000.0

    def __call__(self):
        return self.now


def test_a_log_has_a_line_every_minute(caplog):
    caplog.set_level(logging.INFO)
    clock, seen = _Clock(), []
    for item in progress_bar("the model", clock)(range(4000), 4000):
        clock.now += 0.5
        seen.append(item)
    assert seen == list(range(4000))
    assert len(caplog.messages) == 33
    assert caplog.messages[0] == "the model        120 of 4,000, 0:32:20 left"
    assert caplog.messages[-1] == "the model        3,960 of 4,000, 0:00:20 left"


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_has_a_bar(monkeypatch, caplog):
    clock = _Clock()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(sys, "stderr", _Terminal())
    for _ in progress_bar("the model", clock)(range(3), 3):
        clock.now += 100
    assert "the model:" in sys.stderr.getvalue()
    assert not caplog.records


def test_a_run_has_no_bar_where_there_is_no_terminal(capsys):
    with ProgressBar(3) as bar:
        bar.update()
    assert capsys.readouterr().err == ""


_ON_A_TERMINAL = """
from runtime.logging import start_logging
from runtime.progress import ProgressBar
logger = start_logging(None)
with ProgressBar(20) as bar:
    bar.set(5)
    for step in range(5, 20):
        logger.info("line %02d", step)
        bar.update()
    logger.warning("careful")
"""


def test_bar_and_lines_do_not_garble_one_another():
    parent, child = pty.openpty()
    termios.tcsetwinsize(child, (24, 100))
    command = [sys.executable, "-c", _ON_A_TERMINAL]
    environment = {**os.environ, "TERM": "xterm", "CI": ""}
    with subprocess.Popen(command, stderr=child, cwd=ROOT, env=environment) as run:
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
    assert "20/20" in seen[-2]
    assert "\x1b[33mwarning:\x1b[0m careful" in seen
    assert re.search(r"\d\d:\d\d<\d\d:\d\d", shown.decode())  # elapsed<left
