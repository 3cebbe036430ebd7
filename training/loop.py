"""The training loop: batches in, a model file out."""

import dataclasses
import logging
import math
import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import tensorflow as tf

from evaluation.statistics import order0_entropy
from models.config import ModelConfig
from models.transformer import Transformer, init_params
from training.config import TrainingConfig
from training.interruption import Interruption
from training.meter import LOST, Meter, Stopwatch, TrainingError, rates
from training.profiler import Profiler
from training.run_log import ProgressBar, format_metrics
from training.step import (
    Batch,
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
    profiler = Profiler(profile_dir if config.profile else None)
    meter = Meter(bits)
    train_metrics: dict[str, float] = {}
    valid_metrics: dict[str, float] = {}
    begin = time.perf_counter()
    batches = Stopwatch(to_devices(train_data.as_numpy_iterator()))
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
                _report(step, config, begin, reading, writer)
            if valid_data is not None and (
                step % config.eval_every == 0 or step == config.training_steps
            ):
                if validation := evaluate(
                    eval_step, state, valid_data, config.eval_steps, bits, interruption
                ):
                    valid_metrics = validation
                    _report(step, config, begin, validation, writer)
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
    interruption: Interruption,
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
        raise TrainingError(f"the validation loss is not finite; {LOST}")
    if not samples:
        return {}
    return {
        **rates("valid", nats, samples, bits),
        "valid/order0_entropy": order0_entropy(counts),
        "valid/samples": samples,
    }


def _count_symbols(batch: Batch, vocab_size: int) -> np.ndarray:  # int64 [V]
    symbols, lengths = batch["symbols"], batch["lengths"]
    real = symbols[np.arange(symbols.shape[-1]) < lengths[..., np.newaxis]]
    return np.bincount(real, minlength=vocab_size)


def _report(
    step: int,
    config: TrainingConfig,
    begin: float,
    metrics: Mapping[str, float],
    writer: MetricWriter,
) -> None:
    logger.info(format_metrics(step, config.training_steps, metrics))
    writer.write(step, {"seconds": time.perf_counter() - begin, **metrics})
