"""How far something is: a bar on a terminal, elsewhere a line of the log now and then."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator

from tqdm import tqdm

from pipeline.catalogue.catalogue import Progress

logger = logging.getLogger("wavestream")

_SECONDS_BETWEEN_LINES = 60.0


def progress_bar(label: str) -> Progress:
    """Returns what wraps an iterable of known length in a bar that goes away at its end.

    Where stderr is no terminal, it is a line of the log every minute.
    """

    def progress(items: Iterable, total: int) -> Iterable:
        if sys.stderr.isatty():
            return tqdm(items, total=total, desc=label, leave=False)
        return _in_lines(items, total, label)

    return progress


def _in_lines(items: Iterable, total: int, label: str) -> Iterator:
    begin = told = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - told >= _SECONDS_BETWEEN_LINES:
            told = now
            left = tqdm.format_interval((now - begin) / done * (total - done)) if done else "?"
            logger.info("%-16s %s of %s, %s left", label, f"{done:,}", f"{total:,}", left)
        yield item
