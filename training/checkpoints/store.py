"""Checkpoints in a folder or a bucket: whole or not there, verified by a checksum when read.

    {directory}/{step}.npz   the arrays, and `manifest`, JSON text: what else a run needs to resume;
                             behind the end of the archive a checksum of all of it

One file, so that it is there once it is written, in a bucket as on a disk. Saving runs in a thread,
on copies of the arrays; a failure is reported at the next step. Where a bucket cannot be reached,
the save is tried again, until a later one takes its place.
"""

import hashlib
import io
import json
import os
import re
import threading
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from runtime.failure_detector import write_lock
from runtime.filesystem import (
    TEMPORARY_SUFFIX,
    absolute,
    list_names,
    make_folder,
    open_binary,
    read_bytes,
    remove,
    rename,
    write_atomically,
)
from runtime.logging import logger
from runtime.outage import Outage, may_end
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


class _Save(NamedTuple):
    checkpoint: Checkpoint
    bits_per_sample: float | None


class CheckpointStore:
    """The checkpoints of one run."""

    def __init__(
        self,
        directory: str,
        *,
        keep: int,
        outage: Outage | None = None,
        before_save: Callable[[], None] = lambda: None,
    ) -> None:
        """Opens a folder of checkpoints, which is created by the first save.

        Args:
          directory: the folder, local or in a bucket.
          keep: number of latest checkpoints to keep, in addition to the best.
          outage: of a bucket: a save that fails is tried again; None: it fails.
          before_save: writes what must be there before a checkpoint is. Raises OSError.
        """
        self._directory = absolute(directory)
        self._keep, self._outage, self._before_save = keep, outage, before_save
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None
        self._mutex = threading.Lock()  # Of `_next`.
        self._next: _Save | None = None  # What is to be saved, until it is.
        self._saved: _Save | None = None
        self._is_awaited = self._has_given_up = False
        self._bits: dict[int, float | None] = {}

    def save(self, checkpoint: Checkpoint, *, bits_per_sample: float | None = None) -> None:
        """Starts saving in the background, once an earlier save has ended.

        In an outage, it takes the place of the earlier one.

        Args:
          checkpoint: what to save; its arrays must not change afterwards.
          bits_per_sample: of validation, if this step has been validated; the checkpoint with the
            lowest is kept.
        """
        save = _Save(checkpoint, bits_per_sample)
        with self._mutex:
            if self._next is not None and self._outage is not None and self._outage.is_on:
                self._next = save
                return
        self._join()
        self._next = save
        self._thread = threading.Thread(target=self._work, name="checkpoint", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises the OSError of a save that has failed, once."""
        error, self._error = self._error, None
        if error is not None:
            raise OSError(f"no checkpoint saved in {self._directory}: {error}") from error

    def wait(self) -> None:
        """Waits for the save in progress. Raises OSError if it, or one before it, has failed."""
        self._join()
        self.check()

    def close(self) -> None:
        """Waits for the save in progress; its failure is a warning."""
        if self._has_given_up:
            return
        try:
            self.wait()
        except OSError as error:
            logger.warning("%s", error)

    def restore(self) -> Checkpoint | None:
        """Returns the last undamaged checkpoint, or None; renames damaged ones, with a warning.

        Raises:
          OSError: the bucket cannot be read.
        """
        if self._outage is not None:
            return self._outage.retry(self._restore)
        return self._restore()

    def steps(self) -> list[int]:
        """Returns the steps of all checkpoints, in any order. Raises OSError."""
        names = map(re.compile(r"(\d+)\.npz").fullmatch, list_names(self._directory))
        return [int(name[1]) for name in names if name]

    def _restore(self) -> Checkpoint | None:
        for step in sorted(self.steps(), reverse=True):
            path = self._path(step)
            try:
                return read_checkpoint(path)
            except (DamagedError, OSError) as error:
                # A bucket that cannot be read for a while, not a broken disk.
                if self._outage is not None and isinstance(error, OSError):
                    raise
                logger.warning("damaged checkpoint, using the one before it: %s", error)
                back_up(damaged := f"{path}.damaged")  # One of the same step, found earlier.
                rename(path, damaged)
        return None

    def _path(self, step: int) -> str:
        return os.path.join(self._directory, f"{step}.npz")

    def _join(self) -> None:
        """Waits for the save in progress; an interrupt leaves it behind."""
        thread = self._thread
        if thread is None:
            return
        self._is_awaited = True
        try:
            thread.join(1)
            if thread.is_alive() and self._outage is not None and self._outage.is_on:
                logger.warning("waiting for %s, to save a checkpoint", self._directory)
            while thread.is_alive():
                thread.join(1)  # With a timeout: it can be interrupted.
        except BaseException:
            self._has_given_up = True
            raise
        finally:
            self._is_awaited = False

    def _work(self) -> None:
        """Saves `_next`, and what has taken its place meanwhile."""
        while self._next is not None:
            error = None
            try:
                if self._outage is None:
                    self._save_next()
                else:
                    self._outage.retry(self._save_next, until=self._is_final)
            except OSError as failure:
                error = failure
            with self._mutex:
                if error is not None or self._next is self._saved:
                    self._error, self._next = error, None

    def _is_final(self, error: OSError) -> bool:
        """Whether not to try again; as long as training goes on, denied access may be mended."""
        return self._has_given_up or (self._is_awaited and not may_end(error))

    def _save_next(self) -> None:
        save = self._next
        assert save is not None
        self._before_save()
        with write_lock:
            make_folder(self._directory)
            for name in list_names(self._directory):
                if name.endswith(TEMPORARY_SUFFIX):  # Of a process that was killed.
                    remove(os.path.join(self._directory, name))
            _write(self._path(save.checkpoint.step), *save)
            self._bits[save.checkpoint.step] = save.bits_per_sample
            self._remove_old()
        self._saved = save

    def _remove_old(self) -> None:
        steps = sorted(self.steps())
        validated = [
            (bits, step) for step in steps if (bits := self._bits_per_sample(step)) is not None
        ]
        best = min(validated)[1:] if validated else ()
        for step in steps[: -self._keep]:
            if step not in best:
                remove(self._path(step))

    def _bits_per_sample(self, step: int) -> float | None:
        if step not in self._bits:
            self._bits[step] = _bits_per_sample(self._path(step))
        return self._bits[step]


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
        # Not the arrays, which may be gigabytes.
        with open_binary(path) as file, np.load(file, allow_pickle=False) as entries:
            return json.loads(str(entries[_MANIFEST]))["bits_per_sample"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None  # A damaged one is found when it is restored.


def _digest(content: memoryview) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
