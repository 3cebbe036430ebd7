"""Small models that compute in floats, as codecs."""

import functools

import jax

from codec.model import CodecModel
from codec.neural.coder import NeuralCoder
from codec.neural.rows import Layout
from models.build import build_model
from models.config import AdaptiveModelConfig, ModelConfig, TransformerConfig
from tests.models.predictors.test_bank import SMALL

NETWORK = TransformerConfig(embedding_dim=8, num_layers=1, num_heads=2)
CHUNK = 300
BLOCK = 70


def float_model(kind):
    """A model and parameters: "8", "16" or "adaptive"."""
    if kind == "adaptive":
        config = AdaptiveModelConfig(depth=16, predictors=SMALL, network=NETWORK)
    else:
        config = ModelConfig(depth=int(kind), network=NETWORK)
    model = build_model(config)
    # Of integers and zeros: nothing that is computed decides what a test sees.
    params = jax.tree.map(
        lambda x: x + 0.02 * jax.random.normal(jax.random.key(1), x.shape),
        model.init(jax.random.key(0)),
    )
    return model, params


@functools.cache
def neural_model(kind, block=0):
    """A codec; with a block its channels are one stream."""
    coder = NeuralCoder(*float_model(kind), Layout(chunk_size=CHUNK, block=block))
    return CodecModel(f"{kind}.npz", f"{kind:8}".encode(), coder)
