"""The models that files are coded with."""

import contextlib
import glob
import hashlib
import json
import os
from collections.abc import Sequence
from typing import NamedTuple

from codec.container import FINGERPRINT_BYTES
from models.config import AdaptiveModelConfig, config_from_json
from models.exact.network import ExactMlp, make_mlp
from models.model_file import ModelFile, flatten_params, load_model
from runtime.errors import ConfigError, DataError


class CodecModel(NamedTuple):
    """A model that codes segments exactly.

    Attributes:
      name: of its file.
      fingerprint: FINGERPRINT_BYTES that tell it from every other model.
      config: its config.
      network: its trained network.
    """

    name: str
    fingerprint: bytes
    config: AdaptiveModelConfig
    network: ExactMlp


def load_codec_model(path: str) -> CodecModel:
    """Reads a model file.

    Raises:
      FileNotFoundError, DataError, OSError: see `load_model`.
      ConfigError: the model is of another kind.
    """
    file = load_model(path)
    config = config_from_json(file.config)
    if not isinstance(config, AdaptiveModelConfig) or config.network.kind != "mlp":
        raise ConfigError(
            f"{path}: a model of {file.config['network']['kind']} on "
            f"{file.config['predictors']['kind']} predictors cannot compress files, expected one "
            "that was trained with --predictors=adaptive"
        )
    return CodecModel(path, fingerprint(file), config, make_mlp(file.params))


def fingerprint(file: ModelFile) -> bytes:
    """Returns a hash of all that decides what a model computes: its config and parameters."""
    digest = hashlib.sha256(json.dumps(file.config, sort_keys=True).encode())
    for name, array in sorted(flatten_params(file.params)):
        text = f"{name.removeprefix('params')} {array.dtype.str} {array.shape}"
        digest.update(text.encode() + array.tobytes())
    return digest.digest()[:FINGERPRINT_BYTES]


def find_model(
    wanted: bytes, models: Sequence[CodecModel], folders: Sequence[str] = ()
) -> CodecModel:
    """Returns the model of a fingerprint, of those at hand or of the files in some folders.

    Args:
      wanted: the fingerprint, or its beginning.
      models: those at hand.
      folders: where others are looked for.

    Raises:
      DataError: there is none.
    """
    for model in models:
        if model.fingerprint.startswith(wanted):
            return model
    for path in find_paths(wanted, folders):
        return load_codec_model(path)
    known = ", ".join(f"{m.fingerprint.hex()} ({os.path.basename(m.name)})" for m in models)
    raise DataError(
        f"it was compressed with the model {wanted.hex()}, which is not at hand (there are "
        f"{known or 'none'}; none in {', '.join(folders) or 'no folder'}): name "
        "it with --model=FILE, or its folder with --model_dir"
    )


def find_paths(wanted: bytes, folders: Sequence[str]) -> list[str]:
    """Returns the model files in some folders whose fingerprint begins so."""
    found = []
    for folder in folders:
        for path in sorted(glob.glob(f"{glob.escape(folder)}/*.npz")):
            with contextlib.suppress(DataError, OSError):  # It may be anything.
                if fingerprint(load_model(path)).startswith(wanted):
                    found.append(path)
    return found


def choose_model(models: Sequence[CodecModel], depth: int) -> CodecModel:
    """Returns the model for samples of some bits: of the least depth that has them, or the most."""
    enough = [model for model in models if model.config.depth >= depth]
    if enough:
        return min(enough, key=lambda model: model.config.depth)
    return max(models, key=lambda model: model.config.depth)
