"""How far compressing and the like are: a bar on a terminal, lines in the log elsewhere."""

import os
import sys
import threading
import time
from collections.abc import Callable

from runtime.formatting import format_row, format_time
from runtime.logging import logger
from runtime.progress import Bar

_SECONDS_BETWEEN_LINES = 60.0

Ratio = Callable[[int, int], float]
"""(bytes that were read, bytes that have become of them) -> compressed over original size."""


class CodecProgress:
    """Counts bytes and seconds of audio over all files, from several threads."""

    def __init__(
        self,
        num_files: int,
        total_bytes: int,
        ratio: Ratio,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begins.

        Args:
          num_files: of the command.
          total_bytes: in them.
          ratio: that is shown.
          clock: returns the time in seconds.
        """
        self._lock = threading.Lock()
        self._ratio = ratio
        self._clock = clock
        self._begin = self._last_line = clock()
        self._num_files, self._total = num_files, max(total_bytes, 1)
        self._files = self._read = self._made = 0
        self.audio_seconds = 0.0
        self._bar: Bar | None = None
        if sys.stderr is not None and sys.stderr.isatty():
            layout = "{percentage:3.0f}% |{bar}| {desc}"
            self._bar = Bar(total=self._total, leave=False, bar_format=layout)

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

    def say(self, text: str) -> None:
        """Prints a line to stderr, above the bar."""
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr)

    def close(self) -> None:
        """Clears the bar."""
        if self._bar is not None:
            self._bar.close()

    def _show(self) -> None:
        if self._bar is not None:
            self._bar.n = min(self._read, self._total)
            self._bar.set_description_str(self._text(), refresh=False)
            self._bar.update(0)
        elif (now := self._clock()) - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            logger.info("%s", format_row("progress", self._text()))

    def _text(self) -> str:
        spent = max(self._clock() - self._begin, 1e-9)
        done = min(self._read / self._total, 1.0)
        parts = [f"{self._files:,} of {self._num_files:,} files"]
        if self.audio_seconds:
            parts.append(f"{self.audio_seconds / spent:.1f}x realtime")
        if self._read and self._made:
            parts.append(f"ratio {self._ratio(self._read, self._made):.3f}")
        if done:
            parts.append(f"{format_time(spent / done * (1 - done))} left")
        return ", ".join(parts)


def compression_ratio(before: int, after: int) -> float:
    """Returns the compressed over the original size."""
    return after / before if before else 1.0


def decompression_ratio(before: int, after: int) -> float:
    """Returns the same, of a file that is decompressed."""
    return compression_ratio(after, before)


def size_of(path: str) -> int:
    """Returns a file's bytes; 0 where it cannot be asked, which its own error will say."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
