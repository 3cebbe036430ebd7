"""Small models that compute in floats, as codecs."""

import functools

from codec.model import CodecModel
from codec.neural.coder import NeuralCoder
from codec.neural.rows import Layout
from models.build import build_model
from models.config import AdaptiveModelConfig, ModelConfig, TransformerConfig
from tests.models.predictors.test_bank import SMALL
from tests.models.test_step import make_params

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
    return model, make_params(model)


@functools.cache
def neural_model(kind, block=0):
    """A codec; with a block its channels are one stream."""
    model, params = float_model(kind)
    coder = NeuralCoder(model, params, Layout(chunk_size=CHUNK, block=block))
    return CodecModel(f"{kind}.npz", f"{kind:8}".encode(), model.config, coder)
