"""The networks that are tried look back in time, and not ahead."""

import jax
import numpy as np
import pytest

from benchmarks.networks import VARIANTS


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gru", "states", "conv"])
def test_causal(name):
    network = VARIANTS[name].network()
    features = np.random.default_rng(0).normal(size=(1, 16, 5)).astype(np.float32)
    changed = features.copy()
    changed[0, 8] += 1
    params = network.init(jax.random.key(0), features)
    before, after = (network.apply(params, x) for x in (features, changed))
    differs = np.abs(before - after).max((0, 2)) > 1e-6
    assert not differs[:8].any() and differs[8]
    assert differs[9:].any()
