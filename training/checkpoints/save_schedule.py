"""When a run is saved, and what happens if that fails."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from runtime.distributed import broadcast_from_primary
from runtime.errors import TrainingError
from runtime.logging import logger
from training.checkpoints.checkpoint_file import Checkpoint
from training.checkpoints.store import CheckpointStore
from training.config import CheckpointConfig
from training.metrics.writers import RewindableWriter
from training.state import LoopState, TrainState, state_arrays


class CheckpointSchedule:
    """Saves a run every so many steps or minutes.

    Attributes:
      config: how often, and what to do after a failure.
      failure: why the run must end, or None.
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
          store: the checkpoints of the run; None: nothing is saved, as on hosts but the primary.
          config: how often, and what to do after a failure.
          writer: metrics, whose position is saved as well.
          run: JSON values that identify the run, saved with every checkpoint.
          clock: returns the time in seconds.
        """
        self.config = config
        self.failure: str | None = None
        self._store, self._writer, self._run, self._clock = store, writer, run, clock
        self._saved_step = -1
        self._last_save = clock()
        self._start = writer.position()

    def is_due(self, step: int) -> bool:
        """Whether to save after this step, by `checkpoint_every`."""
        every = self.config.checkpoint_every
        return bool(every) and step % every == 0

    def poll_clock(self) -> bool:
        """Whether to save, by `checkpoint_minutes`; if so, the minutes are counted from now."""
        seconds = 60 * self.config.checkpoint_minutes
        if self._store is None or not seconds or self._clock() - self._last_save < seconds:
            return False
        # Now, not when it is saved: the flag reaches all hosts some steps later, and must not be
        # set again at each of them.
        self._last_save = self._clock()
        return True

    def save(self, state: TrainState, loop: LoopState) -> None:
        """Starts saving in the background.

        Args:
          state: after the step.
          loop: after the step.

        Raises:
          TrainingError: the parameters are not finite.
        """
        # A step may be due by time, by steps and as the best.
        if self._store is None or loop.step == self._saved_step:
            return
        self.check()  # The last save may have failed: this one is still tried.
        self._last_save = self._clock()
        arrays = state_arrays(state)
        # A finite loss does not imply finite parameters, and a rollback would restore these.
        for path, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise TrainingError(f"{path} is not finite after step {loop.step}")
        try:
            outputs = self._writer.position()
        except OSError as error:  # A run resumed from it would lack the metrics that wait.
            self._fail(OSError(f"no checkpoint saved, for the metrics cannot be: {error}"))
            return
        metadata = {"loop": dataclasses.asdict(loop), "outputs": outputs, "run": self._run}
        try:
            checkpoint = Checkpoint(loop.step, arrays, metadata)
            self._store.save(checkpoint, bits_per_sample=loop.bits_per_sample)
            self._saved_step = loop.step
        except OSError as error:
            self._fail(error)

    def check(self, *, wait: bool = False) -> None:
        """Handles the failure of a save, if there was one.

        Args:
          wait: whether to wait for the save in progress.
        """
        if self._store is not None:
            try:
                self._store.wait() if wait else self._store.check()
            except OSError as error:
                self._fail(error)

    def restore_last(self) -> Checkpoint | None:
        """Returns the last undamaged checkpoint, and rewinds the metrics to it, or to the start."""
        self.check(wait=True)
        checkpoint = broadcast_checkpoint(self._store.restore if self._store else lambda: None)
        self._saved_step = -1  # The same step will come again, trained on other batches.
        self._writer.rewind(checkpoint.metadata["outputs"] if checkpoint else self._start)
        return checkpoint

    def describe_last(self) -> str:
        """Returns the end of an error message: which checkpoint the run can resume from."""
        self.check(wait=True)
        steps: list[int] = []
        with contextlib.suppress(OSError):
            steps = [] if self._store is None else self._store.steps()
        if not steps:
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
            logger.warning("%s; training continues, and earlier checkpoints are kept", error)


def broadcast_checkpoint(restore: Callable[[], Checkpoint | None]) -> Checkpoint | None:
    """Returns on all hosts the checkpoint that the primary, and only it, restores."""
    fields = broadcast_from_primary(restore)
    return None if fields is None else Checkpoint(*fields)
