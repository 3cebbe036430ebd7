"""A trace of a few steps, for TensorBoard's profiler."""

import os
from collections.abc import Callable

import jax

from runtime.logging import logger

# Few, because the files are large; not the first, which compile.
_TRACED_STEPS = range(10, 20)


class Profiler:
    """Traces a few steps into a folder; does nothing if that is None."""

    def __init__(self, directory: str | None) -> None:
        self._directory = directory
        self._running = False

    def at(self, step: int) -> None:
        """Starts or stops the trace before this step."""
        if self._directory and step == _TRACED_STEPS.start:
            self._attempt(self._start)
        elif step == _TRACED_STEPS.stop:
            self.stop()

    def stop(self) -> None:
        """Writes the trace, if one is running."""
        if self._running:
            self._running = False
            self._attempt(self._write)

    def _start(self) -> None:
        assert self._directory is not None
        os.makedirs(self._directory, exist_ok=True)
        jax.profiler.start_trace(self._directory)
        self._running = True

    def _write(self) -> None:
        jax.profiler.stop_trace()
        logger.info("profile written to %s", self._directory)

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # A full disk, or a name that XLA does not take, ends no run.
            logger.warning("no profile written to %s: %s", self._directory, error)
