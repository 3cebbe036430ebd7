"""When a run is saved, and what happens where that fails."""

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from runtime.distributed import broadcast_from_primary
from runtime.errors import TrainingError
from training.checkpoints.store import Checkpoint, CheckpointStore
from training.config import CheckpointConfig
from training.metrics.writers import RewindableWriter
from training.state import LoopState, TrainState, state_arrays

logger = logging.getLogger("wavestream")


class CheckpointSchedule:
    """Saves a run now and then.

    Attributes:
      config: how often, and what to do where it fails.
      failure: why the run must end; None where it need not.
    """

    def __init__(
        self,
        store: CheckpointStore | None,
        config: CheckpointConfig,
        writer: RewindableWriter,
        run: Mapping[str, Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Makes a schedule.

        Args:
          store: where to; None saves nothing, as on all hosts but the first.
          config: how often.
          writer: whose position is saved, too.
          run: JSON values that are saved with every checkpoint, and say whose it is.
          clock: tells seconds.
        """
        self.config = config
        self.failure: str | None = None
        self._store, self._writer, self._run, self._clock = store, writer, run, clock
        self._saved_step = -1
        self._last_save = clock()
        self._start = writer.position()

    def is_due(self, step: int) -> bool:
        """Whether to save after this step, by the number of steps."""
        every = self.config.checkpoint_every
        return bool(every) and step % every == 0

    def poll_clock(self) -> bool:
        """Whether to save, by the clock; that is True once, and the clock starts anew."""
        seconds = 60 * self.config.checkpoint_minutes
        if self._store is None or not seconds or self._clock() - self._last_save < seconds:
            return False
        self._last_save = self._clock()
        return True

    def save(
        self, state: TrainState, loop: LoopState, *, bits_per_sample: float | None = None
    ) -> None:
        """Begins to save.

        Args:
          state: after the step.
          loop: after the step.
          bits_per_sample: in validation, if this step has been validated.

        Raises:
          TrainingError: the parameters are not finite.
        """
        if self._store is None or loop.step == self._saved_step:
            return
        self.check(wait=True)  # The failure of the save before must not keep this one from disk.
        self._last_save = self._clock()
        arrays = state_arrays(state)
        for path, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise TrainingError(f"{path} is not finite after step {loop.step}")
        try:
            metadata = {
                "loop": dataclasses.asdict(loop),
                "outputs": self._writer.position(),
                "run": self._run,
            }
            checkpoint = Checkpoint(loop.step, arrays, metadata)
            self._store.save(checkpoint, bits_per_sample=bits_per_sample)
            self._saved_step = loop.step
        except OSError as error:
            self._fail(error)

    def check(self, *, wait: bool = False) -> None:
        """Finds out whether a save has failed, and reports it."""
        if self._store is not None:
            try:
                self._store.wait() if wait else self._store.check()
            except OSError as error:
                self._fail(error)

    def restore_last(self) -> Checkpoint | None:
        """Returns the last good checkpoint, and rewinds the writer to it, or to its start."""
        self.check(wait=True)
        checkpoint = broadcast_checkpoint(self._store.restore if self._store else lambda: None)
        self._saved_step = -1
        self._writer.rewind(checkpoint.metadata["outputs"] if checkpoint else self._start)
        return checkpoint

    def describe_last(self) -> str:
        """Returns what the run can be resumed from, to end a message of its failure."""
        self.check(wait=True)
        if self._store is None or not (steps := self._store.steps()):
            return ""
        return (
            f" (with --allow_change=learning_rate, for example): the same command resumes from the "
            f"checkpoint of step {max(steps)}"
        )

    def _fail(self, error: OSError) -> None:
        self._saved_step = -1
        if self.config.on_save_error == "stop":
            self.failure = f"{error} (--on_save_error=stop)"
            logger.error("%s", self.failure)
        else:
            logger.warning("%s; training goes on, and the earlier checkpoints stay", error)


def broadcast_checkpoint(restore: Callable[[], Checkpoint | None]) -> Checkpoint | None:
    """Returns on all hosts what a function returns on the first, which alone reads checkpoints."""
    fields = broadcast_from_primary(restore)
    return None if fields is None else Checkpoint(*fields)
