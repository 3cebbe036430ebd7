"""The speed of a run, by a clock that the test turns."""

from typing import Any

import pytest

from training.metrics.accumulator import MetricAccumulator, TimedIterator


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _step(samples: float = 100.0) -> Any:
    return {"nats": samples, "samples": samples, "grad_norm": 1.0, "learning_rate": 0.1}


def test_an_iterator_measures_how_long_it_is_waited_for():
    clock = _Clock()

    def slow():
        for item in "ab":
            clock.now += 3.0
            yield item

    items = TimedIterator(slow(), clock)
    assert next(items) == "a"
    clock.now += 50.0
    assert next(items) == "b"
    assert items.waited_s == 6.0


def test_a_validation_between_two_readings_does_not_count_as_training():
    clock = _Clock()
    batches: TimedIterator = TimedIterator(iter(()), clock)
    accumulator = MetricAccumulator(8, batches, clock=clock)
    accumulator.add(_step())  # compiles
    accumulator.read(1)
    for number in range(2, 12):
        clock.now += 2.0  # 50 samples a second
        batches.waited_s += 1.0
        accumulator.add(_step())
        if number == 7:
            clock.now += 1000.0  # validates
            batches.waited_s += 7.0  # before it asks for its next batch
            accumulator.restart_clock()
    metrics = accumulator.read(11)
    assert metrics["train/samples_per_second"] == pytest.approx(50)
    assert metrics["train/input_wait_fraction"] == pytest.approx(0.5)
    assert metrics["train/loss"] == pytest.approx(1)


def test_the_wait_for_the_first_batch_does_not_count():
    """It opens the files, and the step after it compiles."""
    clock = _Clock()
    batches: TimedIterator = TimedIterator(iter(()), clock)
    accumulator = MetricAccumulator(8, batches, clock=clock)
    batches.waited_s += 60.0
    accumulator.add(_step())
    clock.now += 2.0
    batches.waited_s += 1.0
    accumulator.add(_step())
    metrics = accumulator.read(2)
    assert metrics["train/samples_per_second"] == pytest.approx(50)
    assert metrics["train/input_wait_fraction"] == pytest.approx(0.5)


def test_right_after_a_validation_there_is_no_speed():
    accumulator = MetricAccumulator(8, TimedIterator(iter(())))
    accumulator.add(_step())
    accumulator.restart_clock()
    assert "train/samples_per_second" not in accumulator.read(1)
