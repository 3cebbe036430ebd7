"""Step by step a model says what it says of whole chunks. L samples in a chunk."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from models.build import build_model
from models.config import AdaptiveModelConfig, ModelConfig, TransformerConfig
from models.distributions.logistic_mixture import mixture_log_prob
from models.distributions.residual_mixture import Residual, residual_log_prob
from models.interface import StepModel
from models.networks.cache import advance_cache
from tests.models.predictors.signals import noise, tones
from tests.models.predictors.test_bank import SMALL
from tests.models.test_adaptive import make_batch

L = 600
NETWORK = TransformerConfig(embedding_dim=12, num_layers=2, num_heads=4)
CONFIGS = {
    "8 bits": ModelConfig(depth=8, network=NETWORK),
    "16 bits": ModelConfig(depth=16, network=NETWORK),
    "bfloat16": ModelConfig(depth=8, network=dataclasses.replace(NETWORK, dtype="bfloat16")),
    "adaptive": AdaptiveModelConfig(predictors=SMALL, network=NETWORK),
}


@functools.cache
def model_of(name, platform="cpu"):
    model = build_model(CONFIGS[name], platform=platform)
    return model, make_params(model)


def make_params(model, seed=0):
    """Parameters that `init` might have led to; it would have to be compiled."""
    rng = np.random.default_rng(seed)

    def make(path, leaf):
        mean = {"scale": 1.0, "logit_scale": 3.0}.get(path[-1].key, 0.0)
        return (mean + rng.normal(0, 0.15, leaf.shape)).astype(leaf.dtype)

    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return jax.tree_util.tree_map_with_path(make, shapes)


def stereo_batch(depth):
    """Two chunks of a stream of blocks, the second one shorter, and of a stream of one channel."""
    left, right = tones(L), tones(L, 2) + noise(L, 3, 20)
    stream = np.stack([left, right]).reshape(2, -1, 100).swapaxes(0, 1).reshape(2, L)
    batch = make_batch(*(np.concatenate([stream, left[None]]) >> 16 - depth))
    batch["channels"][:], batch["block"][:], batch["position"][1] = [2, 2, 1], 100, L
    batch["stop"][:] = L, 431, 300
    return batch


def stepped(model, params, batch):
    """Log-likelihoods and samples in the order of coding."""
    samples = batch["samples"]
    rows = model.init_rows({name: x for name, x in batch.items() if name != "samples"})
    caches = model.init_caches(*samples.shape)
    step, params = jax.jit(model.step), model.step_params(params)
    found = np.zeros(samples.shape)
    for t in range(max(order.size for order in rows.order)):
        inputs, base = rows.predict()
        mixture, fillings = step(params, inputs, caches, np.int32(t))
        caches = [c._replace(filling=f) for c, f in zip(caches, fillings, strict=True)]
        caches = [advance_cache(cache, t) for cache in caches]
        places = [order[t] if t < order.size else 0 for order in rows.order]
        following = samples[np.arange(len(samples)), places].astype(np.int32)
        if mixture.log_weights.shape == mixture.centres.shape:
            ones = np.ones(len(base), np.float32)
            residual = Residual((following - base).astype(np.float32), ones, np.zeros(len(base)))
            nats = residual_log_prob(mixture, residual)
        else:
            nats = mixture_log_prob(mixture, following, model.config.depth)
        for row, order in enumerate(rows.order):
            if t < order.size:
                found[row, order[t]] = nats[row]
        rows.update(following)
    return found


@pytest.mark.parametrize(
    ("name", "platform"),
    [("8 bits", "gpu"), ("16 bits", "cpu"), ("bfloat16", "cpu"), ("adaptive", "cpu")],
)
def test_the_same_as_of_whole_chunks(name, platform):
    """An accelerator's layout can be computed here, too."""
    model, params = model_of(name, platform)
    assert isinstance(model, StepModel)
    batch = stereo_batch(model.config.depth)
    expected = np.array(jax.jit(model.log_likelihood)(params, model.prepare(batch)))
    expected[np.arange(L) >= batch["stop"][:, None]] = 0
    found = stepped(model, params, batch)
    tolerance = 0.2 if name == "bfloat16" else 2e-3
    np.testing.assert_allclose(found, expected, atol=tolerance, rtol=tolerance)
    assert found.sum() == pytest.approx(expected.sum(), rel=1e-3 if name == "bfloat16" else 1e-5)


@pytest.mark.parametrize("length", [1, 70])
def test_any_length_of_chunks(length):
    model, params = model_of("8 bits")
    batch = make_batch(tones(length) >> 8, noise(length, 4, 127))
    batch["stop"][:] = length
    expected = np.array(jax.jit(model.log_likelihood)(params, model.prepare(batch)))
    found = stepped(model, params, batch)
    np.testing.assert_allclose(found, expected, atol=2e-3, rtol=2e-3)


def test_a_cache_does_not_grow():
    model, _ = model_of("8 bits")
    [cache, _] = model.init_caches(2, L)
    shapes = jax.tree.map(np.shape, cache)
    for t in range(L):
        cache = advance_cache(cache, t)
        assert jax.tree.map(np.shape, cache) == shapes
