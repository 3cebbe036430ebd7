"""The rates of a run, by a clock that the test turns."""

from typing import Any

import jax
import pytest

from training.metrics import accumulator as meter


class _Clock:
    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = _Clock()
    monkeypatch.setattr(meter, "time", clock)
    monkeypatch.setattr(jax, "block_until_ready", lambda x: x)
    monkeypatch.setattr(meter, "fetch", lambda metrics: metrics)
    return clock


def _step(samples: float = 100.0) -> Any:
    return {"nats": samples, "samples": samples, "grad_norm": 1.0, "learning_rate": 0.1}


def test_a_validation_between_two_readings_changes_no_rate(clock):
    batches = meter.TimedIterator(iter(()))
    tested = meter.MetricAccumulator(8)
    tested.add(_step())  # compiles
    tested.read(1, batches)
    for number in range(2, 12):
        clock.now += 2.0  # 50 samples a second
        batches.seconds += 1.0
        tested.add(_step())
        if number == 7:
            clock.now += 1000.0  # validates
            batches.seconds += 7.0  # before it asks for its next batch
            tested.restart(batches)
    reading = tested.read(11, batches)
    assert reading["train/samples_per_second"] == pytest.approx(50)
    assert reading["train/input_wait"] == pytest.approx(0.5)
    assert reading["train/loss"] == pytest.approx(1)


def test_right_after_a_validation_there_is_no_rate(clock):
    tested, batches = meter.MetricAccumulator(8), meter.TimedIterator(iter(()))
    tested.add(_step())
    tested.restart(batches)
    assert "train/samples_per_second" not in tested.read(1, batches)
