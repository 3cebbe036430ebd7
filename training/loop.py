"""The training loop: batches in, a model file out."""

import dataclasses
import logging
import math
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Self

import jax
import numpy as np
import tensorflow as tf

from models.config import ModelConfig
from models.transformer import Transformer, init_params
from training.config import TrainingConfig
from training.run_log import ProgressBar, format_metrics
from training.step import (
    Batch,
    Metrics,
    TrainState,
    fetch,
    fetch_params,
    init_state,
    make_eval_step,
    make_train_step,
    to_devices,
)
from training.writers import MetricWriter

logger = logging.getLogger("wavestream")

_LOST = "the model is lost. Try a lower --learning_rate or --grad_clip_norm, or --dtype=float32"

# Steps without any audio after which a run ends: one file may have gone, or all of them.
_PATIENCE = 100

# The steps that --profile traces: after compilation, and few, for the files are large.
_PROFILED = range(10, 20)


class TrainingError(RuntimeError):
    """Training cannot go on; the message says what to do."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What came out of a run.

    Attributes:
      params: the model's parameters, NumPy arrays.
      steps: how many were done.
      train: the metrics of the last steps.
      valid: those of the last validation; empty where there is no held-out split.
      interrupted: ended by a signal before its last step.
      seconds: from the first batch asked for to the end.
    """

    params: Any
    steps: int
    train: Mapping[str, float]
    valid: Mapping[str, float]
    interrupted: bool
    seconds: float


def train(
    train_data: tf.data.Dataset,
    valid_data: tf.data.Dataset | None,
    model_config: ModelConfig,
    config: TrainingConfig,
    *,
    bits: int,
    writer: MetricWriter,
    profile_dir: str,
) -> Result:
    """Trains a model.

    Args:
      train_data: endless batches, as `pipeline.make_dataset` makes them.
      valid_data: one pass over the held-out split, or None.
      model_config: the model.
      config: how to train it.
      bits: of a raw symbol, which the compression ratio is relative to.
      writer: takes the metrics.
      profile_dir: where `config.profile` writes its trace.

    Returns:
      The trained parameters and what is known of them, also after SIGINT or SIGTERM.

    Raises:
      TrainingError: the loss is not finite, or no audio can be read any more.
    """
    model = Transformer(model_config)
    state = init_state(init_params(model_config, jax.random.key(config.seed))["params"], config)
    train_step, eval_step = make_train_step(model, config), make_eval_step(model)
    profiler = _Profiler(profile_dir if config.profile else None)
    meter = _Meter(bits)
    train_metrics: dict[str, float] = {}
    valid_metrics: dict[str, float] = {}
    begin = time.perf_counter()
    batches = _Stopwatch(to_devices(train_data.as_numpy_iterator()))
    step, last = 0, False
    with Interruption() as interruption, ProgressBar(config.training_steps) as bar:
        while not last:
            profiler.at(step)
            state, metrics = train_step(state, next(batches))
            step += 1
            meter.add(metrics)
            bar.update(1)
            last = step == config.training_steps or interruption.asked
            # The first step, too: a sign of life where a hundred take an hour.
            if (step % config.log_every == 0 or step == 1 or last) and (
                reading := meter.read(step, batches)
            ):
                train_metrics = reading
                _report(step, config, reading, writer)
            if valid_data is not None and (
                step % config.eval_every == 0 or step == config.training_steps
            ):
                if validation := evaluate(
                    eval_step, state, valid_data, config.eval_steps, bits, interruption
                ):
                    valid_metrics = validation
                    _report(step, config, validation, writer)
                meter.restart(batches)
    profiler.stop()
    return Result(
        params=fetch_params(state),
        steps=step,
        train=train_metrics,
        valid=valid_metrics,
        interrupted=step < config.training_steps,
        seconds=time.perf_counter() - begin,
    )


def evaluate(
    eval_step: Any,
    state: TrainState,
    data: tf.data.Dataset,
    steps: int,
    bits: int,
    interruption: "Interruption",
) -> dict[str, float]:
    """Returns the metrics of the held-out split, or of its first batches.

    Among them `valid/order0_entropy`: the bits per sample that a coder needs which knows how often
    each symbol comes, and no more: what a model must beat to have learned anything of time.
    Empty where there is nothing to tell: interrupted, or no file could be read.

    Raises:
      TrainingError: the loss is not finite.
    """
    nats, samples = 0.0, 0.0
    counts = np.zeros(2**bits, np.int64)
    for batch in (data.take(steps) if steps else data).as_numpy_iterator():
        if interruption.asked:
            return {}
        sums = fetch(eval_step(state.params, batch))
        nats, samples = nats + sums["nats"], samples + sums["samples"]
        counts += _count_symbols(batch, 2**bits)
    if not math.isfinite(nats):
        raise TrainingError(f"the validation loss is not finite; {_LOST}")
    if not samples:
        return {}
    return {
        **_rates("valid", nats, samples, bits),
        "valid/order0_entropy": _entropy(counts),
        "valid/samples": samples,
    }


def _rates(split: str, nats: float, samples: float, bits: int) -> dict[str, float]:
    loss = nats / samples
    return {
        f"{split}/loss": loss,
        f"{split}/bits_per_sample": loss / math.log(2),
        f"{split}/compression_ratio": loss / math.log(2) / bits,
    }


def _count_symbols(batch: Batch, vocab_size: int) -> np.ndarray:  # int64 [V]
    symbols, lengths = batch["symbols"], batch["lengths"]
    real = symbols[np.arange(symbols.shape[-1]) < lengths[..., np.newaxis]]
    return np.bincount(real, minlength=vocab_size)


def _entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float((shares * np.log2(1 / shares)).sum())


def _report(
    step: int, config: TrainingConfig, metrics: Mapping[str, float], writer: MetricWriter
) -> None:
    logger.info(format_metrics(step, config.training_steps, metrics))
    writer.write(step, metrics)


class _Stopwatch:
    """An iterator that knows how long it was waited for."""

    def __init__(self, iterator: Iterator[Batch]):
        self._iterator = iterator
        self.seconds = 0.0

    def __next__(self) -> Batch:
        begin = time.perf_counter()
        batch = next(self._iterator)
        self.seconds += time.perf_counter() - begin
        return batch


class _Meter:
    """Collects the metrics of steps, on the devices until they are read."""

    def __init__(self, bits: int):
        self._bits = bits
        self._pending: deque[Metrics] = deque()
        # Queued pmapped steps can deadlock in the all-reduce of forced CPU devices. On others a
        # few in flight hide the latency of starting them.
        self._in_flight = 1 if jax.default_backend() == "cpu" else 4
        self._begin: float | None = None
        self._waited = 0.0
        self._untimed = 0

    def add(self, metrics: Metrics) -> None:
        """Takes a step's metrics; waits where too many steps are in flight."""
        self._pending.append(metrics)
        if len(self._pending) >= self._in_flight:
            jax.block_until_ready(self._pending[-self._in_flight])
        if self._begin is None:  # The first step compiles: its time says nothing of the others.
            jax.block_until_ready(metrics)
            self._begin, self._untimed = time.perf_counter(), len(self._pending)

    def restart(self, batches: _Stopwatch) -> None:
        """Leaves out the time since the last reading, which was not spent on training."""
        self._begin, self._waited = time.perf_counter(), batches.seconds

    def read(self, step: int, batches: _Stopwatch) -> dict[str, float]:
        """Returns the metrics of the steps since the last reading; empty if there was no audio."""
        steps = [fetch(metrics) for metrics in self._pending]
        nats = sum(metrics["nats"] for metrics in steps)
        samples = sum(metrics["samples"] for metrics in steps)
        for number, metrics in enumerate(steps, step - len(steps) + 1):
            if not math.isfinite(metrics["nats"] + metrics["grad_norm"]):
                raise TrainingError(
                    f"the loss or its gradient at step {number} is not finite; {_LOST}"
                )
        if not samples:
            if len(steps) < _PATIENCE:
                return {}
            raise TrainingError(
                f"no audio could be read in the {len(steps)} steps up to {step}; "
                "is its folder still there?"
            )
        now = time.perf_counter()
        assert self._begin is not None
        seconds = max(now - self._begin, 1e-9)
        timed = sum(metrics["samples"] for metrics in steps[self._untimed :])
        reading = {
            **_rates("train", nats, samples, self._bits),
            "train/grad_norm": sum(metrics["grad_norm"] for metrics in steps) / len(steps),
            "train/learning_rate": steps[-1]["learning_rate"],
        }
        if timed:
            reading["train/samples_per_second"] = timed / seconds
            reading["train/input_wait"] = min(1.0, (batches.seconds - self._waited) / seconds)
        self._pending.clear()
        self._begin, self._waited, self._untimed = now, batches.seconds, 0
        return reading


class Interruption:
    """Turns the first SIGINT or SIGTERM into a request to end after this step; the second ends."""

    def __init__(self) -> None:
        self.asked = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        logger.warning(
            "%s: finishing this step, then saving; again to stop at once",
            signal.Signals(number).name,
        )


class _Profiler:
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
