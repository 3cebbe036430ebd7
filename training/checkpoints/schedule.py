"""When a run is saved, and what happens where that fails."""

import dataclasses
import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from runtime.distributed import broadcast_from_primary
from training.checkpoints.store import Checkpoint, CheckpointStore
from training.config import CheckpointConfig
from training.metrics.accumulator import TrainingError
from training.metrics.writers import MetricWriter
from training.step import TrainState, state_arrays

logger = logging.getLogger("wavestream")


class Rewindable(MetricWriter, Protocol):
    """A writer of metrics that can be taken back to an earlier step."""

    def position(self) -> Mapping[str, Sequence]:
        """Returns where it is, as JSON values."""

    def rewind(self, positions: Mapping[str, Sequence]) -> None:
        """Takes it back there."""


@dataclasses.dataclass(kw_only=True)
class Progress:
    """Where a run is, but for its arrays. All of it JSON values.

    Attributes:
      step: steps done.
      skipped: batches that were left out, see `CheckpointConfig.on_nan`.
      seconds: that the run has taken.
      pending: metrics of the steps since the last line.
      train: the metrics of the last line.
      valid: those of the last validation.
      valid_step: the step of it, or -1.
      best: the lowest bits per sample in validation.
      must_validate: whether a validation is due that a signal has cut short.
    """

    step: int = 0
    skipped: int = 0
    seconds: float = 0.0
    pending: list[dict[str, float]] = dataclasses.field(default_factory=list)
    train: dict[str, float] = dataclasses.field(default_factory=dict)
    valid: dict[str, float] = dataclasses.field(default_factory=dict)
    valid_step: int = -1
    best: float | None = None
    must_validate: bool = False


class CheckpointSchedule:
    """Saves a run now and then.

    Attributes:
      config: how often, and what to do where it fails.
      failure: why the run must end; None where it need not.
    """

    def __init__(
        self,
        checkpoints: CheckpointStore | None,
        config: CheckpointConfig,
        writer: Rewindable,
        run: Mapping[str, Any],
    ) -> None:
        """Makes a saver.

        Args:
          checkpoints: where to; None saves nothing, as on all hosts but the first.
          config: how often.
          writer: whose position is saved, too.
          run: JSON values that are saved with every checkpoint, and say whose it is.
        """
        self.config = config
        self.failure: str | None = None
        self._checkpoints = checkpoints
        self._writer = writer
        self._run = run
        self._saved = -1
        self._time = time.monotonic()
        self._origin = writer.position()

    def is_due(self, step: int) -> bool:
        """Whether it is time to save, by the steps."""
        every = self.config.checkpoint_every
        return bool(every) and step % every == 0

    def take_due(self) -> bool:
        """Whether it is time to save, by the clock, which then begins again: told once."""
        minutes = self.config.checkpoint_minutes
        if self._checkpoints is None or not minutes or time.monotonic() - self._time < 60 * minutes:
            return False
        self._time = time.monotonic()
        return True

    def save(self, state: TrainState, progress: Progress, *, rate: float | None = None) -> None:
        """Begins to save.

        Args:
          state: after the step.
          progress: after the step.
          rate: bits per sample, if this step has been validated.

        Raises:
          TrainingError: the parameters are not finite.
        """
        if self._checkpoints is None or progress.step == self._saved:
            return
        self.check(wait=True)  # What the save before failed with must not keep this one from disk.
        self._time = time.monotonic()
        arrays = state_arrays(state)
        for name, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise TrainingError(f"{name} is not finite after step {progress.step}")
        try:
            content = {
                **dataclasses.asdict(progress),
                "outputs": self._writer.position(),
                "run": self._run,
            }
            self._checkpoints.save(Checkpoint(progress.step, arrays, content), rate=rate)
            self._saved = progress.step
        except OSError as error:
            self._failed(error)

    def check(self, *, wait: bool = False) -> None:
        """Tells of a save that has failed."""
        if self._checkpoints is not None:
            try:
                self._checkpoints.wait() if wait else self._checkpoints.check()
            except OSError as error:
                self._failed(error)

    def last(self) -> Checkpoint | None:
        """Returns the last good checkpoint, and takes the writer back to it, or to its start."""
        self.check(wait=True)
        checkpoint = broadcast_from_primary(
            self._checkpoints.restore if self._checkpoints else lambda: None
        )
        self._saved = -1
        self._writer.rewind(checkpoint.progress["outputs"] if checkpoint else self._origin)
        return checkpoint

    def describe_last(self) -> str:
        """Says what the run can go on from."""
        self.check(wait=True)
        if self._checkpoints is None or not (steps := self._checkpoints.steps()):
            return ""
        return (
            f" (with --allow_change=learning_rate, say): the same command goes on from the "
            f"checkpoint of step {max(steps)}"
        )

    def _failed(self, error: OSError) -> None:
        self._saved = -1
        if self.config.on_save_error == "stop":
            self.failure = f"{error} (--on_save_error=stop)"
            logger.error("%s", self.failure)
        else:
            logger.warning("%s; training goes on, and the earlier checkpoints stay", error)


def progress_of(checkpoint: Checkpoint) -> Progress:
    """Returns where a run was when it was saved."""
    names = {field.name for field in dataclasses.fields(Progress)}
    return Progress(**{k: v for k, v in checkpoint.progress.items() if k in names})


def is_better(rate: float, best: float | None) -> bool:
    """Whether a validation is the best so far."""
    return math.isfinite(rate) and (best is None or rate < best)
