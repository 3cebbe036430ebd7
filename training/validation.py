"""How a model does on held-out batches, while it is trained."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from evaluation.statistics import order0_bits_per_sample
from pipeline.reading.read_chunks import real_samples
from runtime.distributed import total
from training.control.control_flags import ControlFlagReducer, ControlFlags
from training.metrics.accumulator import LOST, TrainingError, rates
from training.step import Batch, TrainState, fetch


class Stopped(Exception):  # noqa: N818
    """The run is to stop.

    Attributes:
      why: as `ControlFlags.stop` tells.
    """

    def __init__(self, why: int) -> None:
        super().__init__(why)
        self.why = why


def validate(
    eval_step: Any,
    state: TrainState,
    data: tf.data.Dataset,
    steps: int,
    bits: int,
    wishes: Callable[[], ControlFlags],
) -> dict[str, float]:
    """Returns the metrics of the held-out split, or of its first batches.

    Among them `valid/order0_bits_per_sample`: the bits per sample that a coder needs which knows how often
    each symbol comes, and no more: what a model must beat to have learned anything of time.
    Empty where there is nothing to tell: no file could be read.

    Args:
      eval_step: see `step.make_eval_step`.
      state: after the step to validate.
      data: the held-out split, the rows of this host.
      steps: the most batches; 0: all.
      bits: of a raw symbol.
      wishes: asked after each batch: what this host wishes to do.

    Raises:
      Stopped: a host has wished to stop.
      TrainingError: the loss is not finite.
    """
    nats, samples = 0.0, 0.0
    counts = np.zeros(2**bits, np.int64)
    agreement = ControlFlagReducer(in_flight=1)
    for batch in (data.take(steps) if steps else data).as_numpy_iterator():
        metrics, said = eval_step(state.params, batch, agreement.asking)
        sums = fetch(metrics)
        nats, samples = nats + sums["nats"], samples + sums["samples"]
        counts += _count_symbols(batch, 2**bits)
        if stop := agreement.exchange(said, wishes()).stop:
            raise Stopped(stop)
    if not math.isfinite(nats):
        raise TrainingError(f"the validation loss is not finite; {LOST}")
    if not samples:
        return {}
    return {
        **rates("valid", nats, samples, bits),
        "valid/order0_bits_per_sample": order0_bits_per_sample(total(counts)),
        "valid/samples": samples,
    }


def _count_symbols(batch: Batch, vocab_size: int) -> np.ndarray:  # int64 [V]
    symbols = batch["symbols"]
    real = real_samples(batch["lengths"], symbols.shape[-1])
    return np.bincount(symbols[real], minlength=vocab_size)
