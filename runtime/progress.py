"""Progress: a bar on a terminal, or a line in the log every minute."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator

from tqdm import tqdm

from runtime.formatting import format_row, format_time
from runtime.logging import logger

Progress = Callable[[Iterable, int], Iterable]
"""Wraps an iterable of known length, as `lambda items, total: tqdm(items, total=total)` does."""

_SECONDS_BETWEEN_LINES = 60.0


def no_progress(items: Iterable, total: int) -> Iterable:
    """A `Progress` that shows nothing."""
    return items


class ProgressBar(tqdm):
    """The steps of a run: a bar with the time left on a terminal, nothing elsewhere."""

    def __init__(self, total: int) -> None:
        # `disable=None`: where stderr is no terminal.
        super().__init__(total=total, unit="step", dynamic_ncols=True, disable=None)

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
        if sys.stderr.isatty():
            yield from tqdm(items, label, total, leave=False, dynamic_ncols=True)
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
