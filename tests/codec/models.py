"""A small model that codes segments, made of integers."""

import functools

from codec.exact import ExactCoder
from codec.model import CodecModel
from models.exact.network import make_mlp
from tests.models.exact.test_stream import config, make_params


@functools.cache
def small_model(depth: int = 16) -> CodecModel:
    """Returns a model of SMALL predictors."""
    settings = config(rate=0.01, depth=depth)
    coder = ExactCoder(settings, make_mlp(make_params()))
    return CodecModel("small.npz", bytes([depth]) * 8, settings, coder)
