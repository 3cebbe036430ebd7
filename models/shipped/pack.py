"""Makes a model that ships of one that was trained.

    python -m models.shipped.pack runs/shipped/best/audio_model.npz

writes models/shipped/best.npz, by the name of the model's predictors: the same parameters and
config, so the same fingerprint, without the paths of the machine that trained it.
"""

import pathlib
import sys

from models.config import AdaptiveModelConfig, config_from_json
from models.model_file import load_model, save_model
from models.predictors.config import SETS

_KEPT = ("steps", "metrics")


def pack(path: str) -> str:
    """Writes a model file beside this module; returns its path."""
    file = load_model(path)
    config = config_from_json(file.config)
    if not isinstance(config, AdaptiveModelConfig):
        raise SystemExit(f"{path}: expected an adaptive model")
    name = next(name for name, predictors in SETS.items() if predictors == config.predictors)
    target = pathlib.Path(__file__).parent / f"{name}.npz"
    data = {**file.data, "audio_dirs": []}
    training = {key: value for key, value in file.training.items() if key in _KEPT}
    save_model(target, file.params, model=file.config, data=data, training=training)
    return str(target)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(pack(argument))
