"""Makes a model that ships of one that was trained.

    python -m models.shipped.pack runs/shipped/best/audio_model.npz

writes models/shipped/best.npz, by the name of the model's predictors: the same parameters and
config, so the same fingerprint, without the paths of the machine that trained it, and without what
its clock has measured. So the same run, repeated, gives the same file.
"""

import pathlib
import sys

from models.config import AdaptiveModelConfig, config_from_json
from models.model_file import load_model, save_model
from models.predictors.sets import set_of

_MEASURED = ("train/samples_per_second", "train/input_wait_fraction")


def pack(path: str, folder: pathlib.Path = pathlib.Path(__file__).parent) -> str:
    """Writes a model file into a folder, the one that ships; returns its path."""
    file = load_model(path)
    config = config_from_json(file.config)
    if not isinstance(config, AdaptiveModelConfig):
        raise SystemExit(f"{path}: expected an adaptive model")
    if (name := set_of(config.predictors)) is None:
        raise SystemExit(f"{path}: expected one of the sets of predictors, found others")
    target = folder / f"{name}.npz"
    data = {**file.data, "audio_dirs": []}
    metrics = {key: x for key, x in file.training["metrics"].items() if key not in _MEASURED}
    save_model(
        target,
        file.params,
        model=file.config,
        data=data,
        training={**file.training, "metrics": metrics},
    )
    return str(target)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(pack(argument))
