"""Progress: a bar on a terminal, or a line in the log every minute."""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

from tqdm import tqdm

from runtime.formatting import format_row

logger = logging.getLogger("wavestream")

Progress = Callable[[Iterable, int], Iterable]
"""Wraps an iterable of known length, as `lambda items, total: tqdm(items, total=total)` does."""

_SECONDS_BETWEEN_LINES = 60.0


def no_progress(items: Iterable, total: int) -> Iterable:
    """A `Progress` that shows nothing."""
    return items


class ProgressBar:
    """The steps of a run: a bar with the time left on a terminal, nothing elsewhere.

    Use as a context manager around the steps.
    """

    def __init__(self, total: int, unit: str = "step", **options: Any) -> None:
        """Draws the bar; `options` are more of tqdm's."""
        self._bar = tqdm(
            total=total,
            unit=unit,
            file=sys.stderr,
            dynamic_ncols=True,
            disable=not sys.stderr.isatty(),
            **options,
        )

    def set(self, done: int) -> None:
        """Moves to `done` steps, which do not count in the estimate of the time left."""
        self._bar.initial = self._bar.n = done
        self._bar.refresh()

    def update(self) -> None:
        """Advances by one."""
        self._bar.update()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()


class _LoggingBar(ProgressBar):
    """A bar that is cleared at its end; without a terminal, a line in the log every minute."""

    def __init__(self, total: int, label: str, clock: Callable[[], float]) -> None:
        super().__init__(total, "it", desc=label, leave=False)
        self._total, self._label, self._clock = total, label, clock
        self._begin = self._last_line = clock()
        self._done = 0

    def update(self) -> None:
        super().update()
        self._done += 1
        now = self._clock()
        if self._bar.disable and now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = (now - self._begin) / self._done * (self._total - self._done)
            text = f"{self._done:,} of {self._total:,}, {tqdm.format_interval(left)} left"
            logger.info("%s", format_row(self._label, text))


def progress_bar(label: str, clock: Callable[[], float] = time.monotonic) -> Progress:
    """Returns a function that wraps an iterable of known length in a bar, cleared at its end.

    Where stderr is no terminal, there is a line in the log every minute instead.

    Args:
      label: what the items are, in front of the bar.
      clock: returns the time in seconds.
    """

    def progress(items: Iterable, total: int) -> Iterator:
        with _LoggingBar(total, label, clock) as bar:
            for item in items:
                yield item
                bar.update()

    return progress
