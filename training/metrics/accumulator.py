"""Metrics accumulated over the steps between two logs, and the time spent waiting for input."""

import collections
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

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

    def fetch_first(self) -> None:
        """Waits for the first item now, before the first `next`; this time is not counted."""
        self._iterator = itertools.chain([next(self._iterator)], self._iterator)

    def __next__(self) -> T:
        begin = self._clock()
        item = next(self._iterator)
        self.waited_s += self._clock() - begin
        return item


class MetricAccumulator:
    """Accumulates the metrics of steps: on the devices while they run, then as sums.

    Its memory does not depend on how many steps there are between two readings.
    """

    def __init__(
        self,
        depth: int,
        batches: TimedIterator,
        step: int = 0,
        sums: Mapping[str, float] | None = None,
        clock: Clock = time.perf_counter,
    ) -> None:
        """Starts after a step.

        Args:
          depth: bits per raw sample, for the compression ratio.
          batches: input of the steps.
          step: number of the steps before the first that will be added.
          sums: what an earlier accumulator has not read, returned by its `sums`.
          clock: returns the time in seconds.
        """
        self._depth, self._batches, self._clock = depth, batches, clock
        self._step = step  # Of the last one in the sums.
        self._sums: dict[str, float] = collections.defaultdict(float, sums or {})
        self._in_flight: collections.deque[Metrics] = collections.deque()
        self._max_in_flight = steps_in_flight()
        self._begin: float | None = None  # Start of the first timed step.
        self._waited_s = self._timed_samples = 0.0

    def add(self, metrics: Metrics) -> None:
        """Adds the metrics of a step; waits if too many steps are in flight.

        Raises:
          NotFiniteError: the loss or the gradient of a step that has ended is not finite.
        """
        self._in_flight.append(metrics)
        # JAX dispatches asynchronously, without a bound on the steps that it queues.
        self._sum_up(leave=self._max_in_flight - 1 if self._begin is not None else 0)
        if self._begin is None:  # The first step compiles, so it is not timed.
            self._start_clock()

    def restart_clock(self) -> None:
        """Restarts the measurement of the speed, after something else than training."""
        if self._begin is not None:
            self._sum_up()
            self._start_clock()

    def sums(self) -> dict[str, float]:
        """Returns the sums over the steps since the last `read`; waits for all of them.

        Raises:
          NotFiniteError: the loss or the gradient of a step is not finite.
        """
        self._sum_up()
        return dict(self._sums)

    def read(self) -> dict[str, float]:
        """Returns the metrics over the steps since the last `read`; empty if there was no audio.

        Raises:
          NotFiniteError: the loss or the gradient of a step is not finite.
          TrainingError: there has been no audio for too many steps.
        """
        sums = self.sums()
        if not sums.get("samples"):
            if (steps := int(sums.get("steps", 0))) < _MAX_EMPTY_STEPS:
                return {}
            raise TrainingError(
                f"no audio could be read in the {steps} steps up to {self._step}; "
                "expected the files of --audio_dir to stay readable"
            )
        metrics = {
            **loss_metrics("train", sums["nats"], sums["samples"], self._depth),
            "train/grad_norm": sums["grad_norm"] / sums["steps"],
            "train/learning_rate": sums["learning_rate"],
            **self._speed(),
        }
        self._sums.clear()
        self._start_clock()
        return metrics

    def _sum_up(self, leave: int = 0) -> None:
        """Waits for steps until only the last `leave` are in flight, and adds up their metrics."""
        while len(self._in_flight) > leave:
            metrics = fetch(self._in_flight.popleft())
            self._step += 1
            if not math.isfinite(metrics["nats"] + metrics["grad_norm"]):
                raise NotFiniteError(self._step)
            self._timed_samples += metrics["samples"]
            for name in ("nats", "samples", "grad_norm"):
                self._sums[name] += metrics[name]
            self._sums["learning_rate"] = metrics["learning_rate"]  # Of the last step.
            self._sums["steps"] += 1

    def _speed(self) -> dict[str, float]:
        if not self._timed_samples or self._begin is None:
            return {}
        seconds = max(self._clock() - self._begin, 1e-9)
        waited_s = self._batches.waited_s - self._waited_s
        return {
            "train/samples_per_second": self._timed_samples / seconds,
            "train/input_wait_fraction": min(1.0, waited_s / seconds),
        }

    def _start_clock(self) -> None:
        self._begin, self._waited_s = self._clock(), self._batches.waited_s
        self._timed_samples = 0.0


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
