"""Batches on their way to the devices: whole ones, and draws from a pool."""

import itertools
import threading

import jax
import numpy as np
import pytest

from tests.toy_model import Unigram
from training.device_batches import device_batches, drawn_batches
from training.feature_pool import FeaturePool, PoolSchedule


def _batch(seed):
    samples = np.random.default_rng(seed).integers(-128, 128, (1, 2, 6), np.int8)
    bounds = np.zeros((1, 2), np.int32)
    return {"samples": samples, "first": bounds, "stop": bounds + 6, "channels": bounds + 1}


def test_batches_are_prepared_in_order():
    batches = [_batch(seed) for seed in range(5)]
    found = [jax.device_get(put) for put in device_batches(Unigram(), lambda: batches)]
    assert len(found) == 5
    for put, batch in zip(found, batches, strict=True):
        assert put.keys() == {"inputs", "first", "stop"}
        np.testing.assert_array_equal(put["inputs"]["samples"], batch["samples"])
        np.testing.assert_array_equal(put["first"], batch["first"])
        np.testing.assert_array_equal(put["stop"], batch["stop"])


def test_batches_are_not_opened_before_they_are_asked_for():
    opened = []

    def batches():
        opened.append(True)
        return [_batch(0)]

    on_devices = device_batches(Unigram(), batches)
    assert not opened
    next(on_devices)
    assert opened


class _Features(Unigram):
    """Reads the number of the batch, and counts what it has prepared."""

    def __init__(self, fails_at=None):
        super().__init__()
        self.prepared, self._fails_at = [], fails_at

    def prepare(self, batch):
        number = int(batch["samples"][0, 0, 0])
        if number == self._fails_at:
            raise RuntimeError("broken")
        self.prepared.append(number)
        features = batch["samples"][..., np.newaxis].astype(np.float32)
        return {"features": features, "residual": batch["samples"].astype(np.float32)}


SCHEDULE = PoolSchedule(num_batches=3, samples_per_step=8, batch_samples=12, reuse=2)


def _numbered(first):
    for number in itertools.count(first):
        yield {**_batch(0), "samples": np.full((1, 2, 6), number, np.int32)}


def _drawn(steps, *, model=None, first_step=0, schedule=SCHEDULE):
    pool = FeaturePool(schedule.num_batches, 4, seed=0, rows=(0, 2))
    drawn = drawn_batches(model or _Features(), _numbered, pool, schedule, first_step)
    return [jax.device_get(batch) for batch in itertools.islice(drawn, steps)]


def test_each_step_draws_from_the_batches_of_its_schedule():
    for step, batch in enumerate(_drawn(20)):
        found = batch["inputs"]["features"]
        assert found.shape == (1, 8, 1, 1) and batch["stop"].shape == (1, 8)
        assert {*found.ravel().astype(int)} <= {*SCHEDULE.batches(step)}


def test_a_resumed_run_draws_what_it_would_have_drawn():
    whole = _drawn(20)
    for first in (1, 13):
        for ours, theirs in zip(_drawn(20 - first, first_step=first), whole[first:], strict=True):
            jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_a_corpus_that_fits_is_prepared_once():
    model = _Features()
    still = PoolSchedule(num_batches=3, samples_per_step=8, batch_samples=12, reuse=None)
    batches = _drawn(50, model=model, schedule=still)
    assert max(model.prepared) <= 3 + 2  # Two are prepared ahead.
    assert {int(x) for batch in batches for x in batch["inputs"]["residual"].ravel()} == {0, 1, 2}


def test_what_fails_in_a_thread_is_raised_and_threads_end():
    earlier = threading.enumerate()  # Iterators of other tests may still wait to be collected.
    with pytest.raises(RuntimeError, match="broken"):
        _drawn(50, model=_Features(fails_at=6))
    names = [thread.name for thread in threading.enumerate() if thread not in earlier]
    assert not [name for name in names if name.startswith(("prepare", "draw"))]
