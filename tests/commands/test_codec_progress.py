"""What is said while files are compressed."""

import io
import re
import sys

import pytest

from commands.codec_progress import CodecProgress, compression_ratio, decompression_ratio


def test_a_line_every_minute(caplog):
    now = [0.0]
    progress = CodecProgress(3, 4_000, compression_ratio, clock=lambda: now[0])
    with caplog.at_level("INFO", "wavestream"):
        now[0] = 59.0
        progress.add(500, 200, 60.0)
        progress.end_file()
        assert not caplog.messages
        now[0] = 100.0
        progress.add(500, 200, 140.0)
    assert progress.audio_seconds == 200.0
    [line] = caplog.messages
    assert "1 of 3 files, 2.0x realtime, ratio 0.400, 0:01:40 so far, 0:05:00 left" in line


class _Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        (110, "7 of 15 files, 2.0x realtime, ratio 0.400, 0:01:40 so far, 0:05:00 left"),
        (80, "7 of 15 files, 2.0x realtime, ratio 0.400, 0:05:00 left"),
        (61, "7 of 15 files, 2.0x realtime, 0:05:00 left"),
        (31, "0:05:00 left"),
    ],
)
def test_a_narrow_terminal_has_a_bar_too(monkeypatch, columns, text):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(sys, "stderr", _Terminal())
    now = [0.0]
    progress = CodecProgress(15, 4_000, compression_ratio, clock=lambda: now[0])
    for _ in range(7):
        progress.end_file()
    now[0] = 100.0
    progress._bar.dynamic_ncols = lambda _: (columns - 1, 24)
    progress._bar.mininterval = 0
    progress.add(1000, 400, 200.0)
    shown = sys.stderr.getvalue().split("\r")[-1]
    progress.close()
    assert re.fullmatch(rf" 25% \|.{{10,}}\| {text}", shown)
    assert len(shown) < columns


def test_ratios_are_of_the_compressed_size():
    assert compression_ratio(100, 40) == decompression_ratio(40, 100) == 0.4
    assert compression_ratio(100, 101) == 1.01
    assert compression_ratio(0, 30) is decompression_ratio(30, 0) is None
