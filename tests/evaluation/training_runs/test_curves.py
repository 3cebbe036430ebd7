"""The curves of a run, while it goes on."""

import subprocess
import sys

import numpy as np
import pytest

from evaluation.training_runs import curves
from evaluation.training_runs.curves import CurvesWriter
from evaluation.training_runs.metrics_log import last
from training.metrics.writers import MultiWriter

TRAIN, VALID = "train/bits_per_sample", "valid/bits_per_sample"


@pytest.fixture
def drawn():
    """What was drawn, without drawing it."""
    return []


@pytest.fixture
def clock():
    """A clock that stands still until it is set."""
    return [1000.0]


def _writer(drawn, clock, **options):
    def draw(metrics, path):
        drawn.append(metrics)

    return CurvesWriter("unused.png", draw=draw, clock=lambda: clock[0], **options)


def test_it_draws_when_a_validation_comes_but_not_too_often(drawn, clock):
    writer = _writer(drawn, clock)
    writer.write(0, {"wall_time_s": 0.0, "valid/flac_bits_per_sample": 2.6})
    writer.write(1, {"wall_time_s": 1.0, TRAIN: 4.0})
    assert len(drawn) == 0
    writer.write(1, {"wall_time_s": 1.0, VALID: 4.0})
    assert len(drawn) == 1
    clock[0] += 29
    writer.write(2, {"wall_time_s": 2.0, VALID: 3.0})
    assert len(drawn) == 1
    clock[0] += 1
    writer.write(3, {"wall_time_s": 3.0, TRAIN: 3.0})
    assert len(drawn) == 1
    writer.write(3, {"wall_time_s": 3.0, VALID: 2.5})
    assert len(drawn) == 2
    assert drawn[1][VALID].values.tolist() == [4, 3, 2.5]
    assert drawn[1][VALID].wall_time_s.tolist() == [1, 2, 3]
    assert last(drawn[1], "valid/flac_bits_per_sample") == 2.6


def test_a_picture_that_cannot_be_drawn_is_one_warning_until_it_can(drawn, clock, caplog):
    errors = [OSError(28, "No space left on device"), OSError(28, "No space left on device"), None]

    def draw(metrics, path):
        if error := errors.pop(0):
            raise error
        drawn.append(metrics)

    writer = MultiWriter([CurvesWriter("m_curves.png", draw=draw, clock=lambda: clock[0])])
    for step in range(3):
        writer.write(step, {VALID: 4.0})
        writer.write(step, {TRAIN: 4.0})
    assert [record.message for record in caplog.records] == [
        "m_curves.png is not drawn: [Errno 28] No space left on device",
        "m_curves.png is drawn again",
    ]
    assert len(drawn) == 1


def test_closing_draws_what_is_new(drawn, clock):
    writer = _writer(drawn, clock)
    writer.close()
    assert len(drawn) == 0
    writer.write(1, {VALID: 4.0})
    writer.close()
    assert len(drawn) == 1
    writer.write(2, {TRAIN: 3.0})
    writer.close()
    assert len(drawn) == 2 and drawn[1][TRAIN].values.tolist() == [3]


def test_a_long_run_is_thinned_evenly(drawn, clock):
    writer = _writer(drawn, clock, max_points=64)
    for step in range(1, 10_001):
        writer.write(step, {TRAIN: float(step)})
    writer.close()
    steps, _, values = drawn[0][TRAIN]
    assert 32 <= len(steps) <= 65
    assert (steps[0], steps[-1]) == (1, 10_000)
    assert (steps == values).all()
    assert len(set(np.diff(steps[:-1]))) == 1


def test_matplotlib_waits_until_something_is_drawn():
    code = (
        "import sys; from evaluation.training_runs.curves import CurvesWriter; "
        "CurvesWriter('unused.png').write(1, {'train/loss': 1.0}); "
        "sys.exit('matplotlib' in sys.modules)"
    )
    root = curves.__file__.rsplit("/evaluation/", 1)[0]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0
