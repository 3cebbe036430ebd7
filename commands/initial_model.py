"""--init_from: the model that training starts from, whose settings become those of the run."""

import dataclasses
import os
from typing import Any

from absl.flags import FlagValues

from commands import shared
from models.config import AdaptiveModelConfig, MlpConfig, ModelConfig, TransformerConfig
from models.predictors.sets import SETS, set_of
from models.shipped import model_path
from runtime.errors import ConfigError
from runtime.filesystem import absolute
from training.initial_model import InitialModel

_DEFAULTS_ONLY = ("chunk_size", "dtype")
"""Not of the model, but of how it is trained: taken over, unless they are given."""


def load_initial_model(values: FlagValues) -> InitialModel | None:
    """Returns the model of --init_from, and sets the flags to its settings; None without the flag.

    Raises:
      ConfigError: a flag was given that contradicts the model file.
      FileNotFoundError, DataError, OSError: see `load_model`.
    """
    if not values.init_from:
        return None
    name = absolute_model(values.init_from)
    from codec.model import fingerprint
    from models.config import config_from_json
    from models.model_file import load_model

    path = model_path(name)
    if os.path.isdir(path):
        raise IsADirectoryError(f"--init_from={path} is a folder: expected the .npz file in it")
    file = load_model(path)
    config = config_from_json(file.config)
    taken = take_over(values, _settings(config, file.data.get("pipeline", {})), name)
    if isinstance(config.network, TransformerConfig):
        network = dataclasses.replace(config.network, dtype=values.dtype)
        config = dataclasses.replace(config, network=network)
    return InitialModel(
        name=name,
        fingerprint=fingerprint(file).hex(),
        config=config,
        file=file,
        settings=tuple(taken),
    )


def absolute_model(name: str) -> str:
    """Returns the name of a model that ships as it is, a path as one that is valid anywhere."""
    return name if name in SETS else absolute(model_path(name))


def take_over(values: FlagValues, settings: dict[str, Any], name: str) -> list[str]:
    """Sets flags to the settings of a model; returns those that were not given, as text.

    Args:
      values: the flags.
      settings: values by the names of flags; None: no value of the flag stands for it.
      name: of the model.

    Raises:
      ConfigError: flags were given that contradict them.
    """
    given = {flag: values[flag].value for flag in settings if values[flag].present}
    if values["bit_depth"].present or values["use_16bit"].present:
        given["bit_depth"] = str(shared.depth(values))
    contradicting = [
        f"--{flag}={_text(value)} was given, and it has {_text(settings[flag])}"
        for flag, value in given.items()
        if flag not in _DEFAULTS_ONLY and value != settings[flag]
    ]
    if contradicting:
        raise ConfigError(
            f"--init_from={name} has other settings: {'; '.join(contradicting)}. Expected these "
            "flags left out, or another model"
        )
    taken = []
    for flag, value in settings.items():
        if flag not in given:
            values[flag].value = value
            taken.append(f"--{flag}={_text(value)}")
    return taken


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value or "another")


def _settings(
    config: ModelConfig | AdaptiveModelConfig, pipeline: dict[str, Any]
) -> dict[str, Any]:
    """Returns the values of the flags that describe a model, and what it reads."""
    network = config.network
    settings: dict[str, Any] = {
        name: pipeline[name]
        for name in ("downmix", "stereo_blocking_n", "chunk_size")
        if name in pipeline
    }
    settings |= {
        "bit_depth": str(config.depth),
        "predictors": config.predictors.kind,
        "network": network.kind,
    }
    if isinstance(config, AdaptiveModelConfig):
        settings |= {
            "predictor_set": set_of(config.predictors),
            "mixture_components": config.distribution.num_components,
        }
    if isinstance(network, MlpConfig):
        return settings | {"mlp_width": network.width, "mlp_layers": network.num_layers}
    names = ("embedding_dim", "num_layers", "num_heads", "widening_factor", "dtype")
    return settings | {name: getattr(network, name) for name in names}
