"""The models that come with wavestream, loaded."""

import functools
import os

from codec.model import CodecModel, load_codec_model
from models.predictors.sets import SETS
from models.shipped import shipped_path


@functools.cache
def shipped_models() -> tuple[CodecModel, ...]:
    """Returns the models, those with the fewest bits first."""
    return tuple(load_codec_model(path) for path in map(shipped_path, SETS) if os.path.exists(path))
