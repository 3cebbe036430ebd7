"""The model file: a `.npz` of readable keys that rebuilds the model and its pipeline.

    params/block_0/attention/query/kernel    one array a parameter
    settings                                 JSON text: what rebuilds model and pipeline
    dtypes                                   JSON text: the types that npy cannot name
    format_version                           FORMAT_VERSION

Local files need NumPy only; paths with a scheme (`gs://`) go through TensorFlow.
"""

import dataclasses
import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from models.config import ModelConfig
from pipeline.config import PipelineConfig
from runtime import filesystem

if TYPE_CHECKING:
    from models.networks.transformer import Transformer

FORMAT_VERSION = 1
_ROOT = "params"
_ZIP_MAGIC = b"PK\x03\x04"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model file's content: a nested dict of arrays, and the settings that built it."""

    path: str
    params: dict[str, Any] = dataclasses.field(repr=False)
    settings: dict[str, Any]

    def model(self) -> "Transformer":
        """Returns the model; `model.apply({"params": params}, symbols, method=...)` runs it."""
        from models.networks.transformer import Transformer

        return Transformer(ModelConfig(**self.settings["model"]))

    def pipeline(self) -> PipelineConfig:
        """Returns how files became the symbols that the model was trained on."""
        return PipelineConfig(**self.settings["pipeline"])

    def check_params(self) -> None:
        """Finds out whether the parameters are those of the model in the settings.

        Raises:
            ValueError: If one is missing, or has another shape, or is not of this model.
        """
        import jax
        from flax.traverse_util import flatten_dict

        from models.networks.transformer import init_params

        config = ModelConfig(**self.settings["model"])
        variables = jax.eval_shape(lambda: init_params(config, jax.random.key(0)))
        found, expected = (
            {key: list(array.shape) for key, array in flatten_dict(params, sep="/").items()}
            for params in (self.params, variables["params"])
        )
        wrong = [key for key in {**expected, **found} if found.get(key) != expected.get(key)]
        if wrong:
            key = wrong[0]
            raise ValueError(
                f"{self.path}: the parameters are not those of the model in its settings; the "
                f"first of {len(wrong)} that differ, {_ROOT}/{key}: found "
                f"{_shape(found.get(key))}, expected {_shape(expected.get(key))}"
            )


def save_model(
    path: str | os.PathLike[str], params: Mapping[str, Any], settings: Mapping[str, Any]
) -> None:
    """Writes a model file atomically: `path` holds the old file or the whole new one.

    Args:
        path: Where to, in a directory that exists; local or with a scheme.
        params: Nested mappings of arrays, no level empty, names without "/".
        settings: JSON values. (Tuples come back as lists.)

    Raises:
        ValueError: If a name, an array or a setting cannot be stored.
        OSError: If the file cannot be written; what stood there before stays.
        ImportError: If the path's scheme needs tensorflow-io, which is missing.
    """
    path = os.fspath(path)
    filesystem.require_filesystem(path)
    arrays: dict[str, Any] = {}
    dtypes = {}
    for key, array in _flatten(_ROOT, params):
        if array.dtype.isbuiltin == 2:  # registered by ml_dtypes: npy would store raw void
            dtypes[key] = array.dtype.name
            array = array.view(f"u{array.dtype.itemsize}")
        arrays[key] = array
    try:
        settings_text = json.dumps(settings, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: the settings must be JSON values: {error}") from error
    content = io.BytesIO()
    np.savez(
        content,
        format_version=FORMAT_VERSION,
        settings=settings_text,
        dtypes=json.dumps(dtypes),
        **arrays,
    )
    filesystem.write_bytes_atomically(path, content.getvalue())


def load_model(path: str | os.PathLike[str]) -> LoadedModel:
    """Reads a model file back, bit for bit and type for type.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a whole wavestream model of a known version.
        OSError, ImportError: If it cannot be reached.
    """
    path = os.fspath(path)
    filesystem.require_filesystem(path)
    try:
        content = filesystem.read_bytes(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: no such model file") from error
    if not content.startswith(_ZIP_MAGIC):
        raise ValueError(f"{path}: not a model file: expected the .npz that training writes")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            _check_format(path, archive)
            return _unpack(path, archive)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(
            f"{path}: the model file is truncated or damaged ({error}): copy or train it again"
        ) from error


def _flatten(prefix: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    if not tree:
        raise ValueError(f"{prefix} is empty: expected arrays or mappings of arrays")
    for name, value in tree.items():
        if not isinstance(name, str) or not name or "/" in name:
            raise ValueError(f"{prefix} has the name {name!r}: expected text without '/'")
        key = f"{prefix}/{name}"
        if isinstance(value, Mapping):
            yield from _flatten(key, value)
            continue
        array = np.asarray(value)
        if array.dtype.hasobject:
            raise ValueError(f"{key} is a {type(value).__name__}: expected an array of numbers")
        yield key, array


def _check_format(path: str, archive: Mapping[str, np.ndarray]) -> None:
    if not {"format_version", "settings", "dtypes"} <= archive.keys():
        found = ", ".join(list(archive)[:4]) or "nothing"
        raise ValueError(f"{path}: an .npz, but not of a wavestream model (it holds {found})")
    version = int(archive["format_version"])
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{path}: the model file has format version {version}, this wavestream reads up to "
            f"{FORMAT_VERSION}: update wavestream"
        )


def _unpack(path: str, archive: Mapping[str, np.ndarray]) -> LoadedModel:
    dtypes = json.loads(str(archive["dtypes"]))
    params: dict[str, Any] = {}
    for key in archive:
        if not key.startswith(f"{_ROOT}/"):
            continue
        *levels, name = key.split("/")[1:]
        tree = params
        for level in levels:
            tree = tree.setdefault(level, {})
        array = archive[key]
        tree[name] = array.view(_extended_dtype(dtypes[key])) if key in dtypes else array
    return LoadedModel(path=path, params=params, settings=json.loads(str(archive["settings"])))


def _shape(shape: list[int] | None) -> str:
    return "none" if shape is None else f"the shape {shape}"


def _extended_dtype(name: str) -> np.dtype:
    import ml_dtypes  # comes with JAX; not needed for ordinary types

    return np.dtype(getattr(ml_dtypes, name))
