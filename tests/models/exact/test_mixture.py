"""Frequencies in integers: a distribution, whatever the network says, and the same as in floats."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.distributions.mixture import Mixture
from models.distributions.residual_mixture import Residual, residual_log_prob
from models.exact.functions import SIGMOID, SIGMOID_ONE, exp2, sigmoid
from models.exact.mixture import (
    FLOOR,
    ExactMixture,
    cumulative_frequency,
    set_mixture,
    total_frequency,
)

COMPONENTS = 3


def make(depth=8, limits=(-5.0, 17.0)):
    return ExactMixture(
        np.zeros(COMPONENTS, np.int64),
        *np.zeros((3, COMPONENTS)),
        np.array([-(2.0 ** (depth - 1)), 2.0 ** (depth - 1) - 1]),
        np.exp(-np.array(limits)),
        SIGMOID,
    )


def frequencies(mixture, base):
    first, last = (int(limit) for limit in mixture.limits)
    edges = [cumulative_frequency(mixture, float(x), base) for x in range(first, last + 2)]
    return np.diff(edges), edges


def test_functions():
    x = np.linspace(-900, 900, 4001)
    assert max(abs(exp2(v) / 2.0**v - 1) for v in x) < 1e-9
    x = np.linspace(-30, 30, 4001)
    values = np.array([sigmoid(SIGMOID, v) for v in x])
    np.testing.assert_allclose(values / SIGMOID_ONE, 1 / (1 + np.exp(-x)), atol=4e-6)
    assert (np.diff(values) >= 0).all()
    assert [sigmoid(SIGMOID, v) for v in (np.nan, -np.inf, np.inf)] == [0, 0, SIGMOID_ONE]


@pytest.mark.parametrize("scale", [1e-3, 0.1, 1.0, 50.0, 1e6])
@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_every_sample_has_a_frequency_and_they_sum_to_the_total(scale, spread):
    rng = np.random.default_rng(0)
    for base in (-128.0, -3.7, 0.0, 127.0, 1e5):
        mixture = make()
        set_mixture(mixture, rng.normal(0, spread, 16).astype(np.float32), scale)
        counts, edges = frequencies(mixture, base)
        assert edges[0] == 0 and edges[-1] == total_frequency(mixture)
        assert counts.min() >= FLOOR


def test_the_same_as_in_floats():
    rng = np.random.default_rng(1)
    values = np.arange(-128, 128)
    bound = jnp.asarray((values == 127).astype(np.int8) - (values == -128))
    for scale in (0.2, 3.0, 40.0):
        outputs, base = rng.normal(0, 1, 3 * COMPONENTS).astype(np.float32), rng.uniform(-99, 99)
        mixture = make()
        set_mixture(mixture, outputs, scale)
        counts, _ = frequencies(mixture, base)
        logits, shifts, spreads = np.split(outputs, 3)
        floats = Mixture(
            jax.nn.log_softmax(logits),
            jnp.asarray(scale * shifts),
            jnp.clip(np.log(scale) + spreads, -5, 17),
        )
        ones = jnp.ones(256)
        log_prob = residual_log_prob(floats, Residual(jnp.asarray(values - base), ones, bound))
        exact = np.log(counts) - np.log(total_frequency(mixture))
        expected = np.exp(log_prob)
        lost = (expected * (log_prob - exact)).sum()
        assert abs(lost) < 1e-3  # Nats of 3 to 6.
        likely = log_prob > -18
        np.testing.assert_allclose(exact[likely], log_prob[likely], atol=0.05)
