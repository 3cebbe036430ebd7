"""The training loop: batches in, a model out."""

import functools
import logging
import time
from collections.abc import Mapping

import jax

from models.networks.transformer import Transformer, init_params
from runtime.distributed import is_primary
from runtime.logging import ProgressBar, format_metrics
from training.checkpoints.schedule import Progress, is_better, progress_of
from training.checkpoints.store import Checkpoint
from training.control.control_flags import FAILED, ControlFlagReducer, ControlFlags
from training.control.signals import SignalHandler
from training.job import Job, Result
from training.metrics.accumulator import (
    LOST,
    MetricAccumulator,
    NotFiniteError,
    TimedIterator,
    TrainingError,
    in_flight,
)
from training.profiler import Profiler
from training.step import (
    fetch_params,
    init_state,
    make_eval_step,
    make_train_step,
    restore_state,
    to_devices,
)
from training.validation import Stopped, validate

logger = logging.getLogger("wavestream")

_MOST_ROLLBACKS = 10  # Of one run: it is the model then, not the data.


def train(job: Job, start: Checkpoint | None = None) -> Result:
    """Trains a model.

    Args:
      job: what to train, on what.
      start: where to go on; None begins anew.

    Returns:
      The trained parameters and what is known of them, also after SIGINT or SIGTERM.

    Raises:
      TrainingError: the loss is not finite, or no audio can be read any more.
      ValueError: `start` does not fit the model.
    """
    with SignalHandler() as interruption, ProgressBar(job.config.training_steps) as bar:
        run = _Run(job, interruption, bar)
        run.begin(start)
        while True:
            try:
                run.go_on()
                break
            except NotFiniteError as error:
                run.roll_back(error)
    job.saver.check(wait=True)
    return run.result()


class _Run:
    """A run between its first and its last step."""

    def __init__(self, job: Job, interruption: SignalHandler, bar: ProgressBar) -> None:
        self._job, self._interruption, self._bar = job, interruption, bar
        model = Transformer(job.model)
        self._train_step = make_train_step(model, job.config)
        self._eval_step = make_eval_step(model)
        self._profiler = Profiler(job.profile_dir if job.config.profile and is_primary() else None)
        self._rollbacks = 0

    def begin(self, start: Checkpoint | None) -> None:
        """Sets the run to where it was, or to its first step."""
        config = self._job.config
        init, key = functools.partial(init_params, self._job.model), jax.random.key(config.seed)
        if start is None:
            self._progress = Progress()
            self._state = init_state(init(key)["params"], config)
        else:
            self._progress = progress_of(start)
            shapes = jax.eval_shape(init, key)["params"]
            self._state = restore_state(start.arrays, shapes, config)
        self._meter = MetricAccumulator(self._job.bits, self._progress.pending)
        self._agreement = ControlFlagReducer(in_flight())
        self._stop = 0
        self._begin = time.perf_counter() - self._progress.seconds

    def go_on(self) -> None:
        """Trains to the last step, or until it is to stop. Raises NotFiniteError, TrainingError."""
        progress, config = self._progress, self._job.config
        if progress.must_validate and self._job.valid_data is not None:
            self._validate()
        if progress.step >= config.training_steps:
            return
        data = self._job.train_data(progress.step + progress.skipped)
        batches = TimedIterator(to_devices(data))
        self._bar.set(progress.step)
        while progress.step < config.training_steps and not self._stop:
            self._profiler.at(progress.step)
            self._state, metrics, said = self._train_step(
                self._state, next(batches), self._agreement.asking
            )
            self._meter.add(metrics)
            progress.step += 1
            self._bar.update(1)
            is_last = progress.step == config.training_steps
            # The first step, too: a sign of life where a hundred take an hour.
            if progress.step % config.log_every == 0 or progress.step == 1 or is_last:
                self._read_meter(batches)
            self._job.saver.check()
            self._stop, must_save = self._agreement.exchange(said, self._wishes())
            if self._stop and not self._wish_to_stop():
                logger.warning("another host is told to stop, or cannot go on: it says why")
            is_best = False
            if self._job.valid_data is not None and (
                progress.step % config.eval_every == 0 or is_last
            ):
                is_best = self._validate()
                self._meter.restart(batches)
            if is_last or is_best or must_save or self._job.saver.is_due(progress.step):
                self._save()
        if progress.step < config.training_steps:
            self._save()
            # Told, but not written: when the run goes on, these steps come in a line once more.
            reading = self._meter.read(progress.step, batches)
            progress.train = reading or progress.train
            if reading:
                logger.info(format_metrics(progress.step, config.training_steps, reading))

    def roll_back(self, error: NotFiniteError) -> None:
        """Goes back to the last checkpoint, to leave out the batches since. Raises TrainingError.

        The checkpoint stays as it is, and what is trained from it on meets other batches.
        """
        saver = self._job.saver
        batch = error.step - 1 + self._progress.skipped
        where = f"{error}; it saw {self._job.describe_batch(batch)}"
        if saver.config.on_nan != "rollback":
            raise TrainingError(f"{where}; {LOST}{saver.describe_last()}") from error
        self._rollbacks += 1
        if self._rollbacks > _MOST_ROLLBACKS:
            raise TrainingError(f"{where}; gone back {_MOST_ROLLBACKS} times; {LOST}") from error
        self.begin(saver.last())
        self._progress.skipped = batch + 1 - self._progress.step
        logger.warning(
            "%s: going back to step %d, and leaving out the batches up to this one",
            where,
            self._progress.step,
        )

    def result(self) -> Result:
        """Returns what came out."""
        self._profiler.stop()
        signal, failure = None, self._failure()  # Also of the last step, or the last validation.
        if self._progress.step < self._job.config.training_steps:
            if self._stop == FAILED:
                failure = failure or "another host cannot go on: its own log says why"
            else:
                signal = self._stop
        return Result(
            params=fetch_params(self._state),
            steps=self._progress.step,
            train=self._progress.train,
            valid=self._progress.valid,
            signal=signal,
            failure=failure,
            seconds=self._seconds(),
        )

    def _wishes(self) -> ControlFlags:
        return ControlFlags(stop=self._wish_to_stop(), save=self._job.saver.take_due())

    def _wish_to_stop(self) -> int:
        return self._interruption.signal or (FAILED if self._failure() else 0)

    def _failure(self) -> str | None:
        return self._job.saver.failure or self._job.problem()

    def _read_meter(self, batches: TimedIterator) -> None:
        if reading := self._meter.read(self._progress.step, batches):
            self._progress.train = reading
            self._report(reading)

    def _validate(self) -> bool:
        """Validates; returns whether it is the best so far."""
        progress, job = self._progress, self._job
        assert job.valid_data is not None
        progress.must_validate = True
        if self._stop:
            return False
        try:
            validation = validate(
                self._eval_step,
                self._state,
                job.valid_data,
                job.config.eval_steps,
                job.bits,
                lambda: ControlFlags(stop=self._wish_to_stop()),
            )
        except Stopped as stopped:
            self._stop = stopped.why
            return False
        progress.must_validate = False
        if not validation:
            return False
        progress.valid = validation
        self._report(validation)
        progress.valid_step = progress.step
        rate = validation["valid/bits_per_sample"]
        if not is_better(rate, progress.best):
            return False
        progress.best = rate
        return True

    def _save(self) -> None:
        progress = self._progress
        progress.pending = self._meter.pending(progress.step)
        progress.seconds = self._seconds()
        is_validated = progress.valid_step == progress.step
        rate = progress.valid["valid/bits_per_sample"] if is_validated else None
        self._job.saver.save(self._state, progress, rate=rate)

    def _report(self, metrics: Mapping[str, float]) -> None:
        logger.info(format_metrics(self._progress.step, self._job.config.training_steps, metrics))
        self._job.writer.write(self._progress.step, {"seconds": self._seconds(), **metrics})

    def _seconds(self) -> float:
        return time.perf_counter() - self._begin
