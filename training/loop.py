"""The training loop: batches in, a trained model out."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping

from models.interface import Batch, Model, Params
from runtime.distributed import is_primary
from runtime.errors import TrainingError
from runtime.logging import logger
from runtime.parallel import unreplicate
from runtime.progress import ProgressBar
from training.checkpoints.checkpoint_file import Checkpoint
from training.checkpoints.save_schedule import CheckpointSchedule
from training.config import TrainingConfig
from training.control.signals import SignalHandler
from training.control.stop import StopControl
from training.metrics.accumulator import (
    DIVERGED,
    MetricAccumulator,
    NotFiniteError,
    TimedIterator,
)
from training.metrics.console import format_metrics
from training.metrics.writers import MetricWriter
from training.profiler import Profiler
from training.result import Result
from training.state import start_loop, start_state
from training.step import DeviceBatch, Steps
from training.validation import ValidationStopped, validate

_MAX_ROLLBACKS = 10  # Per process: after so many the model is at fault, not a few batches.


@dataclasses.dataclass(kw_only=True)
class TrainingLoop:
    """Trains a model, saves it, and recovers from a loss that is not finite.

    Attributes:
      model: the model to train.
      config: the optimizer, and how often to log and validate.
      steps: the compiled steps, or functions that compile at their first call.
      train_data: from a step to the endless input of the steps from there on, on the devices.
      valid_data: returns one pass over what to validate on; None: no validation.
      writer: receives the metrics.
      checkpoints: saves the run.
      problem: called after each step; returns why the run must end, or None.
      describe_batch: from the number of a training batch to a description for error messages.
      profile_dir: folder for the trace of `config.profile`.
      initial_params: the parameters that training starts from; None: those of `Model.init`.
    """

    model: Model
    config: TrainingConfig
    steps: Steps
    train_data: Callable[[int], Iterator[DeviceBatch]]
    valid_data: Callable[[], Iterator[Batch]] | None
    writer: MetricWriter
    checkpoints: CheckpointSchedule
    problem: Callable[[], str | None] = lambda: None
    describe_batch: Callable[[int], str] = "batch {}".format
    profile_dir: str | None = None
    initial_params: Params | None = None

    def run(self, start: Checkpoint | None = None) -> Result:
        """Trains to the last step, or until a host must stop.

        Args:
          start: checkpoint to resume from; None: start at step 0.

        Returns:
          The trained parameters and their metrics, also after SIGINT or SIGTERM.

        Raises:
          TrainingError: the loss is not finite, no audio can be read any more, or `start` does not
            fit the model.
        """
        traced = self.config.profile and is_primary()
        self._profiler = Profiler(self.profile_dir if traced else None)
        self._rollbacks = 0
        steps = self.config.training_steps
        with SignalHandler() as signals, ProgressBar(steps) as self._bar:
            self._control = StopControl(signals, lambda: self.checkpoints.failure or self.problem())
            self._restore(start)
            while True:
                try:
                    self._train_to_end()
                    break
                except NotFiniteError as error:
                    self._roll_back(error)
        self.checkpoints.check(wait=True)
        self._profiler.stop()
        return self._result()

    def _restore(self, start: Checkpoint | None, next_batch: int | None = None) -> None:
        """Sets the state to that of a checkpoint.

        Args:
          start: the checkpoint; None: before step 0.
          next_batch: number of the next batch, where batches are to be skipped.
        """
        has_params = self.initial_params is not None
        self._progress = start_loop(start, has_params=has_params)
        if next_batch is not None:
            self._progress.skipped_batches = next_batch - self._progress.step
        # Not the iterator of before: batch k is a function of k, so that nothing is replayed.
        first = self._progress.step + self._progress.skipped_batches
        self._batches = TimedIterator(self.train_data(first))
        if not self._is_last:
            self._batches.fetch_first()  # Now, while the compiler is still at work.
        self._state = start_state(
            self.model, self.config, self.steps.init, start, self.initial_params
        )
        self._accumulator = MetricAccumulator(
            self.model.config.depth, self._batches, self._step, self._progress.sums
        )
        self._control.restart()
        self._begin = time.perf_counter() - self._progress.wall_time_s
        self._bar.set(self._progress.step)

    def _train_to_end(self) -> None:
        """Trains until the last step, or until a host must stop.

        Raises:
          NotFiniteError, TrainingError: see `run`.
        """
        if self._progress.must_validate:
            self._validate()
        # No step waits for the one before it: metrics are fetched once it has ended.
        while not (self._control.stop or self._is_last):
            self._train_one_step()
            # Also after the first step: a hundred may take an hour.
            if self._progress.step == 1 or self._is_due(self.config.log_every):
                self._log_metrics()
            self.checkpoints.check()
            must_save = self._control.after_step(self._reduced, save=self.checkpoints.poll_clock())
            # Saved last: a checkpoint holds the position of the metrics files after this step.
            is_best = self._is_due(self.config.eval_every) and self._validate()
            if must_save or is_best or self._is_last or self.checkpoints.is_due(self._step):
                self._save()
        # A signal came. (The last step is saved in the loop, with its validation.)
        if not self._is_last:
            self._save()
            # Shown only: a resumed run logs these steps again.
            self._log_metrics(write=False)

    def _roll_back(self, error: NotFiniteError) -> None:
        """Restores the last checkpoint, and skips the batches since then.

        With the same batches, the run would diverge again.

        Raises:
          TrainingError: `on_nan` is "stop", or there were too many rollbacks.
        """
        batch = error.step - 1 + self._progress.skipped_batches
        where = f"{error}; it saw {self.describe_batch(batch)}"
        if self.checkpoints.config.on_nan != "rollback":
            hint = self.checkpoints.describe_last()
            raise TrainingError(f"{where}; {DIVERGED}{hint}") from error
        self._rollbacks += 1
        if self._rollbacks > _MAX_ROLLBACKS:
            message = f"{where}; rolled back {_MAX_ROLLBACKS} times; {DIVERGED}"
            raise TrainingError(message) from error
        self._restore(self.checkpoints.restore_last(), next_batch=batch + 1)
        logger.warning(
            "%s: rolling back to step %d, and skipping the batches up to this one",
            where,
            self._step,
        )

    def _result(self) -> Result:
        signal, failure = self._control.reason(is_last=self._is_last)
        wall_time_s = self._wall_time_s()
        # With the last checkpoint, so that whoever reads the files finds the time of the summary.
        # A resumed run removes it again: it rewinds them to that checkpoint.
        self.writer.write(self._step, {"wall_time_s": wall_time_s})
        return Result(
            params=unreplicate(self._state.params),
            steps=self._step,
            train=self._progress.train,
            valid=self._progress.valid,
            valid_step=self._progress.valid_step,
            initial_bits_per_sample=self._progress.initial_bits_per_sample,
            signal=signal,
            failure=failure,
            wall_time_s=wall_time_s,
        )

    @property
    def _step(self) -> int:
        return self._progress.step

    @property
    def _is_last(self) -> bool:
        return self._step >= self.config.training_steps

    def _is_due(self, every: int) -> bool:
        return self._step % every == 0 or self._is_last

    def _train_one_step(self) -> None:
        self._profiler.at(self._step)
        self._state, metrics, self._reduced = self.steps.train(
            self._state, next(self._batches), self._control.reducer.outgoing
        )
        self._accumulator.add(metrics)
        self._progress.step += 1
        self._bar.update()

    def _validate(self) -> bool:
        """Validates; returns whether the model is the best so far."""
        progress = self._progress
        if self.valid_data is None:
            return False
        progress.must_validate = True  # If interrupted, the resumed run begins with the validation.
        if self._control.stop:  # Not now: it may take longer than a preempted host has left.
            return False
        try:
            metrics = validate(
                self.steps.eval,
                self.model,
                self._state.params,
                self.valid_data(),
                control_flags=self._control.own_flags,
            )
        except ValidationStopped as error:
            self._control.stop = error.stop
            return False
        progress.must_validate = False
        self._accumulator.restart_clock()
        if not metrics:
            progress.valid, progress.valid_step = {}, -1  # They were of other parameters.
            logger.warning(
                "step %d: no validation: none of the files held out can be read", self._step
            )
            return False
        self._report(metrics)
        return progress.record_validation(metrics)

    def _save(self) -> None:
        # A checkpoint may come between two logs: a resumed run logs their mean as if uninterrupted.
        self._progress.sums = self._accumulator.sums()
        self._progress.wall_time_s = self._wall_time_s()
        self.checkpoints.save(self._state, self._progress)

    def _log_metrics(self, *, write: bool = True) -> None:
        if metrics := self._accumulator.read():
            self._progress.train = metrics
            self._report(metrics, write=write)

    def _report(self, metrics: Mapping[str, float], *, write: bool = True) -> None:
        logger.info(format_metrics(self._step, self.config.training_steps, metrics))
        if write:
            self.writer.write(self._step, {"wall_time_s": self._wall_time_s(), **metrics})

    def _wall_time_s(self) -> float:
        return time.perf_counter() - self._begin
