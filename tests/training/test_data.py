"""Batches on their way to the devices."""

import jax
import numpy as np

from tests.toy_model import Unigram
from training.data import device_batches


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
