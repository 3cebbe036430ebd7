"""The models that come with wavestream: one for each set of predictors."""

import functools
import pathlib

from codec.model import CodecModel, load_codec_model
from models.predictors.config import SETS

FOLDER = pathlib.Path(__file__).parents[1] / "models" / "shipped"
"""Searched for the model of a compressed file, besides the folders that are named."""


def shipped_path(name: str) -> str:
    """Returns the model file of a set of predictors."""
    return str(FOLDER / f"{name}.npz")


@functools.cache
def shipped_models() -> tuple[CodecModel, ...]:
    """Returns the models, those with the fewest bits first."""
    paths = [FOLDER / f"{name}.npz" for name in SETS]
    return tuple(load_codec_model(str(path)) for path in paths if path.exists())
