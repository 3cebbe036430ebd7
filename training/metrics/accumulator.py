"""Metrics accumulated over the steps between two logs, and the time spent waiting for input."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

import jax

from runtime.devices import steps_in_flight
from runtime.errors import TrainingError
from training.step import Metrics, fetch

T = TypeVar("T")
Clock = Callable[[], float]

DIVERGED = (
    "the model has diverged. Try a lower --learning_rate or --grad_clip_norm, or --dtype=float32"
)

# Consecutive steps without any readable audio after which a run ends.
_MAX_EMPTY_STEPS = 100


class NotFiniteError(TrainingError):
    """The loss or its gradient is not finite.

    Attributes:
      step: the first such step.
    """

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss or its gradient at step {step} is not finite")
        self.step = step


class TimedIterator(Generic[T]):
    """An iterator that measures the time spent in `next`.

    Attributes:
      waited_s: that time so far, in seconds.
    """

    def __init__(self, iterator: Iterator[T], clock: Clock = time.perf_counter) -> None:
        self._iterator, self._clock = iterator, clock
        self.waited_s = 0.0

    def __next__(self) -> T:
        begin = self._clock()
        item = next(self._iterator)
        self.waited_s += self._clock() - begin
        return item


class MetricAccumulator:
    """Accumulates the metrics of steps, which stay on the devices until they are read."""

    def __init__(
        self,
        depth: int,
        batches: TimedIterator,
        pending: Iterable[Metrics] = (),
        clock: Clock = time.perf_counter,
    ) -> None:
        """Starts without steps.

        Args:
          depth: bits per raw sample, for the compression ratio.
          batches: input of the steps.
          pending: steps that an earlier accumulator has not read, returned by its `pending`.
          clock: returns the time in seconds.
        """
        self._depth, self._batches, self._clock = depth, batches, clock
        self._pending: deque[Metrics] = deque(pending)
        self._max_in_flight = steps_in_flight()
        self._begin: float | None = None  # Start of the first timed step, the `untimed`-th pending.
        self._waited_s = 0.0
        self._untimed = 0

    def add(self, metrics: Metrics) -> None:
        """Adds the metrics of a step; waits if too many steps are in flight."""
        self._pending.append(metrics)
        if len(self._pending) >= self._max_in_flight:
            # JAX dispatches asynchronously, without a bound on the steps that it queues.
            jax.block_until_ready(self._pending[-self._max_in_flight])
        if self._begin is None:  # The first step compiles, so it is not timed.
            jax.block_until_ready(metrics)
            self._start_clock()

    def restart_clock(self) -> None:
        """Restarts the measurement of the speed, after something else than training."""
        if self._begin is not None:
            self._start_clock()

    def pending(self, step: int) -> list[dict[str, float]]:
        """Returns the metrics of each step since the last `read`, as Python floats.

        Args:
          step: number of the last of these steps.

        Raises:
          NotFiniteError: the loss or the gradient of a step is not finite.
        """
        steps = [fetch(metrics) for metrics in self._pending]
        for number, metrics in enumerate(steps, step - len(steps) + 1):
            if not math.isfinite(metrics["nats"] + metrics["grad_norm"]):
                raise NotFiniteError(number)
        return steps

    def read(self, step: int) -> dict[str, float]:
        """Returns the metrics over the steps since the last `read`; empty if there was no audio.

        Args:
          step: number of the last of these steps.

        Raises:
          NotFiniteError: the loss or the gradient of a step is not finite.
          TrainingError: there has been no audio for too many steps.
        """
        steps = self.pending(step)
        nats = sum(metrics["nats"] for metrics in steps)
        samples = sum(metrics["samples"] for metrics in steps)
        if not samples:
            if len(steps) < _MAX_EMPTY_STEPS:
                return {}
            raise TrainingError(
                f"no audio could be read in the {len(steps)} steps up to {step}; "
                "expected the files of --audio_dir to stay readable"
            )
        metrics = {
            **loss_metrics("train", nats, samples, self._depth),
            "train/grad_norm": sum(metrics["grad_norm"] for metrics in steps) / len(steps),
            "train/learning_rate": steps[-1]["learning_rate"],
            **self._speed(sum(metrics["samples"] for metrics in steps[self._untimed :])),
        }
        self._pending.clear()
        self._start_clock()
        return metrics

    def _speed(self, timed_samples: float) -> dict[str, float]:
        if not timed_samples or self._begin is None:
            return {}
        seconds = max(self._clock() - self._begin, 1e-9)
        waited_s = self._batches.waited_s - self._waited_s
        return {
            "train/samples_per_second": timed_samples / seconds,
            "train/input_wait_fraction": min(1.0, waited_s / seconds),
        }

    def _start_clock(self) -> None:
        self._begin, self._waited_s = self._clock(), self._batches.waited_s
        self._untimed = len(self._pending)


def loss_metrics(split: str, nats: float, samples: float, depth: int) -> dict[str, float]:
    """Returns the metrics of a split.

    Args:
      split: "train" or "valid".
      nats: sum over the scored samples.
      samples: their number.
      depth: bits per raw sample.
    """
    loss = nats / samples
    return {
        f"{split}/loss": loss,
        f"{split}/bits_per_sample": loss / math.log(2),
        f"{split}/compression_ratio": loss / math.log(2) / depth,
    }
