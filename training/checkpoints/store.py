"""Checkpoints on disk: written atomically, and verified by checksums when they are read.

    {directory}/{step}/state/          the arrays, written by Orbax
    {directory}/{step}/manifest.json   what else a run needs to resume, and a checksum of every file
                                       and array; written last: without it there is no checkpoint

Orbax restores most single-bit flips without an error, hence these checksums. Saving runs in a
thread, on copies of the arrays; a failure is reported at the next step.
"""

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from concurrent import futures
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from runtime.failure_detector import write_lock
from runtime.filesystem import write_bytes_atomically
from runtime.logging import logger
from training.checkpoints.backup import back_up

Arrays = Mapping[str, np.ndarray]

_MANIFEST = "manifest.json"
_STATE = "state"
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
            except Exception as error:  # Orbax and TensorStore have errors of their own.
                reason = " ".join(str(error).split())[:300]
                raise OSError(f"no checkpoint saved in {self._directory}: {reason}") from error

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
                damaged = f"{path}.damaged"
                back_up(damaged)  # A damaged checkpoint of the same step, found earlier.
                os.rename(path, damaged)
        return None

    def steps(self) -> list[int]:
        """Returns the steps of all complete checkpoints, in any order."""
        if not os.path.isdir(self._directory):
            return []
        return [
            int(name)
            for name in os.listdir(self._directory)
            if name.isdecimal() and os.path.exists(os.path.join(self._path(name), _MANIFEST))
        ]

    def _path(self, step: int | str) -> str:
        return os.path.join(self._directory, str(step))

    def _save(self, checkpoint: Checkpoint, bits_per_sample: float | None) -> None:
        path = self._path(checkpoint.step)
        with write_lock:
            _remove(path)  # Left incomplete by an earlier process.
            try:
                _write(path, checkpoint, bits_per_sample)
            except BaseException:
                shutil.rmtree(path, ignore_errors=True)  # Frees the space, if the disk is full.
                raise
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
                _remove(self._path(step))


def _write(path: str, checkpoint: Checkpoint, bits_per_sample: float | None) -> None:
    os.makedirs(path)
    with _checkpointer() as checkpointer:  # Orbax allows no "/" in names.
        checkpointer.save(os.path.join(path, _STATE), unflatten_dict(checkpoint.arrays, sep="/"))
    manifest = {
        "step": checkpoint.step,
        "bits_per_sample": bits_per_sample,
        "metadata": checkpoint.metadata,
        "arrays": {name: _array_digest(array) for name, array in checkpoint.arrays.items()},
        "files": {name: _file_digest(os.path.join(path, name)) for name in _files(path)},
    }
    body = json.dumps(manifest, sort_keys=True)
    content = f"{body}\n{_digest(body.encode())}\n".encode()
    write_bytes_atomically(os.path.join(path, _MANIFEST), content)


def read_checkpoint(path: str) -> Checkpoint:
    """Reads a checkpoint. Raises DamagedError or OSError."""
    manifest = _read_manifest(path)
    files = set(_files(path)) - {_MANIFEST}
    if files != manifest["files"].keys():
        unexpected = sorted(files ^ manifest["files"].keys())
        raise DamagedError(f"{path}: {unexpected[0]} is missing or does not belong there")
    for name, digest in manifest["files"].items():
        if _file_digest(os.path.join(path, name)) != digest:
            raise DamagedError(f"{os.path.join(path, name)}: wrong checksum")
    try:
        with _checkpointer() as checkpointer:
            arrays = flatten_dict(checkpointer.restore(os.path.join(path, _STATE)), sep="/")
    except Exception as error:  # Orbax and TensorStore have errors of their own.
        raise DamagedError(f"{path}: {' '.join(str(error).split())[:300]}") from error
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    found = {name: _array_digest(array) for name, array in arrays.items()}
    if found != manifest["arrays"]:
        raise DamagedError(f"{path}: wrong checksum of an array")
    return Checkpoint(manifest["step"], arrays, manifest["metadata"])


def _checkpointer() -> Any:
    import orbax.checkpoint as ocp  # Takes a second, and not every run saves.

    threading.excepthook = _hide_threads_of_orbax
    # The primary saves alone; by default Orbax would wait in a barrier for the other hosts.
    alone = ocp.options.MultiprocessingOptions(active_processes={0}, barrier_sync_key_prefix="0")
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


def _hide_threads_of_orbax(args: threading.ExceptHookArgs) -> None:
    """Silences the threads of Orbax: dozens of stack traces for an error that the save raises."""
    if not type(args.thread).__module__.startswith("orbax"):
        threading.__excepthook__(args)


def _read_manifest(path: str) -> dict[str, Any]:
    name = os.path.join(path, _MANIFEST)
    with open(name, "rb") as file:
        body, _, digest = file.read().partition(b"\n")
    if digest != f"{_digest(body)}\n".encode():
        raise DamagedError(f"{name}: wrong checksum")
    return json.loads(body)


def _bits_per_sample(path: str) -> float | None:
    try:
        return _read_manifest(path)["bits_per_sample"]
    except (DamagedError, OSError):
        return None


def _files(path: str) -> Iterator[str]:
    for folder, _, names in os.walk(path):
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), path)


def _remove(path: str) -> None:
    """Removes a checkpoint, the manifest first: without it, what is left does not count."""
    if os.path.isdir(path):
        manifest = os.path.join(path, _MANIFEST)
        if os.path.exists(manifest):
            os.unlink(manifest)
        shutil.rmtree(path)


def _file_digest(path: str) -> str:
    with open(path, "rb") as file:
        os.fsync(file.fileno())  # On disk before the manifest, which says that it is.
        return hashlib.file_digest(
            file, lambda: hashlib.blake2b(digest_size=_DIGEST_BYTES)
        ).hexdigest()


def _array_digest(array: np.ndarray) -> str:
    head = f"{array.dtype.name}{array.shape}".encode()
    return _digest(head + np.ascontiguousarray(array).tobytes())


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()
