"""How far something is, on a terminal and elsewhere."""

import io
import logging
import sys

import pytest

from runtime import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_has_a_line_every_minute(clock, caplog):
    caplog.set_level(logging.INFO)
    seen = []
    for item in progress.progress_bar("the model")(range(4000), 4000):
        clock[0] += 0.5
        seen.append(item)
    assert seen == list(range(4000))
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 33
    assert lines[0] == "the model        120 of 4,000, 32:20 left"
    assert lines[-1] == "the model        3,960 of 4,000, 00:20 left"


def test_a_slow_beginning_has_no_end_in_sight(clock, caplog):
    def slow():
        clock[0] += 61
        yield 1

    caplog.set_level(logging.INFO)
    assert list(progress.progress_bar("codecs")(slow(), 5)) == [1]
    assert caplog.messages == ["codecs           0 of 5, ? left"]


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_has_a_bar(monkeypatch, clock, caplog):
    monkeypatch.setattr(sys, "stderr", _Terminal())
    for _ in progress.progress_bar("the model")(range(3), 3):
        clock[0] += 100
    assert "the model:" in sys.stderr.getvalue()
    assert not caplog.records
