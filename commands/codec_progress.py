"""How far compressing and the like are: a bar on a terminal, lines in the log elsewhere."""

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TextIO

from evaluation.report.formatting import printable
from runtime.formatting import format_row, format_time
from runtime.logging import logger
from runtime.progress import Bar
from runtime.terminal import is_terminal, styled

_SECONDS_BETWEEN_LINES = 60.0
_SECONDS_BETWEEN_TICKS = 1.0
_LAYOUT = "{percentage:3.0f}% |{bar}| {desc}"
_AROUND_BAR = len("100% || ")
_LEAST_BAR = 10  # Columns; what matters least of the text makes room.

Ratio = Callable[[int, int], float | None]
"""(bytes that were read, bytes that have become of them) -> compressed over original size.

None where the original has no bytes.
"""


class CodecProgress:
    """Counts bytes and seconds of audio over all files, from several threads."""

    def __init__(
        self,
        num_files: int,
        total_bytes: int,
        ratio: Ratio | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begins.

        Args:
          num_files: of the command.
          total_bytes: in them.
          ratio: that is shown; None: none is.
          clock: returns the time in seconds.
        """
        self._lock = threading.RLock()  # Ctrl-C closes it, whatever it is in.
        self._ratio = ratio
        self._clock = clock
        self._begin = self._last_line = clock()
        self._num_files, self._total = num_files, max(total_bytes, 1)
        self._files = self._read = self._made = 0
        self.audio_seconds = 0.0
        self._bar: Bar | None = None
        if is_terminal(sys.stderr):
            self._bar = Bar(total=self._total, leave=False, bar_format=_LAYOUT)
        # A segment may take more than a minute, in which nothing is added.
        self._closed = threading.Event()
        threading.Thread(target=self._tick, daemon=True).start()

    def add(self, read: int, made: int, seconds: float) -> None:
        """Is a `codec.progress.Progress`."""
        with self._lock:
            self._read += read
            self._made += made
            self.audio_seconds += seconds
            self._show()

    def end_file(self) -> None:
        """Counts a file that is finished."""
        with self._lock:
            self._files += 1
            self._show()

    def say(self, text: str, stream: TextIO | None) -> None:
        """Prints a line, above the bar."""
        if stream is not None:
            Bar.write(text, file=stream)
            stream.flush()  # A pipe is read meanwhile, too.

    def say_error(self, path: str, reason: str) -> None:
        """Prints what is wrong with a file, to stderr."""
        text = printable(reason if reason.startswith(path) else f"{path}: {reason}")
        self.say(f"{styled('error:', 'red', sys.stderr)} {text}", sys.stderr)

    def say_damage(self, path: str, texts: Sequence[str]) -> None:
        """Prints all that is wrong with a file, a line each, to stderr."""
        if texts:
            self.say(damage_lines(path, texts), sys.stderr)

    def close(self) -> None:
        """Clears the bar."""
        with self._lock:
            self._closed.set()
            if self._bar is not None:
                self._bar.close()

    def _tick(self) -> None:
        while not self._closed.wait(_SECONDS_BETWEEN_TICKS):
            with self._lock:
                if not self._closed.is_set():
                    self._show()

    def _show(self) -> None:
        if self._bar is not None:
            self._bar.n = min(self._read, self._total)
            room = self._bar.columns() - _AROUND_BAR - _LEAST_BAR
            self._bar.set_description_str(self._text(room), refresh=False)
            self._bar.update(0)
        elif (now := self._clock()) - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            logger.info("%s", format_row("progress", self._text()))

    def _text(self, most: float = math.inf) -> str:
        """Returns how far it is, in so many characters if at all possible."""
        spent = max(self._clock() - self._begin, 1e-9)
        done = min(self._read / self._total, 1.0)
        parts = {"files": f"{self._files:,} of {self._num_files:,} files"}
        if self.audio_seconds:
            parts["speed"] = f"{self.audio_seconds / spent:.1f}x realtime"
        ratio = None if self._ratio is None else self._ratio(self._read, self._made)
        if self._read and self._made and ratio is not None:
            parts["ratio"] = f"ratio {ratio:.3f}"
        parts["spent"] = f"{format_time(spent)} so far"
        if done:
            parts["left"] = f"{format_time(spent / done * (1 - done))} left"
        for least in ("spent", "ratio", "speed", "files"):
            if len(", ".join(parts.values())) <= most or len(parts) == 1:
                break
            parts.pop(least, None)
        return ", ".join(parts.values())


def damage_lines(path: str, texts: Sequence[str]) -> str:
    """Returns what is wrong with a file, a line each, for stderr."""
    label = styled("damaged:", "yellow", sys.stderr)
    return "\n".join(f"{label} {printable(f'{path}: {text}')}" for text in texts)


def compression_ratio(before: int, after: int) -> float | None:
    """Returns the compressed over the original size; None where that is 0."""
    return after / before if before else None


def decompression_ratio(before: int, after: int) -> float | None:
    """Returns the same, of a file that is decompressed."""
    return compression_ratio(after, before)


def size_of(path: str) -> int:
    """Returns a file's bytes; 0 where it cannot be asked, which its own error will say."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
