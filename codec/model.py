"""The models that files are coded with."""

import contextlib
import functools
import glob
import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeGuard

from codec.coder import Coder
from codec.exact import ExactCoder
from codec.header import FINGERPRINT_BYTES, Format
from models.config import AdaptiveModelConfig, MlpConfig, ModelConfig, config_from_json
from models.exact.network import make_mlp
from models.model_file import ModelFile, flatten_params, load_model
from runtime.errors import DataError


class WrongModelError(DataError):
    """A file needs a model that was not found, or another machine: it may well be intact."""


class MissingModelError(WrongModelError):
    """A file needs a model that was not found.

    Attributes:
      fingerprint: of the model, or its beginning.
    """

    def __init__(self, fingerprint: bytes) -> None:
        missing = not_found(fingerprint, "model=FILE", "model_dir=FOLDER")  # As in Python.
        super().__init__(f"it was compressed with {missing}")
        self.fingerprint = fingerprint


def not_found(
    fingerprint: bytes,
    model: str = "--model=FILE",
    model_dir: str = "--model_dir",
    given: str = "",
) -> str:
    """Returns the end of a sentence on a model that is missing.

    Args:
      fingerprint: of the model.
      model: how its file is named.
      model_dir: how the folder is named that it is in.
      given: another model that was named; empty: none was.
    """
    another = f" and is not {given}" if given else ""
    return (
        f"the model {fingerprint.hex()}, which was not found{another}: name it with {model}, or "
        f"its folder with {model_dir}"
    )


class CodecModel(NamedTuple):
    """A model that codes segments.

    Attributes:
      name: of its file.
      fingerprint: FINGERPRINT_BYTES that tell it from every other model.
      config: its config.
      coder: codes by it.
    """

    name: str
    fingerprint: bytes
    config: ModelConfig | AdaptiveModelConfig
    coder: Coder

    @property
    def promise(self) -> str:
        """Where the files decode that are made with it."""
        return promise(self.coder.probe, self.coder.made_with)


def promise(probe: bytes, made_with: str) -> str:
    """Returns where a file decodes, by what its header says."""
    if not probe:
        return "on every machine, to the same bits"
    return (
        "only where the same floating-point results are computed "
        f"(probe {probe.hex()}, made with {made_with})"
    )


def load_codec_model(path: str) -> CodecModel:
    """Reads a model file.

    Raises:
      FileNotFoundError, DataError, OSError: see `load_model`.
      ConfigError: the model is of an unknown kind.
    """
    file = load_model(path)
    config = config_from_json(file.config)
    if _is_exact(config):
        coder: Coder = ExactCoder(config, make_mlp(file.params))
    else:
        from codec.neural.load import load_coder  # Starts JAX, which others need not wait for.

        coder = load_coder(file)
    return CodecModel(path, fingerprint(file), config, coder)


def fingerprint(file: ModelFile) -> bytes:
    """Returns a hash of all that decides what a model computes: its config and parameters.

    And, unless it is exact, into which chunks it divides a stream.
    """
    digest = hashlib.sha256(json.dumps(file.config, sort_keys=True).encode())
    kinds = [file.config.get(part, {}).get("kind") for part in ("predictors", "network")]
    if kinds != ["adaptive", "mlp"]:
        pipeline = file.data.get("pipeline", {})
        layout = [pipeline.get(name) for name in ("chunk_size", "downmix", "stereo_blocking_n")]
        digest.update(json.dumps(layout).encode())
    for name, array in sorted(flatten_params(file.params)):
        text = f"{name.removeprefix('params')} {array.dtype.str} {array.shape}"
        digest.update(text.encode() + array.tobytes())
    return digest.digest()[:FINGERPRINT_BYTES]


def _is_exact(config: Any) -> TypeGuard[AdaptiveModelConfig]:
    return isinstance(config, AdaptiveModelConfig) and isinstance(config.network, MlpConfig)


def require_probe(model: CodecModel, format_: Format) -> None:
    """Raises WrongModelError if a model computes other floats here than where a file was made."""
    if model.coder.probe != format_.probe:
        raise WrongModelError(
            "it was compressed with other floating-point results than are computed here (probe "
            f"{format_.probe.hex() or 'none'}, {format_.made_with or 'exact'}; here "
            f"{model.coder.probe.hex() or 'none'}, {model.coder.made_with or 'exact'}): other "
            "hardware, another version of JAX, or another type of numbers; decompress it where it "
            "was made"
        )


def find_model(
    wanted: bytes, models: Sequence[CodecModel], folders: Sequence[str] = ()
) -> CodecModel:
    """Returns the model of a fingerprint, of loaded ones or of the files in some folders.

    Args:
      wanted: the fingerprint, or its beginning.
      models: those that are loaded.
      folders: where others are looked for.

    Raises:
      MissingModelError: there is none.
    """
    for model in models:
        if model.fingerprint.startswith(wanted):
            return model
    for path in find_paths(wanted, folders):
        return _load_once(path, wanted)
    raise MissingModelError(wanted)


@functools.lru_cache(maxsize=4)
def _load_once(path: str, fingerprint: bytes) -> CodecModel:
    """Loads a model that has a fingerprint; some take seconds, and there may be many files."""
    return load_codec_model(path)


def find_paths(wanted: bytes, folders: Sequence[str]) -> list[str]:
    """Returns the model files in some folders whose fingerprint begins so."""
    found = []
    for folder in folders:
        # And in folders in it, as of runs; their checkpoints lie deeper.
        name = glob.escape(folder)
        for path in sorted(glob.glob(f"{name}/*.npz") + glob.glob(f"{name}/*/*.npz")):
            with contextlib.suppress(DataError, OSError):  # It may be anything.
                if fingerprint(load_model(path)).startswith(wanted):
                    found.append(path)
    return found


def choose_model(models: Sequence[CodecModel], depth: int) -> CodecModel:
    """Returns the model for samples of some bits: of the least depth that has them, or the most."""
    enough = [model for model in models if model.coder.depth >= depth]
    if enough:
        return min(enough, key=lambda model: model.coder.depth)
    return max(models, key=lambda model: model.coder.depth)
