"""The checkpoints of a run, in a folder or a bucket: `{directory}/{step}.npz`.

Saving runs in a thread, on copies of the arrays; a failure is reported at the next step. Where a
bucket cannot be reached, the save is tried again, until a later one takes its place.
"""

import os
import re
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from runtime.atomic_files import TEMPORARY_SUFFIX
from runtime.failure_detector import write_lock
from runtime.filesystem import absolute, list_names, make_folder, remove, rename
from runtime.logging import logger
from runtime.outage import Outage, may_end
from training.checkpoints.backup import back_up
from training.checkpoints.checkpoint_file import (
    Checkpoint,
    DamagedError,
    read_bits_per_sample,
    read_checkpoint,
    write_checkpoint,
)

_SILENCE_S = 5.0  # After that the end of a run says what it waits for.


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
        patience_s: float = 30.0,
    ) -> None:
        """Opens a folder of checkpoints, which is created by the first save.

        Args:
          directory: the folder, local or in a bucket.
          keep: number of latest checkpoints to keep, in addition to the best.
          outage: of a bucket: a save that fails is tried again; None: it fails.
          before_save: writes what must be there before a checkpoint is. Raises OSError.
          patience_s: how long a save to a bucket may delay later ones, all together. (TensorFlow
            tries for minutes before it says that a bucket does not answer.)
        """
        self._directory = absolute(directory)
        self._keep, self._outage, self._before_save = keep, outage, before_save
        self._patience_s = patience_s
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None
        self._mutex = threading.Lock()  # Of `_next`.
        self._next: _Save | None = None  # What is to be saved, until it is.
        self._saved: _Save | None = None
        self._busy_since = 0.0  # Since when there has been something to save.
        self._is_awaited = self._has_given_up = self._is_told = False
        self._bits: dict[int, float | None] = {}

    def save(self, checkpoint: Checkpoint, *, bits_per_sample: float | None = None) -> None:
        """Starts saving in the background, once an earlier save has ended.

        In a bucket that takes longer than `patience_s`, this one will take its place: training goes
        on, and no more than two checkpoints are in memory.

        Args:
          checkpoint: what to save; its arrays must not change afterwards.
          bits_per_sample: of validation, if this step has been validated; the checkpoint with the
            lowest is kept.
        """
        if self._outage is None:
            self._join()
        else:
            self._wait_for_bucket(self._outage)
        with self._mutex:
            is_busy = self._next is not None
            self._next = _Save(checkpoint, bits_per_sample)
        if not is_busy:
            self._busy_since, self._is_told = time.monotonic(), False
            self._thread = threading.Thread(target=self._work, name="checkpoint", daemon=True)
            self._thread.start()

    def check(self) -> None:
        """Raises the OSError of a save that has failed, once."""
        self._raise_error()

    def wait(self) -> None:
        """Waits for the save in progress. Raises OSError if it, or one before it, has failed."""
        self._join()
        self._raise_error()

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

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise OSError(f"no checkpoint saved in {self._directory}: {error}") from error

    def _path(self, step: int) -> str:
        return os.path.join(self._directory, f"{step}.npz")

    def _join(self) -> None:
        """Waits for the save in progress; an interrupt leaves it behind."""
        thread = self._thread
        if thread is None:
            return
        self._is_awaited = True
        try:
            thread.join(_SILENCE_S)
            if thread.is_alive() and self._outage is not None:
                logger.warning("waiting for %s, to save a checkpoint", self._directory)
            while thread.is_alive():
                thread.join(1)  # With a timeout: it can be interrupted.
        except BaseException:
            self._has_given_up = True
            raise
        finally:
            self._is_awaited = False

    def _wait_for_bucket(self, outage: Outage) -> None:
        end = self._busy_since + self._patience_s
        while self._next is not None and not outage.is_on:
            if time.monotonic() > end:
                self._tell_of_delay()
                return
            time.sleep(0.05)

    def _tell_of_delay(self) -> None:
        if not self._is_told:
            self._is_told = True
            logger.warning(
                "%s: no checkpoint could be saved for %g s; training goes on, and a later one will "
                "take its place",
                self._directory,
                self._patience_s,
            )

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
                self._error = error or self._error  # One that is not told yet stays.
                if error is not None or self._next is self._saved:
                    self._next = None

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
            write_checkpoint(self._path(save.checkpoint.step), *save)
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
            self._bits[step] = read_bits_per_sample(self._path(step))
        return self._bits[step]
