"""The block that the ablations vary is the model's, and their distributions are normalised."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.ablations import VARIANTS, VariantNetwork
from models.autoregressive import Network
from models.config import ModelConfig, TransformerConfig

CONFIG = ModelConfig(network=TransformerConfig(num_layers=1, embedding_dim=8, num_heads=2))


def log_probs(network, samples):
    """Returns the log-probabilities [B, L] under parameters away from their initial values."""
    params = network.init(jax.random.key(0), jnp.zeros((1, 1), jnp.int32), (1,), method="log_probs")
    params = jax.tree.map(lambda array: array + 0.1, params)
    return network.apply(params, samples, (1,), method="log_probs")[..., 0]


@pytest.mark.slow
def test_the_block_in_parts_is_the_model_s():
    samples = jnp.array(np.random.default_rng(0).integers(-128, 128, (2, 16)), jnp.int32)
    ours, in_parts = (
        log_probs(network(CONFIG, "cpu"), samples) for network in (Network, VariantNetwork)
    )
    np.testing.assert_allclose(in_parts, ours, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["two_widths", "byte_softmax"])
def test_the_probabilities_of_all_samples_sum_to_1(name):
    samples = jnp.array([[5, -3, sample] for sample in range(-128, 128)], jnp.int32)
    result = log_probs(VARIANTS[name][1](CONFIG, "cpu"), samples)
    assert abs(jax.nn.logsumexp(result[:, -1])) < 1e-3
    # The samples before do not depend on the last one.
    np.testing.assert_allclose(result[:, :-1], np.broadcast_to(result[:1, :-1], (256, 2)))
