"""The defaults fit into the memory of a desktop, and long runs keep to what they have."""

import pytest

from benchmarks.long_run import growth, measure
from benchmarks.tpu_compile import abstract_steps, peak_bytes


@pytest.mark.slow
@pytest.mark.parametrize("depth", ["--bit_depth=8", "--bit_depth=16"])
def test_a_step_takes_little_memory_whatever_the_batch(depth):
    """As the compiler counts it, on one device, which holds the whole batch.

    A process that does the step needs 0.7 GB besides, the libraries
    (`benchmarks/training_speed.py --memory`).
    """
    default, large = (
        peak_bytes(steps.train.lower(shapes.state, shapes.train_batch, shapes.flags).compile())
        for steps, shapes in (
            abstract_steps([depth, f"--batch_size={rows}"], "cpu", None) for rows in (128, 1024)
        )
    )
    # 27 MB were seen; nothing at all is an analysis that counts nothing.
    assert 0.01e9 < default < 0.1e9
    assert large - default < 8e6  # Samples, as int8 or int16.


@pytest.mark.slow
def test_memory_does_not_grow_with_steps(tmp_path):
    """After the first forty checkpoints and validations, in which the heap finds its size."""
    steps = 5000
    assert growth(measure(steps, str(tmp_path)), since=steps / 2) < 30
