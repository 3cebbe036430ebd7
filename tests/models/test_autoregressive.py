"""Changing one sample, or all of them: what the whole model promises. L samples in a chunk."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.autoregressive import AutoregressiveModel, Network
from models.config import ModelConfig, TransformerConfig
from models.distributions.logistic_mixture import mixture_log_prob
from models.interface import Params
from models.microbatches import map_microbatches, sum_microbatches

LENGTH = 10
DEPTHS = (8, 16)


@functools.cache
def small_model(
    depth: int, platform: str = "cpu", **fields: Any
) -> tuple[AutoregressiveModel, Params]:
    """Returns a model and parameters far enough from their start that everything matters."""
    small: dict[str, Any] = {"embedding_dim": 12, "num_layers": 1, "num_heads": 4}
    config = ModelConfig(depth=depth, network=TransformerConfig(**{**small, **fields}))
    model = AutoregressiveModel(Network(config, platform))
    leaves, tree = jax.tree.flatten(model.init(jax.random.key(0)))
    keys = jax.random.split(jax.random.key(1), len(leaves))
    noisy = [x + 0.1 * jax.random.normal(key, x.shape) for x, key in zip(leaves, keys, strict=True)]
    return model, jax.tree.unflatten(tree, noisy)


def random_samples(depth: int, *shape: int) -> np.ndarray:
    half = 2 ** (depth - 1)
    return np.random.default_rng(0).integers(-half, half, shape)


def signals(depth: int) -> dict[str, np.ndarray]:
    """Returns kinds of audio that break careless models, int64 [2, L] each."""
    half = 2 ** (depth - 1)
    clipped = np.where(np.arange(LENGTH) % 7 < 4, half - 1, -half)
    return {
        "silence": np.zeros((2, LENGTH), int),
        "noise": random_samples(depth, 2, LENGTH),
        "clipped": np.stack([clipped, -1 - clipped]),
        "coarse": random_samples(depth, 2, LENGTH) >> depth // 2 << depth // 2,
    }


@functools.cache
def log_likelihood(model: AutoregressiveModel) -> Callable[[Params, np.ndarray], jax.Array]:
    return jax.jit(lambda params, samples: model.log_likelihood(params, {"samples": samples}))


@functools.cache
def log_probs(model: Any) -> Callable[[Params, np.ndarray], jax.Array]:
    """From samples [B, L] to the log-probabilities of all samples of the depth, [B, L, 2^depth]."""
    depth = model.config.depth

    def table(params: Params, samples: np.ndarray) -> jax.Array:
        mixture = model._network.apply({"params": params}, samples, method="mixture")
        mixture = jax.tree.map(lambda x: x[..., None, :], mixture)
        return mixture_log_prob(mixture, jnp.arange(2**depth) - 2 ** (depth - 1), depth)

    return jax.jit(table)


@functools.cache
def gradients(model: AutoregressiveModel) -> Callable[[Params, np.ndarray], Params]:
    def total(params: Params, samples: np.ndarray) -> jax.Array:
        return model.log_likelihood(params, {"samples": samples}).sum()

    return jax.jit(jax.grad(total))


def check_causality(table: Callable[[np.ndarray], jax.Array], depth: int) -> None:
    """Asserts that changing a sample changes what comes after it, and nothing else."""
    samples = random_samples(depth, 1, LENGTH)
    half = 2 ** (depth - 1)
    before = np.asarray(table(samples))
    for t in range(LENGTH):
        changed = samples.copy()
        changed[0, t] = (changed[0, t] + half + 2 * half // 3) % (2 * half) - half
        after = np.asarray(table(changed))
        np.testing.assert_array_equal(after[:, : t + 1], before[:, : t + 1])
        differs = np.any(after != before, axis=(0, 2))
        assert np.all(differs[t + 1 :])


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_sample_changes_only_what_comes_after(depth: int) -> None:
    model, params = small_model(depth, num_layers=2)
    check_causality(functools.partial(log_probs(model), params), depth)


@pytest.mark.slow
def test_a_model_that_peeks_is_caught() -> None:
    model, params = small_model(8)
    with pytest.raises(AssertionError, match="not equal"):
        check_causality(lambda samples: jnp.roll(log_probs(model)(params, samples), -1, 1), 8)


@pytest.mark.slow
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("kind", ["silence", "noise", "clipped", "coarse"])
def test_normalised_and_in_agreement_on_any_signal(depth: int, kind: str) -> None:
    model, params = small_model(depth)
    samples = signals(depth)[kind]
    table = np.asarray(log_probs(model)(params, samples), np.float64)
    assert np.all(np.isfinite(table))
    np.testing.assert_allclose(np.exp(table).sum(-1), 1, atol=1e-5)
    index = samples[..., None] + 2 ** (depth - 1)
    expected = np.take_along_axis(table, index, -1)[..., 0]
    actual = log_likelihood(model)(params, samples)
    assert actual.dtype == jnp.float32
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["silence", "noise", "clipped", "coarse"])
def test_the_parts_of_a_cost_are_those_of_the_bytes(kind: str) -> None:
    model, params = small_model(16)
    samples = signals(16)[kind]
    parts = model.cost_parts(params, {"samples": samples})
    table = np.asarray(log_probs(model)(params, samples), np.float64)
    upper = np.log(np.exp(table).reshape(2, LENGTH, 256, 256).sum(-1))
    expected = np.take_along_axis(upper, samples[..., None] // 256 + 128, -1)[..., 0]
    np.testing.assert_allclose(parts["upper byte"], -expected, rtol=1e-3, atol=1e-3)
    total = -log_likelihood(model)(params, samples)
    np.testing.assert_allclose(sum(parts.values()), total, rtol=1e-5, atol=1e-4)


def test_eight_bits_have_no_parts() -> None:
    model, params = small_model(8)
    samples = signals(8)["noise"]
    (part,) = model.cost_parts(params, {"samples": samples}).values()
    np.testing.assert_allclose(part, -log_likelihood(model)(params, samples), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("kind", ["silence", "noise", "clipped", "coarse"])
def test_gradients_are_finite_on_any_signal(depth: int, kind: str) -> None:
    model, params = small_model(depth)
    gradient = gradients(model)(params, signals(depth)[kind])
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("depth", DEPTHS)
def test_silence_is_cheap_and_noise_not_dear_before_training(depth: int) -> None:
    config = ModelConfig(depth=depth, network=TransformerConfig(num_layers=1))
    model = AutoregressiveModel(Network(config, "cpu"))
    params = model.init(jax.random.key(0))
    bits = {
        kind: -log_likelihood(model)(params, np.tile(x, 20))[:, 1:].mean() / np.log(2)
        for kind, x in signals(depth).items()
    }
    assert bits["silence"] < 0.1
    assert bits["noise"] < depth + 2


@pytest.mark.slow
@pytest.mark.parametrize("length", [1, 2, 513])
def test_any_chunk_size_and_integer_type(length: int) -> None:
    model, params = small_model(8)
    samples = random_samples(8, 3, length)
    expected = log_likelihood(model)(params, samples)
    assert expected.shape == (3, length)
    np.testing.assert_array_equal(log_likelihood(model)(params, samples.astype(np.int8)), expected)


@pytest.mark.slow
def test_the_narrowest_heads() -> None:
    model, params = small_model(8, embedding_dim=4)
    assert np.all(np.isfinite(log_likelihood(model)(params, signals(8)["noise"])))


def test_a_prefix_is_read_like_the_whole() -> None:
    model, params = small_model(8)
    samples = random_samples(8, 1, 600)
    whole = log_likelihood(model)(params, samples)
    prefix = log_likelihood(model)(params, samples[:, :300])
    np.testing.assert_allclose(prefix, whole[:, :300], atol=1e-4)


def test_the_beginning_is_no_sample() -> None:
    """Whatever sample comes first, the position after it is read unlike the beginning."""
    model, params = small_model(8)
    table = log_probs(model)
    first = table(params, np.full((1, 2), -128))[0, 0]
    pairs = np.stack([np.arange(-128, 128), np.full(256, -128)], 1)
    seconds = table(params, pairs)[:, 1]
    assert np.all(np.abs(seconds - first).max(-1) > 1e-3)
    moved = jax.tree.map_with_path(
        lambda path, leaf: leaf + 1 if jax.tree_util.DictKey("begin") in path else leaf, params
    )
    assert np.abs(table(moved, np.full((1, 2), -128))[0, 0] - first).max() > 1e-3


def test_chunks_do_not_touch_each_other() -> None:
    model, params = small_model(8)
    samples = random_samples(8, 4, LENGTH)
    score = log_likelihood(model)
    expected = score(params, samples)
    np.testing.assert_array_equal(score(params, samples), expected)
    for row in range(4):
        alone = score(params, samples[row : row + 1])[0]
        np.testing.assert_allclose(alone, expected[row], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("chunks_at_once", [1, 3, 5, None])
def test_an_accelerator_gets_the_same_figures(chunks_at_once: int | None) -> None:
    """There several chunks, the last ones of no audio, and all heads are computed at once."""
    model, params = small_model(8)
    other = AutoregressiveModel(Network(model.config, "gpu"))
    samples = random_samples(8, 5, LENGTH)

    def likelihood(params: Params, samples: jax.Array) -> jax.Array:
        return other.log_likelihood(params, {"samples": samples})

    def total(params: Params, part: dict[str, jax.Array]) -> jax.Array:
        return jnp.where(part["is_audio"][:, None] == 2, likelihood(params, part["x"]), 0).sum()

    @jax.jit
    def figures(params: Params, samples: jax.Array) -> tuple[jax.Array, Params]:
        of_samples = functools.partial(likelihood, params)
        gradient = functools.partial(jax.grad(total), params)
        batch = {"x": samples, "is_audio": jnp.full(len(samples), 2)}  # Padding is ones.
        return (
            map_microbatches(of_samples, samples, chunks_at_once),
            sum_microbatches(gradient, batch, chunks_at_once),
        )

    values, actual = figures(params, samples)
    np.testing.assert_allclose(values, log_likelihood(model)(params, samples), atol=1e-5)
    expected = gradients(model)(params, samples)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-3), actual, expected
    )


def test_positions_matter() -> None:
    """Attention alone cannot tell orders apart; the same windows further away must."""
    model, params = small_model(8)
    rng = np.random.default_rng(0)
    a, b, tail = (rng.integers(-128, 128, (1, n)) for n in (30, 30, 40))
    score = log_likelihood(model)
    ab = score(params, np.concatenate([a, b, tail], 1))[0, -1]
    ba = score(params, np.concatenate([b, a, tail], 1))[0, -1]
    assert abs(ab - ba) > 1e-6


def test_bfloat16_is_close_and_keeps_float32_log_probs() -> None:
    model, params = small_model(8)
    low, _ = small_model(8, dtype="bfloat16")
    samples = random_samples(8, 1, LENGTH) // 5
    actual = log_likelihood(low)(params, samples)
    assert actual.dtype == jnp.float32
    np.testing.assert_allclose(actual, log_likelihood(model)(params, samples), atol=0.2)


@pytest.mark.parametrize(
    "samples",
    [np.zeros((1, 8), np.float32), np.zeros(8, np.int8), np.zeros((1, 8), np.uint8)],
    ids=["amplitudes", "1-D", "unsigned"],
)
def test_what_are_no_samples_is_refused(samples):
    model, params = small_model(8)
    with pytest.raises(ValueError, match="samples must be signed integers"):
        jax.eval_shape(model.log_likelihood, params, {"samples": samples})


def test_what_is_prepared_is_no_more_than_what_is_read() -> None:
    model, params = small_model(8)
    samples = random_samples(8, 2, LENGTH)
    batch = {"samples": samples, "first": np.zeros(2), "stop": np.full(2, LENGTH)}
    inputs = model.prepare(batch)
    assert list(inputs) == ["samples"]
    assert model.log_likelihood(params, inputs).shape == samples.shape
