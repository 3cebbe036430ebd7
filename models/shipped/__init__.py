"""The models that come with wavestream: one for each set of predictors."""

import os
import pathlib

from models.predictors.sets import SETS

FOLDER = str(pathlib.Path(__file__).parent)


def shipped_path(name: str) -> str:
    """Returns the model file of a set of predictors: "best", "normal" or "fast"."""
    return str(pathlib.Path(FOLDER, f"{name}.npz"))


def model_path(name: str) -> str:
    """Returns the file of a model: one that ships by its name, another by its path.

    Raises:
      FileNotFoundError: it is a name without a folder, and neither.
    """
    if name in SETS:
        return shipped_path(name)
    path = os.path.expanduser(name)
    if not os.path.dirname(path) and not os.path.exists(path):
        raise FileNotFoundError(
            f"{name}: no such model file, and no model of that name ships: expected a path, or one "
            f"of {', '.join(SETS)}"
        )
    return path


def model_name(path: str) -> str:
    """Returns the name of a model that ships; of another its path."""
    folder, name = os.path.split(path)
    return name.removesuffix(".npz") if folder == FOLDER else path
