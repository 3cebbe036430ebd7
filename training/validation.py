"""How a model does on held-out batches, while it is trained."""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from evaluation.statistics import order0_entropy
from pipeline.read import real_samples
from training.interruption import Interruption
from training.meter import LOST, TrainingError, rates
from training.step import Batch, TrainState, fetch


def validate(
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
    symbols = batch["symbols"]
    real = real_samples(batch["lengths"], symbols.shape[-1])
    return np.bincount(symbols[real], minlength=vocab_size)
