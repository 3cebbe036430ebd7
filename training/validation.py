"""Validation: metrics of the held-out split during training."""

import math
from collections.abc import Callable, Iterable
from typing import Any

from evaluation.statistics import SampleHistogram
from models.interface import Batch, Model
from pipeline.reading.read_chunks import is_scored
from runtime.distributed import gather
from runtime.errors import TrainingError
from training.control.control_flags import ControlFlagReducer, ControlFlags
from training.device_batches import device_batch
from training.metrics.accumulator import DIVERGED, loss_metrics
from training.step import fetch


class ValidationStopped(Exception):  # noqa: N818
    """A host must stop, before the validation is complete.

    Attributes:
      stop: see `ControlFlags.stop`.
    """

    def __init__(self, stop: int) -> None:
        super().__init__(stop)
        self.stop = stop


def validate(
    eval_step: Callable,
    model: Model,
    params: Any,
    batches: Iterable[Batch],
    *,
    control_flags: Callable[[], ControlFlags] = ControlFlags,
) -> dict[str, float]:
    """Returns the metrics of the held-out split, or of a part; empty if all unreadable.

    `valid/order0_bits_per_sample` is the entropy of the histogram of samples. Only a model below it
    has learned anything from context.

    Args:
      eval_step: see `step.make_eval_step`.
      model: prepares the batches.
      params: replicated parameters.
      batches: one pass over what to validate on, the rows of this host.
      control_flags: returns the flags of this host; called after each batch.

    Raises:
      ValidationStopped: a host must stop.
      TrainingError: the loss is not finite.
    """
    nats, samples = 0.0, 0.0
    histogram = SampleHistogram()
    # The metrics of each step are fetched at once, so none is in flight.
    reducer = ControlFlagReducer(max_in_flight=1)
    for batch in batches:
        metrics, reduced = eval_step(params, device_batch(model, batch), reducer.outgoing)
        sums = fetch(metrics)
        nats, samples = nats + sums["nats"], samples + sums["samples"]
        histogram.add(batch["samples"][is_scored(batch)])
        if stop := reducer.all_reduce(reduced, control_flags()).stop:
            raise ValidationStopped(stop)
    # After the loop, not within it: all hosts must run the same steps.
    if not math.isfinite(nats):
        raise TrainingError(f"the validation loss is not finite; {DIVERGED}")
    if not samples:
        return {}
    total = SampleHistogram()  # Each host has counted its own rows.
    for content in gather(histogram.to_json()):
        total.merge(SampleHistogram.from_json(content))
    return {
        **loss_metrics("valid", nats, samples, model.config.depth),
        "valid/order0_bits_per_sample": total.order0_bits_per_sample,
        "valid/samples": samples,
    }
