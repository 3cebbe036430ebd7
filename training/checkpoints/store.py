"""Checkpoints on disk: written atomically, and verified by a checksum when they are read.

    {directory}/{step}.npz   the arrays, and `manifest`, JSON text: what else a run needs to resume;
                             behind the end of the archive a checksum of all of it

Saving runs in a thread, on copies of the arrays; a failure is reported at the next step.
"""

import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Mapping
from concurrent import futures
from typing import Any, NamedTuple

import numpy as np

from runtime.failure_detector import write_lock
from runtime.filesystem import TEMPORARY_SUFFIX, read_bytes, write_atomically
from runtime.logging import logger
from training.checkpoints.backup import back_up

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


class CheckpointStore:
    """The checkpoints of one run."""

    def __init__(self, directory: str, *, keep: int) -> None:
        """Opens a folder of checkpoints, which is created by the first save.

        Args:
          directory: a local folder.
          keep: number of latest checkpoints to keep, in addition to the best.
        """
        self._directory = os.path.abspath(directory)
        self._keep = keep
        self._writer = futures.ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._saving: futures.Future[None] | None = None

    def save(self, checkpoint: Checkpoint, *, bits_per_sample: float | None = None) -> None:
        """Starts saving in the background, once an earlier save has ended.

        Args:
          checkpoint: what to save; its arrays must not change afterwards.
          bits_per_sample: of validation, if this step has been validated; the checkpoint with the
            lowest is kept.

        Raises:
          OSError: an earlier save has failed.
        """
        self.wait()
        self._saving = self._writer.submit(self._save, checkpoint, bits_per_sample)

    def check(self) -> None:
        """Raises the OSError of a save that has failed, once."""
        if self._saving is not None and self._saving.done():
            self.wait()

    def wait(self) -> None:
        """Waits for the save in progress. Raises OSError if it fails."""
        saving, self._saving = self._saving, None  # Cleared first: a failure is raised once.
        if saving is not None:
            try:
                saving.result()
            except OSError as error:
                raise OSError(f"no checkpoint saved in {self._directory}: {error}") from error

    def close(self) -> None:
        """Waits for the save in progress; its failure is a warning."""
        try:
            self.wait()
        except OSError as error:
            logger.warning("%s", error)
        self._writer.shutdown()

    def restore(self) -> Checkpoint | None:
        """Returns the last undamaged checkpoint, or None; renames damaged ones, with a warning."""
        for step in sorted(self.steps(), reverse=True):
            path = self._path(step)
            try:
                return read_checkpoint(path)
            except (DamagedError, OSError) as error:
                logger.warning("damaged checkpoint, using the one before it: %s", error)
                back_up(damaged := f"{path}.damaged")  # One of the same step, found earlier.
                os.rename(path, damaged)
        return None

    def steps(self) -> list[int]:
        """Returns the steps of all checkpoints, in any order."""
        if not os.path.isdir(self._directory):
            return []
        names = map(re.compile(r"(\d+)\.npz").fullmatch, os.listdir(self._directory))
        return [int(name[1]) for name in names if name]

    def _path(self, step: int) -> str:
        return os.path.join(self._directory, f"{step}.npz")

    def _save(self, checkpoint: Checkpoint, bits_per_sample: float | None) -> None:
        with write_lock:
            os.makedirs(self._directory, exist_ok=True)
            for name in os.listdir(self._directory):
                if name.endswith(TEMPORARY_SUFFIX):  # Of a process that was killed.
                    os.unlink(os.path.join(self._directory, name))
            _write(self._path(checkpoint.step), checkpoint, bits_per_sample)
            self._remove_old()

    def _remove_old(self) -> None:
        steps = sorted(self.steps())
        validated = [
            (bits, step)
            for step in steps
            if (bits := _bits_per_sample(self._path(step))) is not None
        ]
        best = min(validated)[1:] if validated else ()
        for step in steps[: -self._keep]:
            if step not in best:
                os.unlink(self._path(step))


def _write(path: str, checkpoint: Checkpoint, bits_per_sample: float | None) -> None:
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


def _bits_per_sample(path: str) -> float | None:
    try:
        with np.load(path, allow_pickle=False) as entries:
            return json.loads(str(entries[_MANIFEST]))["bits_per_sample"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None  # A damaged one is found when it is restored.


def _digest(content: memoryview) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
