"""The models that come with wavestream: one for each set of predictors."""

import os
import pathlib

from models.predictors.sets import SETS

FOLDER = str(pathlib.Path(__file__).parent)


def shipped_path(name: str) -> str:
    """Returns the model file of a set of predictors: "best", "normal" or "fast"."""
    return str(pathlib.Path(FOLDER, f"{name}.npz"))


def model_path(name: str) -> str:
    """Returns the file of a model: one that ships by its name, another by its path."""
    return shipped_path(name) if name in SETS else os.path.expanduser(name)
