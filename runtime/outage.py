"""A remote folder that cannot be reached for a while: told once, and tried again until it can."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from runtime.formatting import format_duration
from runtime.logging import logger

T = TypeVar("T")

_of_buckets: dict[str, "Outage"] = {}

_FIRST_DELAY_S, _MAX_DELAY_S = 1.0, 30.0


def may_end(error: OSError) -> bool:
    """Whether to try again after an error: not where a bucket is missing, or access is denied."""
    return not isinstance(error, FileNotFoundError | PermissionError)


def outage_of_bucket(path: str) -> "Outage":
    """Returns the outage of the bucket of a path, one for all of this process who read there."""
    bucket = "/".join(path.split("/")[:3])
    return _of_buckets.setdefault(bucket, Outage(bucket))


class Outage:
    """Whether a remote folder can be reached, shared by all that access it.

    Attributes:
      is_on: whether the last try has failed.
    """

    def __init__(self, folder: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._mutex = threading.Lock()
        self._since = 0.0
        self.is_on = False

    def begin(self, error: OSError) -> None:
        """Notes that a try has failed; the first time with a warning."""
        with self._mutex:
            if self.is_on:
                return
            self.is_on, self._since = True, self._clock()
        logger.warning(
            "%s cannot be accessed (%s): trying again until it can; this ends no run",
            self._folder,
            error,
        )

    def end(self) -> None:
        """Notes that a try has succeeded."""
        with self._mutex:
            if not self.is_on:
                return
            self.is_on = False
        duration = format_duration(self._clock() - self._since)
        logger.warning("%s can be accessed again, after %s", self._folder, duration)

    def retry(
        self,
        action: Callable[[], T],
        *,
        until: Callable[[OSError], bool] = lambda error: not may_end(error),
        sleep: Callable[[float], object] = time.sleep,
    ) -> T:
        """Calls an action until it succeeds, with growing delays.

        Args:
          action: what to do.
          until: from an error to whether to give up, and raise it.
          sleep: waits some seconds.

        Raises:
          OSError: the action's, where `until` says so.
        """
        delay = _FIRST_DELAY_S
        while True:
            try:
                result = action()
            except OSError as error:
                if until(error):
                    raise
                self.begin(error)
                sleep(delay)
                delay = min(2 * delay, _MAX_DELAY_S)
            else:
                self.end()
                return result
