"""Progress: a bar on a terminal, or a line in the log every minute."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tqdm import tqdm

from runtime.formatting import format_row, format_time
from runtime.logging import logger
from runtime.terminal import FALLBACK_COLUMNS, is_terminal

Progress = Callable[[Iterable, int], Iterable]
"""Wraps an iterable of known length, as `lambda items, total: tqdm(items, total=total)` does."""

_SECONDS_BETWEEN_LINES = 60.0


def no_progress(items: Iterable, total: int) -> Iterable:
    """A `Progress` that shows nothing."""
    return items


_Size = tuple[int | None, int | None]


def _with_fallback(size: Callable[[Any], _Size]) -> Callable[[Any], _Size]:
    """Returns tqdm's function of the columns and rows of a terminal, each less 1, but for 0."""

    def known_size(stream: Any) -> _Size:
        columns, rows = size(stream)
        return (
            FALLBACK_COLUMNS - 1 if columns is not None and columns < 1 else columns,
            None if rows is not None and rows < 1 else rows,
        )

    return known_size


class Bar(tqdm):
    """A bar on a terminal, nothing elsewhere, also where the terminal is closed meanwhile."""

    dynamic_ncols: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        disable = not is_terminal(sys.stderr)
        super().__init__(*args, dynamic_ncols=True, disable=disable, **kwargs)
        if not disable and self.dynamic_ncols is not None:
            self.dynamic_ncols = _with_fallback(self.dynamic_ncols)
            self.ncols, self.nrows = self.dynamic_ncols(self.fp)

    def columns(self) -> int:
        """Returns the width that it has on the terminal at this moment."""
        size = self.dynamic_ncols(self.fp)[0] if self.dynamic_ncols else self.ncols
        return FALLBACK_COLUMNS - 1 if size is None else size

    def display(self, *args: Any, **kwargs: Any) -> None:
        with contextlib.suppress(OSError):
            super().display(*args, **kwargs)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


class ProgressBar(Bar):
    """The steps of a run: a bar with the time left on a terminal, nothing elsewhere."""

    def __init__(self, total: int) -> None:
        super().__init__(total=total, unit="step")

    def set(self, done: int) -> None:
        """Moves to `done` steps, which do not count in the estimate of the time left."""
        self.initial = self.n = done
        self.refresh()


def progress_bar(label: str, clock: Callable[[], float] = time.monotonic) -> Progress:
    """Returns a function that wraps an iterable of known length in a bar, cleared at its end.

    Where stderr is no terminal, there is a line in the log every minute instead.

    Args:
      label: what the items are, in front of the bar.
      clock: returns the time in seconds.
    """

    def progress(items: Iterable, total: int) -> Iterator:
        if is_terminal(sys.stderr):
            yield from Bar(items, label, total, leave=False, unit="")
            return
        begin = last_line = clock()
        for done, item in enumerate(items, start=1):
            yield item
            now = clock()
            if now - last_line >= _SECONDS_BETWEEN_LINES:
                last_line = now
                left = (now - begin) / done * (total - done)
                text = f"{done:,} of {total:,}, {format_time(left)} left"
                logger.info("%s", format_row(label, text))

    return progress
