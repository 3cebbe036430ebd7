"""SIGINT (Ctrl-C), SIGTERM and SIGHUP (a closed terminal) end a run in order: it is saved."""

import signal
import threading
from typing import Any, Self

from runtime.logging import logger


class SignalHandler:
    """Records the first signal, to stop after the step; a second SIGINT or SIGTERM stops at once.

    SIGHUP is left alone where it is ignored, as `nohup` has it.

    Attributes:
      signal: the number of the signal that was received, or None.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Python allows handlers in the main thread only.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                    continue
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: object) -> None:
        if self.signal is not None:
            # The shell and the system both send SIGHUP for one terminal that is closed.
            if number == signal.SIGHUP:
                return
            raise KeyboardInterrupt
        self.signal = number
        logger.warning(
            "%s: finishing this step, then saving; again to stop at once",
            signal.Signals(number).name,
        )
