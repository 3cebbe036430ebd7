import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.distributions.logistic_mixture import mixture_log_prob
from models.distributions.mixture import Mixture


def make_mixture(centres: list[float], log_scales: list[float]) -> Mixture:
    logits = jnp.zeros(len(centres) + 1)
    return Mixture(jax.nn.log_softmax(logits), jnp.array(centres), jnp.array(log_scales))


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("log_scale", [-3.0, 0.0, 5.0, 12.0])
@pytest.mark.parametrize("place", [-1.0, -0.3337, 0.0, 0.123, 1.0])
def test_sums_to_one(depth: int, log_scale: float, place: float) -> None:
    full_scale = 2 ** (depth - 1)
    mixture = make_mixture([place * full_scale, 0.0], [log_scale, log_scale])
    table = mixture_log_prob(mixture, jnp.arange(-full_scale, full_scale), depth)
    assert np.all(np.isfinite(table))
    np.testing.assert_allclose(np.exp(np.asarray(table, np.float64)).sum(), 1, atol=1e-5)


def test_equals_the_difference_of_the_distribution_function() -> None:
    centres, scales = np.array([-3.2, 90.0]), np.array([2.0, 11.0])
    mixture = make_mixture(list(centres), list(np.log(scales)))
    edges = np.arange(-128, 129)[:, None] - 0.5
    edges[0], edges[-1] = -np.inf, np.inf
    distribution = 1 / (1 + np.exp(-(edges - centres) / scales))
    expected = (np.diff(distribution, axis=0).sum(1) + 1 / 256) / 3
    actual = mixture_log_prob(mixture, jnp.arange(-128, 128), 8)
    np.testing.assert_allclose(actual, np.log(expected), atol=1e-5)


def test_gradients_are_finite_far_from_the_centres() -> None:
    mixture = make_mixture([-32768.0, 32768.0], [-3.0, -3.0])
    samples = jnp.array([-32768, -32767, 0, 32766, 32767])
    gradient = jax.grad(lambda m: mixture_log_prob(m, samples, 16).sum())(
        jax.tree.map(lambda x: x[None], mixture)
    )
    assert all(np.all(np.isfinite(part)) for part in gradient)
