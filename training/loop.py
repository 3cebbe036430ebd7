"""The training loop: batches in, a model file out."""

import dataclasses
import functools
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import tensorflow as tf

from models.config import ModelConfig
from models.transformer import Transformer, init_params
from training.checkpoint import Checkpoint
from training.config import TrainingConfig
from training.interruption import Interruption
from training.meter import LOST, Meter, NotFiniteError, Stopwatch, TrainingError
from training.profiler import Profiler
from training.run_log import ProgressBar, format_metrics
from training.saver import Progress, Saver, is_better, progress_of
from training.step import (
    Batch,
    fetch_params,
    init_state,
    make_eval_step,
    make_train_step,
    restore_state,
    to_devices,
)
from training.validation import validate
from training.writers import MetricWriter

logger = logging.getLogger("wavestream")

_MOST_ROLLBACKS = 10  # Of one run: it is the model then, not the data.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What came out of a run.

    Attributes:
      params: the model's parameters, NumPy arrays.
      steps: how many were done.
      train: the metrics of the last steps.
      valid: those of the last validation; empty where there is no held-out split.
      signal: the number of the signal that ended it before its last step, or None.
      failure: why it ended before its last step, if not by a signal.
      seconds: from the first batch asked for to the end.
    """

    params: Any
    steps: int
    train: Mapping[str, float]
    valid: Mapping[str, float]
    signal: int | None
    failure: str | None
    seconds: float

    @property
    def interrupted(self) -> bool:
        """Whether it ended before its last step."""
        return self.signal is not None or self.failure is not None


def train(
    train_data: Callable[[int], Iterator[Batch]],
    valid_data: tf.data.Dataset | None,
    model_config: ModelConfig,
    config: TrainingConfig,
    *,
    bits: int,
    writer: MetricWriter,
    saver: Saver,
    start: Checkpoint | None = None,
    problem: Callable[[], str | None] = lambda: None,
    describe_batch: Callable[[int], str] = "batch {}".format,
    profile_dir: str,
) -> Result:
    """Trains a model.

    Args:
      train_data: from a number to the endless batches from that one on, see `step.Batch`.
      valid_data: one pass over the held-out split, or None.
      model_config: the model.
      config: how to train it.
      bits: of a raw symbol, which the compression ratio is relative to.
      writer: takes the metrics.
      saver: saves the run.
      start: where to go on; None begins anew.
      problem: asked after each step; tells why the run must end, or None.
      describe_batch: says what a batch of training holds.
      profile_dir: where `config.profile` writes its trace.

    Returns:
      The trained parameters and what is known of them, also after SIGINT or SIGTERM.

    Raises:
      TrainingError: the loss is not finite, or no audio can be read any more.
      ValueError: `start` does not fit the model.
    """
    trainer = _Trainer(
        train_data, valid_data, model_config, config, bits, writer, saver, problem, profile_dir
    )
    trainer.begin(start)
    with Interruption() as interruption, ProgressBar(config.training_steps) as bar:
        while True:
            try:
                trainer.go_on(interruption, bar)
                break
            except NotFiniteError as error:
                trainer.roll_back(error, describe_batch)
    saver.check(wait=True)
    return trainer.result(interruption)


class _Trainer:
    """A run between its first and its last step."""

    def __init__(
        self,
        train_data: Callable[[int], Iterator[Batch]],
        valid_data: tf.data.Dataset | None,
        model_config: ModelConfig,
        config: TrainingConfig,
        bits: int,
        writer: MetricWriter,
        saver: Saver,
        problem: Callable[[], str | None],
        profile_dir: str,
    ) -> None:
        model = Transformer(model_config)
        self._model_config, self._config, self._bits = model_config, config, bits
        self._train_data, self._valid_data = train_data, valid_data
        self._train_step, self._eval_step = make_train_step(model, config), make_eval_step(model)
        self._writer, self._saver, self._problem = writer, saver, problem
        self._profiler = Profiler(profile_dir if config.profile else None)
        self._rollbacks = 0

    def begin(self, start: Checkpoint | None) -> None:
        """Sets the run to where it was, or to its first step."""
        init = functools.partial(init_params, self._model_config)
        key = jax.random.key(self._config.seed)
        if start is None:
            self._progress = Progress()
            self._state = init_state(init(key)["params"], self._config)
        else:
            self._progress = progress_of(start)
            shapes = jax.eval_shape(init, key)["params"]
            self._state = restore_state(start.arrays, shapes, self._config)
        self._meter = Meter(self._bits, self._progress.pending)
        self._begin = time.perf_counter() - self._progress.seconds

    def go_on(self, interruption: Interruption, bar: ProgressBar) -> None:
        """Trains to the last step or a signal. Raises NotFiniteError, TrainingError."""
        progress, config = self._progress, self._config
        if progress.must_validate and progress.step:
            self._validate(interruption)
        if progress.step >= config.training_steps:
            return
        batches = Stopwatch(to_devices(self._train_data(progress.step + progress.skipped)))
        bar.set(progress.step)
        while progress.step < config.training_steps and not (interruption.asked or self._failure()):
            self._profiler.at(progress.step)
            self._state, metrics = self._train_step(self._state, next(batches))
            self._meter.add(metrics)
            progress.step += 1
            bar.update(1)
            is_last = progress.step == config.training_steps
            # The first step, too: a sign of life where a hundred take an hour.
            if progress.step % config.log_every == 0 or progress.step == 1 or is_last:
                self._read_meter(batches)
            is_best = False
            if self._valid_data is not None and (progress.step % config.eval_every == 0 or is_last):
                is_best = self._validate(interruption)
                self._meter.restart(batches)
            if is_last or is_best or self._saver.is_due(progress.step):
                self._save()
            self._saver.check()
        if progress.step < config.training_steps:
            self._save()
            # Told, but not written: when the run goes on, these steps come in a line once more.
            reading = self._meter.read(progress.step, batches)
            progress.train = reading or progress.train
            if reading:
                logger.info(format_metrics(progress.step, config.training_steps, reading))

    def roll_back(self, error: NotFiniteError, describe_batch: Callable[[int], str]) -> None:
        """Goes back to the last checkpoint, to leave out the batches since. Raises TrainingError.

        The checkpoint stays as it is, and what is trained from it on meets other batches.
        """
        batch = error.step - 1 + self._progress.skipped
        where = f"{error}; it saw {describe_batch(batch)}"
        if self._saver.config.on_nan != "rollback":
            raise TrainingError(f"{where}; {LOST}{self._saver.describe_last()}") from error
        self._rollbacks += 1
        if self._rollbacks > _MOST_ROLLBACKS:
            raise TrainingError(f"{where}; gone back {_MOST_ROLLBACKS} times; {LOST}") from error
        start = self._saver.last()
        self.begin(start)
        self._progress.skipped = batch + 1 - self._progress.step
        logger.warning(
            "%s: going back to step %d, and leaving out the batches up to this one",
            where,
            self._progress.step,
        )

    def result(self, interruption: Interruption) -> Result:
        """Returns what came out."""
        self._profiler.stop()
        finished = self._progress.step >= self._config.training_steps
        return Result(
            params=fetch_params(self._state),
            steps=self._progress.step,
            train=self._progress.train,
            valid=self._progress.valid,
            signal=None if finished else interruption.signal,
            failure=None if finished else self._failure(),
            seconds=self._seconds(),
        )

    def _failure(self) -> str | None:
        return self._saver.failure or self._problem()

    def _read_meter(self, batches: Stopwatch) -> None:
        if reading := self._meter.read(self._progress.step, batches):
            self._progress.train = reading
            self._report(reading)

    def _validate(self, interruption: Interruption) -> bool:
        """Validates; returns whether it is the best so far."""
        progress = self._progress
        assert self._valid_data is not None
        validation = validate(
            self._eval_step,
            self._state,
            self._valid_data,
            self._config.eval_steps,
            self._bits,
            interruption,
        )
        progress.must_validate = not validation and interruption.asked
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
        self._saver.save(self._state, progress, rate=rate)

    def _report(self, metrics: Mapping[str, float]) -> None:
        logger.info(format_metrics(self._progress.step, self._config.training_steps, metrics))
        self._writer.write(self._progress.step, {"seconds": self._seconds(), **metrics})

    def _seconds(self) -> float:
        return time.perf_counter() - self._begin
