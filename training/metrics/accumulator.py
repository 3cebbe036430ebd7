"""The metrics of steps, until they are logged, and how long the steps waited for data."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

import jax

from runtime.errors import TrainingError
from training.step import Metrics, fetch, max_steps_in_flight

T = TypeVar("T")
Clock = Callable[[], float]

DIVERGED = (
    "the model has diverged. Try a lower --learning_rate or --grad_clip_norm, or --dtype=float32"
)

# Steps without any audio after which a run ends: one file may have gone, or all of them.
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
    """An iterator that measures how long it is waited for.

    Attributes:
      waited_s: the time in `next` so far, in seconds.
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
    """Collects the metrics of steps, on the devices until they are read."""

    def __init__(
        self,
        depth: int,
        batches: TimedIterator,
        pending: Iterable[Metrics] = (),
        clock: Clock = time.perf_counter,
    ) -> None:
        """Makes an accumulator.

        Args:
          depth: bits of a raw sample, which the compression ratio is relative to.
          batches: where the steps' batches come from.
          pending: steps that another accumulator has not read, as its `pending` returned them.
          clock: tells seconds.
        """
        self._depth, self._batches, self._clock = depth, batches, clock
        self._pending: deque[Metrics] = deque(pending)
        self._max_in_flight = max_steps_in_flight()
        self._begin: float | None = None  # The steps from the `untimed`-th on began here.
        self._waited_s = 0.0
        self._untimed = 0

    def add(self, metrics: Metrics) -> None:
        """Takes a step's metrics; waits where too many steps are in flight."""
        self._pending.append(metrics)
        if len(self._pending) >= self._max_in_flight:
            jax.block_until_ready(self._pending[-self._max_in_flight])
        if self._begin is None:  # The first step compiles: its time says nothing of the others.
            jax.block_until_ready(metrics)
            self._start_clock()

    def restart_clock(self) -> None:
        """Leaves out the time until now, not all of it spent on training, and its steps with it."""
        if self._begin is not None:
            self._start_clock()

    def pending(self, step: int) -> list[dict[str, float]]:
        """Returns the metrics of each step since the last reading, plain numbers.

        Raises:
          NotFiniteError: they are not all finite.
        """
        steps = [fetch(metrics) for metrics in self._pending]
        for number, metrics in enumerate(steps, step - len(steps) + 1):
            if not math.isfinite(metrics["nats"] + metrics["grad_norm"]):
                raise NotFiniteError(number)
        return steps

    def read(self, step: int) -> dict[str, float]:
        """Returns the metrics of the steps since the last reading; empty if there was no audio.

        Raises:
          NotFiniteError: the loss of a step is not finite.
          TrainingError: there has been no audio for too long.
        """
        steps = self.pending(step)
        nats = sum(metrics["nats"] for metrics in steps)
        samples = sum(metrics["samples"] for metrics in steps)
        if not samples:
            if len(steps) < _MAX_EMPTY_STEPS:
                return {}
            raise TrainingError(
                f"no audio could be read in the {len(steps)} steps up to {step}; "
                "is its folder still there?"
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
    """Returns the metrics of a split, from the sum of nats over its samples."""
    loss = nats / samples
    return {
        f"{split}/loss": loss,
        f"{split}/bits_per_sample": loss / math.log(2),
        f"{split}/compression_ratio": loss / math.log(2) / depth,
    }
