"""Colour on terminals, and plain text elsewhere."""

import io
import pty
import select

import pytest

from runtime.progress import Bar
from runtime.terminal import emphasize_marked, is_terminal, styled


class _Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in ("CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def test_a_terminal_has_colour():
    assert styled("error:", "red", _Terminal()) == "\x1b[1;31merror:\x1b[0m"
    assert styled("", "bold", _Terminal()) == ""
    table = emphasize_marked("a\n> model 1\n  flac 2", _Terminal())
    assert table == "a\n\x1b[1m> model 1\x1b[0m\n  flac 2"


@pytest.mark.parametrize(
    ("name", "value", "is_dumb"),
    [("TERM", "dumb", True), ("CI", "true", True), ("NO_COLOR", "1", False)],
)
def test_the_environment_may_ask_for_plain_text(monkeypatch, name, value, is_dumb):
    monkeypatch.setenv(name, value)
    terminal = _Terminal()
    assert styled("error:", "red", terminal) == "error:"
    assert is_terminal(terminal) is not is_dumb
    monkeypatch.setattr("sys.stderr", terminal)
    with Bar(total=2) as bar:
        bar.update()
    assert (terminal.getvalue() == "") is is_dumb  # Without colour there are bars.


def test_a_terminal_that_says_its_width_is_0_has_bars_of_80_columns(monkeypatch):
    primary, secondary = pty.openpty()  # Its size is 0 by 0 until it is set.
    with open(primary, "rb", buffering=0) as screen, open(secondary, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        with Bar(total=4, desc="WAV headers", leave=False, file=terminal) as bar:
            bar.update(1)
            bar.refresh()
            assert select.select([screen], [], [], 10)[0], "nothing is shown"
            shown = screen.read(4096).decode().split("\r")[-1]
    assert shown.startswith("WAV headers:  25%|") and len(shown) == 79


@pytest.mark.parametrize("stream", [io.StringIO(), None])
def test_elsewhere_it_is_plain(stream):
    assert styled("error:", "red", stream) == "error:"
    assert emphasize_marked("> model", stream) == "> model"
