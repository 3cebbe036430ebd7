"""A trace of a few steps, for TensorBoard's profiler."""

import logging
import os

import jax

logger = logging.getLogger("wavestream")

# The steps that --profile traces: after compilation, and few, for the files are large.
_PROFILED = range(10, 20)


class Profiler:
    """Traces a few steps, where asked to."""

    def __init__(self, directory: str | None):
        self._directory = directory
        self._running = False

    def at(self, step: int) -> None:
        """Starts or stops the trace before this step."""
        if self._directory and step == _PROFILED.start:
            os.makedirs(self._directory, exist_ok=True)
            jax.profiler.start_trace(self._directory)
            self._running = True
        elif step == _PROFILED.stop:
            self.stop()

    def stop(self) -> None:
        """Writes the trace, if one is running."""
        if self._running:
            jax.profiler.stop_trace()
            self._running = False
            logger.info("profile written to %s", self._directory)
