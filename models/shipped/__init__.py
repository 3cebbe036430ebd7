"""The models that come with wavestream: one for each set of predictors."""

import pathlib

FOLDER = str(pathlib.Path(__file__).parent)


def shipped_path(name: str) -> str:
    """Returns the model file of a set of predictors: "best", "normal" or "fast"."""
    return str(pathlib.Path(FOLDER, f"{name}.npz"))
