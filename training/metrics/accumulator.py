"""What steps say: their metrics, and how long they waited for data."""

import math
import time
from collections import deque
from collections.abc import Iterable, Iterator

import jax

from training.step import Batch, Metrics, fetch

LOST = "the model is lost. Try a lower --learning_rate or --grad_clip_norm, or --dtype=float32"

# Steps without any audio after which a run ends: one file may have gone, or all of them.
_PATIENCE = 100


def in_flight() -> int:
    """Returns how many steps may be under way at once."""
    # Queued pmapped steps can deadlock in the all-reduce of forced CPU devices. On others a few in
    # flight hide the latency of starting them.
    return 1 if jax.default_backend() == "cpu" else 4


class TrainingError(RuntimeError):
    """Training cannot go on; the message says what to do."""


class NotFiniteError(TrainingError):
    """The loss or its gradient is no number.

    Attributes:
      step: the first step of which that is so.
    """

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss or its gradient at step {step} is not finite")
        self.step = step


class TimedIterator:
    """An iterator that knows how long it was waited for."""

    def __init__(self, iterator: Iterator[Batch]):
        self._iterator = iterator
        self.seconds = 0.0

    def __next__(self) -> Batch:
        begin = time.perf_counter()
        batch = next(self._iterator)
        self.seconds += time.perf_counter() - begin
        return batch


class MetricAccumulator:
    """Collects the metrics of steps, on the devices until they are read."""

    def __init__(self, bits: int, pending: Iterable[Metrics] = ()):
        """Makes a meter.

        Args:
          bits: of a raw symbol.
          pending: the steps that another meter has not read yet, as its `pending` told.
        """
        self._bits = bits
        self._pending: deque[Metrics] = deque(pending)
        self._in_flight = in_flight()
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

    def restart(self, batches: TimedIterator) -> None:
        """Leaves out the time until now, not all of it spent on training, and its steps with it."""
        self._begin, self._waited = time.perf_counter(), batches.seconds
        self._untimed = len(self._pending)

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

    def read(self, step: int, batches: TimedIterator) -> dict[str, float]:
        """Returns the metrics of the steps since the last reading; empty if there was no audio.

        Raises:
          NotFiniteError: the loss of a step is no number.
          TrainingError: there has been no audio for too long.
        """
        steps = self.pending(step)
        nats = sum(metrics["nats"] for metrics in steps)
        samples = sum(metrics["samples"] for metrics in steps)
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
            **rates("train", nats, samples, self._bits),
            "train/grad_norm": sum(metrics["grad_norm"] for metrics in steps) / len(steps),
            "train/learning_rate": steps[-1]["learning_rate"],
        }
        if timed:
            reading["train/samples_per_second"] = timed / seconds
            reading["train/input_wait"] = min(1.0, (batches.seconds - self._waited) / seconds)
        self._pending.clear()
        self._begin, self._waited, self._untimed = now, batches.seconds, 0
        return reading


def rates(split: str, nats: float, samples: float, bits: int) -> dict[str, float]:
    """Returns the figures of a split, from the sum of nats over its samples."""
    loss = nats / samples
    return {
        f"{split}/loss": loss,
        f"{split}/bits_per_sample": loss / math.log(2),
        f"{split}/compression_ratio": loss / math.log(2) / bits,
    }
