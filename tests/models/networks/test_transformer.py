"""Changing one symbol, or all of them: what the whole model promises.

L symbols in a chunk, V vocabulary.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.config import ModelConfig
from models.networks import attention
from models.networks.transformer import Transformer, init_params

LENGTH = 10
VOCAB_SIZES = (256, 65536)


@functools.cache
def small_model(vocab_size: int, **fields: Any) -> tuple[Transformer, dict]:
    """Returns a model and parameters far enough from their start that everything matters."""
    small: dict[str, Any] = {"embedding_dim": 12, "num_layers": 1, "num_heads": 4}
    config = ModelConfig(vocab_size=vocab_size, **{**small, **fields})
    leaves, tree = jax.tree.flatten(init_params(config, jax.random.key(0)))
    keys = jax.random.split(jax.random.key(1), len(leaves))
    noisy = [x + 0.1 * jax.random.normal(key, x.shape) for x, key in zip(leaves, keys, strict=True)]
    return Transformer(config), jax.tree.unflatten(tree, noisy)


def signals(vocab_size: int) -> dict[str, np.ndarray]:
    """Returns kinds of audio that break careless models, int64 [2, L] each."""
    rng = np.random.default_rng(0)
    half = vocab_size // 2
    noise = rng.integers(0, vocab_size, (2, LENGTH))
    clipped = np.where(np.arange(LENGTH) % 7 < 4, vocab_size - 1, 0)
    return {
        "silence": np.full((2, LENGTH), half),
        "noise": noise,
        "clipped": np.stack([clipped, vocab_size - 1 - clipped]),
        "coarse": noise // 256 * 256,
    }


@functools.cache
def apply(model: Transformer, method: str) -> Callable[[dict, np.ndarray], jax.Array]:
    return jax.jit(lambda params, symbols: model.apply(params, symbols, method=method))


@functools.cache
def gradients(model: Transformer) -> Callable[[dict, np.ndarray], dict]:
    def total(params: dict, symbols: np.ndarray) -> jax.Array:
        log_probs: Any = model.apply(params, symbols, method="log_likelihood")
        return log_probs.sum()

    return jax.jit(jax.grad(total))


def check_causality(model: Transformer, params: dict) -> None:
    """Asserts that changing a symbol changes what comes after it, and nothing else."""
    vocab_size = model.config.vocab_size
    log_probs = jax.jit(lambda symbols: model.apply(params, symbols, method="log_probs"))
    symbols = np.random.default_rng(0).integers(0, vocab_size, (1, LENGTH))
    before = np.asarray(log_probs(symbols))
    for t in range(LENGTH):
        changed = symbols.copy()
        changed[0, t] = (changed[0, t] + vocab_size // 3) % vocab_size
        after = np.asarray(log_probs(changed))
        np.testing.assert_array_equal(after[:, : t + 1], before[:, : t + 1])
        differs = np.any(after != before, axis=(0, 2))
        assert np.all(differs[t + 1 :])


@pytest.mark.parametrize("vocab_size", VOCAB_SIZES)
def test_a_symbol_changes_only_what_comes_after(vocab_size: int) -> None:
    check_causality(*small_model(vocab_size, num_layers=2))


def test_a_model_that_peeks_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "_visible", lambda start, length: True)
    with pytest.raises(AssertionError, match="not equal"):
        check_causality(*small_model(256, num_layers=2))


@pytest.mark.parametrize("vocab_size", VOCAB_SIZES)
@pytest.mark.parametrize("kind", ["silence", "noise", "clipped", "coarse"])
def test_normalised_and_in_agreement_on_any_signal(vocab_size: int, kind: str) -> None:
    model, params = small_model(vocab_size)
    symbols = signals(vocab_size)[kind]
    table = np.asarray(apply(model, "log_probs")(params, symbols), np.float64)
    assert np.all(np.isfinite(table))
    np.testing.assert_allclose(np.exp(table).sum(-1), 1, atol=1e-5)
    expected = np.take_along_axis(table, symbols[..., None], -1)[..., 0]
    actual = apply(model, "log_likelihood")(params, symbols)
    assert actual.dtype == jnp.float32
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("vocab_size", VOCAB_SIZES)
@pytest.mark.parametrize("kind", ["silence", "noise", "clipped", "coarse"])
def test_gradients_are_finite_on_any_signal(vocab_size: int, kind: str) -> None:
    model, params = small_model(vocab_size)
    gradient = gradients(model)(params, signals(vocab_size)[kind])
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("vocab_size", VOCAB_SIZES)
def test_silence_is_cheap_and_noise_not_dear_before_training(vocab_size: int) -> None:
    config = ModelConfig(vocab_size=vocab_size, num_layers=1)
    params = init_params(config, jax.random.key(0))
    log_likelihood = apply(Transformer(config), "log_likelihood")
    samples = {kind: np.tile(x, 20) for kind, x in signals(vocab_size).items()}
    bits = {k: -log_likelihood(params, x)[:, 1:].mean() / np.log(2) for k, x in samples.items()}
    assert bits["silence"] < 0.1
    assert bits["noise"] < np.log2(vocab_size) + 2


@pytest.mark.parametrize("length", [1, 2, 513])
def test_any_chunk_size_and_integer_type(length: int) -> None:
    model, params = small_model(256)
    symbols = np.random.default_rng(0).integers(0, 256, (3, length))
    log_likelihood = apply(model, "log_likelihood")
    expected = log_likelihood(params, symbols)
    assert expected.shape == (3, length)
    np.testing.assert_array_equal(log_likelihood(params, symbols.astype(np.uint8)), expected)


def test_the_narrowest_heads() -> None:
    model, params = small_model(256, embedding_dim=4)
    assert np.all(np.isfinite(apply(model, "log_likelihood")(params, signals(256)["noise"])))


def test_a_prefix_is_read_like_the_whole() -> None:
    model, params = small_model(256)
    symbols = np.random.default_rng(0).integers(0, 256, (1, 600))
    log_likelihood = apply(model, "log_likelihood")
    np.testing.assert_allclose(
        log_likelihood(params, symbols[:, :300]),
        log_likelihood(params, symbols)[:, :300],
        atol=1e-4,
    )


def test_the_beginning_is_no_symbol() -> None:
    """Whatever symbol comes first, the position after it is read unlike the beginning."""
    model, params = small_model(256)
    log_probs = apply(model, "log_probs")
    first = log_probs(params, np.zeros((1, 2), int))[0, 0]
    pairs = np.stack([np.arange(256), np.zeros(256, int)], 1)
    seconds = log_probs(params, pairs)[:, 1]
    assert np.all(np.abs(seconds - first).max(-1) > 1e-3)
    moved = jax.tree.map_with_path(
        lambda path, leaf: leaf + 1 if jax.tree_util.DictKey("begin") in path else leaf, params
    )
    assert np.abs(log_probs(moved, np.zeros((1, 2), int))[0, 0] - first).max() > 1e-3


def test_sequences_do_not_touch_each_other() -> None:
    model, params = small_model(256)
    symbols = np.random.default_rng(0).integers(0, 256, (4, LENGTH))
    log_likelihood = apply(model, "log_likelihood")
    expected = log_likelihood(params, symbols)
    np.testing.assert_array_equal(log_likelihood(params, symbols), expected)
    for row in range(4):
        alone = log_likelihood(params, symbols[row : row + 1])[0]
        np.testing.assert_allclose(alone, expected[row], atol=1e-5)


def test_sequences_together_equal_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """An accelerator reads several sequences at once; the figures are the same."""
    model, params = small_model(256)
    symbols = np.random.default_rng(0).integers(0, 256, (6, LENGTH))
    expected = apply(model, "log_likelihood")(params, symbols)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    actual: Any = model.apply(params, symbols, method="log_likelihood")
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_positions_matter() -> None:
    """Attention alone cannot tell orders apart; the same windows further away must."""
    model, params = small_model(256)
    rng = np.random.default_rng(0)
    a, b, tail = (rng.integers(0, 256, (1, n)) for n in (30, 30, 40))
    log_likelihood = apply(model, "log_likelihood")
    ab = log_likelihood(params, np.concatenate([a, b, tail], 1))[0, -1]
    ba = log_likelihood(params, np.concatenate([b, a, tail], 1))[0, -1]
    assert abs(ab - ba) > 1e-6


def test_bfloat16_is_close_and_keeps_float32_log_probs() -> None:
    model, params = small_model(256)
    low, _ = small_model(256, dtype="bfloat16")
    symbols = np.random.default_rng(0).integers(100, 150, (1, LENGTH))
    actual = apply(low, "log_likelihood")(params, symbols)
    assert actual.dtype == jnp.float32
    np.testing.assert_allclose(actual, apply(model, "log_likelihood")(params, symbols), atol=0.2)


@pytest.mark.parametrize(
    "symbols", [np.zeros((1, 8), np.float32), np.zeros(8, np.uint8)], ids=["amplitudes", "1-D"]
)
def test_what_are_no_symbols_is_refused(symbols):
    config = ModelConfig(num_layers=1)
    with pytest.raises(ValueError, match="symbols must be integers"):
        jax.eval_shape(
            lambda: Transformer(config).init(
                jax.random.key(0), jnp.asarray(symbols), method="log_likelihood"
            )
        )
