"""SIGINT (Ctrl-C), SIGTERM and SIGHUP (a closed terminal) end a run in order: it is saved."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any, Self

from runtime.logging import logger


class _Interrupt:
    """A handler of SIGINT that raises KeyboardInterrupt, and knows that it has."""

    def __init__(self) -> None:
        self.raised = False

    def __call__(self, number: int, frame: object) -> None:
        self.raised = True
        raise KeyboardInterrupt


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, at the latest where a `SignalHandler` begins.

    Python loses what is raised while it collects garbage (JAX has a callback there) or calls
    `__del__`: the run would go on, and nobody would know of the signal.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) != signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _Interrupt())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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
        replaced = self._previous.get(signal.SIGINT)
        if isinstance(replaced, _Interrupt) and replaced.raised:  # And it was lost.
            self.__exit__()
            raise KeyboardInterrupt
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
