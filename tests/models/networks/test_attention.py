import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.build import build_model
from models.config import ModelConfig, TransformerConfig
from models.networks import attention


def plain_attention(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
    scores = jnp.einsum("bqhk,bjhk->bhqj", query, key)
    visible = jnp.tri(query.shape[1], dtype=bool)
    weights = jax.nn.softmax(jnp.where(visible, scores, -jnp.inf))
    return jnp.einsum("bhqj,bjhk->bqhk", weights, value)


def random_heads(length: int) -> list[jax.Array]:
    rng = np.random.default_rng(length)
    return [jnp.array(rng.normal(size=(2, length, 3, 5)), jnp.float32) for _ in range(4)]


@pytest.mark.parametrize(
    ("length", "platform"), [(1, "cpu"), (2, "gpu"), (7, "cpu"), (256, "gpu"), (600, "cpu")]
)
def test_output_and_gradients_equal_plain_attention(length: int, platform: str) -> None:
    """For a GPU all heads are computed at once."""
    causal_attention = functools.partial(attention.causal_attention, platform=platform)
    query, key, value, direction = random_heads(length)
    expected, expected_gradient = jax.vjp(plain_attention, query, key, value)
    actual, gradient = jax.vjp(causal_attention, query, key, value)
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    for ours, theirs in zip(gradient(direction), expected_gradient(direction), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=5e-5)


@pytest.mark.parametrize("sign", [1, -1])
def test_scores_at_the_bound_stay_finite(sign: int) -> None:
    query = jnp.full((1, 300, 1, 1), sign * attention.MAX_SCORE)
    key = jnp.ones((1, 300, 1, 1))
    value = jnp.linspace(-1, 1, 300).reshape(1, 300, 1, 1)
    causal_attention = functools.partial(attention.causal_attention, platform="cpu")
    output, gradient = jax.vjp(causal_attention, query, key, value)
    means = jnp.cumsum(value, 1) / jnp.arange(1, 301).reshape(1, 300, 1, 1)
    np.testing.assert_allclose(output, means, atol=1e-4)
    assert all(np.all(np.isfinite(part)) for part in gradient(jnp.ones_like(output)))


def test_bfloat16_is_close() -> None:
    heads = random_heads(300)[:3]
    low_heads = (x.astype(jnp.bfloat16) for x in heads)
    low = attention.causal_attention(*low_heads, platform="cpu")
    assert low.dtype == jnp.bfloat16
    np.testing.assert_allclose(low.astype(jnp.float32), plain_attention(*heads), atol=0.05)


def test_no_array_holds_all_scores() -> None:
    heads = [jax.ShapeDtypeStruct((1, 4096, 2, 4), jnp.float32)] * 3
    step = jax.jit(jax.grad(lambda *x: attention.causal_attention(*x, platform="cpu").sum()))
    memory = step.lower(*heads).compile().memory_analysis()
    assert memory is not None
    assert memory.temp_size_in_bytes < 2 * 4096**2


def test_no_array_holds_the_masks_of_all_blocks() -> None:
    """In a model, whose blocks are loops within a loop, JAX would move constants out of them."""
    network = TransformerConfig(embedding_dim=8, num_layers=2, num_heads=2)
    model = build_model(ModelConfig(network=network), platform="tpu")
    params = jax.eval_shape(model.init, jax.random.key(0))
    samples = jax.ShapeDtypeStruct((5, 600), jnp.int8)  # Six blocks of scores in each head.

    def total(params: Any, samples: jax.Array) -> jax.Array:
        return model.log_likelihood(params, {"samples": samples}).sum()

    program = jax.jit(jax.grad(total)).lower(params, samples).as_text()
    masks = set(re.findall(r"tensor<((?:\d+x)*256x256)xi1>", program))
    assert masks and masks <= {"256x256", "2x256x256", "5x2x256x256"}
