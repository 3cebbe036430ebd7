"""The model file: an `.npz` of readable keys that rebuilds a model and its data pipeline.

    params/network/blocks/qkv/kernel   an array per parameter; of blocks one for all, [blocks, ...]
    model                              JSON text: the model's config
    data                               JSON text: settings of the data pipeline
    training                           JSON text: steps and metrics
    format_version                     FORMAT_VERSION

Local files need NumPy only; paths with a scheme (`gs://`) go through TensorFlow.
"""

import dataclasses
import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from models.build import build_model
from models.config import config_from_json
from models.interface import Model
from runtime import atomic_files, filesystem
from runtime.errors import DataError
from runtime.gfile import require_filesystem

FORMAT_VERSION = 3
_ROOT = "params"
_JSON_ENTRIES = ("model", "data", "training")
_ZIP_MAGIC = b"PK\x03\x04"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelFile:
    """The contents of a model file.

    Attributes:
      path: where it was read from.
      params: nested dict of arrays.
      config: the model's config, as JSON values.
      data: settings of the data pipeline, as JSON values; models do not interpret them.
      training: the steps it was trained for, and its last metrics, as JSON values.
    """

    path: str
    params: dict[str, Any] = dataclasses.field(repr=False)
    config: dict[str, Any]
    data: dict[str, Any]
    training: dict[str, Any]

    def build(self, *, platform: str = "cpu") -> Model:
        """Returns the model, see `build_model`. Raises ConfigError for an unknown kind."""
        return build_model(config_from_json(self.config), platform=platform)

    def check_params(self, model: Model) -> None:
        """Raises DataError if parameters are missing, unexpected, or of another shape or type."""
        import jax  # Not at the top: reading a model file needs no JAX.
        from flax.traverse_util import flatten_dict

        found, required = (
            {
                key: f"{leaf.dtype} {list(leaf.shape)}"
                for key, leaf in flatten_dict({_ROOT: tree}, sep="/").items()
            }
            for tree in (self.params, jax.eval_shape(model.init, jax.random.key(0)))
        )
        wrong = [key for key in {**required, **found} if found.get(key) != required.get(key)]
        if wrong:
            raise DataError(
                f"{self.path}: the parameters do not fit the model's config; the first of "
                f"{len(wrong)} that differ, {wrong[0]}: found {found.get(wrong[0], 'nothing')}, "
                f"expected {required.get(wrong[0], 'nothing')}"
            )


def save_model(
    path: str | os.PathLike[str],
    params: Mapping[str, Any],
    *,
    model: Mapping[str, Any],
    data: Mapping[str, Any],
    training: Mapping[str, Any],
) -> None:
    """Writes a model file atomically: `path` holds the old file or the complete new one.

    Args:
      path: in an existing directory; local or with a scheme.
      params: nested mappings of arrays, no level empty, names without "/".
      model: the model's config as JSON values, such as from `dataclasses.asdict`.
      data: settings of the data pipeline as JSON values.
      training: steps and metrics as JSON values.

    Raises:
      ValueError: a name, an array or a setting cannot be stored.
      OSError: the file cannot be written; an earlier one is kept.
      MissingDependencyError: the path's scheme needs tensorflow-io.
    """
    path = os.fspath(path)
    require_filesystem(path)
    entries: dict[str, Any] = dict(flatten_params(params))
    try:
        for name, value in zip(_JSON_ENTRIES, (model, data, training), strict=True):
            entries[name] = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: settings must be JSON values: {error}") from error
    content = io.BytesIO()
    np.savez(content, format_version=FORMAT_VERSION, **entries)
    atomic_files.write_bytes_atomically(path, content.getvalue())


def load_model(path: str | os.PathLike[str]) -> ModelFile:
    """Reads a model file, bit for bit and dtype for dtype as it was saved.

    Raises:
      FileNotFoundError: there is no such file.
      IsADirectoryError: it is a folder.
      DataError: the file is not a complete wavestream model file of this version.
      OSError, MissingDependencyError: the file system cannot be accessed.
    """
    path = os.fspath(path)
    require_filesystem(path)
    try:
        content = filesystem.read_bytes(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: no such model file") from error
    except IsADirectoryError as error:
        raise IsADirectoryError(f"{path} is a folder: expected the .npz file in it") from error
    if not content.startswith(_ZIP_MAGIC):
        raise DataError(f"{path}: not a model file: expected the .npz that training writes")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            _check_format(path, archive)
            return _unpack(path, archive)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(
            f"{path}: the model file is truncated or damaged ({error}): copy or train it again"
        ) from error


def flatten_params(params: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the keys of a model file, and the parameters. Raises ValueError as `save_model`."""
    yield from _flatten(_ROOT, params)


def _flatten(prefix: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    if not tree:
        raise ValueError(f"{prefix} is empty: expected arrays or mappings of arrays")
    for name, value in tree.items():
        if not isinstance(name, str) or "/" in name:
            raise ValueError(f"{prefix} has the name {name!r}: expected text without '/'")
        key = f"{prefix}/{name}"
        if isinstance(value, Mapping):
            yield from _flatten(key, value)
            continue
        array = np.asarray(value)
        # Types that ml_dtypes registers, such as bfloat16, would come back as raw bytes.
        if array.dtype.hasobject or array.dtype.isbuiltin == 2:
            raise ValueError(
                f"{key} is a {type(value).__name__} of type {array.dtype}: expected an array of "
                "numbers of a type that .npy has"
            )
        yield key, array


def _check_format(path: str, archive: Mapping[str, np.ndarray]) -> None:
    if "format_version" not in archive:
        found = ", ".join(list(archive)[:4]) or "nothing"
        raise DataError(f"{path}: an .npz, but not of a wavestream model (it holds {found})")
    version = int(archive["format_version"])
    if version != FORMAT_VERSION:
        raise DataError(
            f"{path}: the model file has format version {version}, this wavestream reads version "
            f"{FORMAT_VERSION}: use the wavestream that wrote it, or train the model again"
        )


def _unpack(path: str, archive: Mapping[str, np.ndarray]) -> ModelFile:
    try:
        model, data, training = (json.loads(str(archive[name])) for name in _JSON_ENTRIES)
    except KeyError as error:
        missing = " or ".join(name for name in _JSON_ENTRIES if name not in archive)
        raise DataError(
            f"{path}: the model file has no {missing}: copy or train it again"
        ) from error
    params: dict[str, Any] = {}
    for key in archive:
        if not key.startswith(f"{_ROOT}/"):
            continue
        *levels, name = key.split("/")[1:]
        tree = params
        for level in levels:
            tree = tree.setdefault(level, {})
        tree[name] = archive[key]
    return ModelFile(path=path, params=params, config=model, data=data, training=training)
