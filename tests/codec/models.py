"""A small model that codes segments, made of integers."""

import functools

import numpy as np

from codec.coder import Coder
from codec.exact import ExactCoder
from codec.fields import Fields
from codec.model import CodecModel
from codec.segments import decode_segment
from models.exact.network import make_mlp
from tests.models.exact.test_stream import config, make_params


@functools.cache
def small_model(depth: int = 16) -> CodecModel:
    """Returns a model of SMALL predictors."""
    settings = config(rate=0.01, depth=depth)
    coder = ExactCoder(settings, make_mlp(make_params()))
    return CodecModel("small.npz", bytes([depth]) * 8, settings, coder)


def decode_whole(
    coder: Coder, data: bytes, frames: int, channels: int, **options
) -> np.ndarray:  # int32 [n, C]
    """Returns all frames of a segment."""
    return np.concatenate(list(decode_segment(coder, Fields(data), frames, channels, **options)))
