"""The speed of a run, by a clock that the test turns."""

import weakref
from typing import Any

import pytest

from training.metrics.accumulator import MetricAccumulator, NotFiniteError, TimedIterator


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
    accumulator.read()
    for number in range(2, 12):
        clock.now += 2.0  # 50 samples a second
        batches.waited_s += 1.0
        accumulator.add(_step())
        if number == 7:
            clock.now += 1000.0  # validates
            batches.waited_s += 7.0  # before it asks for its next batch
            accumulator.restart_clock()
    metrics = accumulator.read()
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
    metrics = accumulator.read()
    assert metrics["train/samples_per_second"] == pytest.approx(50)
    assert metrics["train/input_wait_fraction"] == pytest.approx(0.5)


def test_right_after_a_validation_there_is_no_speed():
    accumulator = MetricAccumulator(8, TimedIterator(iter(())))
    accumulator.add(_step())
    accumulator.restart_clock()
    assert "train/samples_per_second" not in accumulator.read()


class _Step(dict):
    """Metrics that a weak reference can tell of."""

    __hash__ = object.__hash__  # type: ignore[assignment]


def test_steps_are_not_kept_until_they_are_read():
    accumulator = MetricAccumulator(8, TimedIterator(iter(())))
    alive: weakref.WeakSet = weakref.WeakSet()
    for number in range(1, 101):
        step = _Step(_step(float(number)))
        alive.add(step)
        accumulator.add(step)
        del step
    assert len(alive) <= 4  # In flight.
    assert accumulator.sums() == {
        "nats": 5050,
        "samples": 5050,
        "grad_norm": 100,
        "learning_rate": 0.1,
        "steps": 100,
    }


def test_what_was_not_read_goes_on_in_another_accumulator():
    batches: TimedIterator = TimedIterator(iter(()))
    whole, first = MetricAccumulator(8, batches), MetricAccumulator(8, batches)
    steps = [
        {**_step(float(number)), "nats": number / 3, "grad_norm": 0.1} for number in range(1, 30)
    ]
    for step in steps:
        whole.add(step)
    for step in steps[:20]:
        first.add(step)
    second = MetricAccumulator(8, batches, 20, first.sums())
    for step in steps[20:]:
        second.add(step)
    assert second.sums() == whole.sums()
    expected, found = whole.read(), second.read()
    assert all(found[name] == expected[name] for name in expected if "/loss" in name)
    assert second.sums() == {}


@pytest.mark.parametrize("name", ["nats", "grad_norm"])
def test_a_step_that_is_not_finite_is_named(name):
    accumulator = MetricAccumulator(8, TimedIterator(iter(())), step=10)
    accumulator.add(_step())
    with pytest.raises(NotFiniteError, match="at step 12 is not finite"):
        accumulator.add({**_step(), name: float("nan")})
        accumulator.sums()
