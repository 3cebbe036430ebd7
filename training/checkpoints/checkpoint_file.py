"""The file of a checkpoint: `{step}.npz`, verified by a checksum when it is read.

It holds the arrays, and `manifest`, JSON text: what else a run needs to resume. Behind the end of
the archive is a checksum of all of it. One file, so that it is there once it is written, in a
bucket as on a disk.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from runtime.atomic_files import write_atomically
from runtime.filesystem import open_binary, read_bytes

Arrays = Mapping[str, np.ndarray]

_MANIFEST = "manifest"
_DIGEST_BYTES = 16


class Checkpoint(NamedTuple):
    """A run as it was after a step.

    Attributes:
      step: steps done.
      arrays: parameters, optimizer state and the like, by their paths, with "/" between the parts.
      metadata: what else the run needs to resume, as JSON values.
    """

    step: int
    arrays: Arrays
    metadata: dict[str, Any]


class DamagedError(ValueError):
    """A checkpoint on disk is not what was saved; the message names the file."""


def write_checkpoint(path: str, checkpoint: Checkpoint, bits_per_sample: float | None) -> None:
    """Writes a checkpoint, with the bits per sample of its validation if there was one.

    Raises:
      OSError: it cannot be written.
    """
    manifest = {
        "step": checkpoint.step,
        "bits_per_sample": bits_per_sample,
        "metadata": checkpoint.metadata,
        # .npy has no names for types such as bfloat16.
        "dtypes": {name: array.dtype.name for name, array in checkpoint.arrays.items()},
    }
    content = io.BytesIO()
    entries: dict[str, Any] = {_MANIFEST: json.dumps(manifest), **checkpoint.arrays}
    np.savez(content, **entries)
    write_atomically(path, [content.getbuffer(), _digest(content.getbuffer())])


def read_checkpoint(path: str) -> Checkpoint:
    """Reads a checkpoint. Raises DamagedError or OSError."""
    content = memoryview(read_bytes(path))
    archive, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if digest != _digest(archive):
        raise DamagedError(f"{path}: wrong checksum")
    with np.load(io.BytesIO(archive), allow_pickle=False) as entries:
        manifest = json.loads(str(entries[_MANIFEST]))
        arrays = {
            name: entries[name].view(np.dtype(dtype)) for name, dtype in manifest["dtypes"].items()
        }
    return Checkpoint(manifest["step"], arrays, manifest["metadata"])


def read_bits_per_sample(path: str) -> float | None:
    """Returns what was written beside a checkpoint; None also where it cannot be read."""
    try:
        # Not the arrays, which may be gigabytes.
        with open_binary(path) as file, np.load(file, allow_pickle=False) as entries:
            return json.loads(str(entries[_MANIFEST]))["bits_per_sample"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None  # A damaged one is found when it is restored.


def _digest(content: memoryview) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
