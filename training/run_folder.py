"""The folder of a run: its lock, and where its files are written."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import TypeVar

from runtime.bucket_lock import BucketLock
from runtime.file_lock import FileLock
from runtime.gfile import is_remote
from runtime.logging import start_logging
from runtime.mirror import Mirror
from runtime.outage import Outage
from training.config import RunConfig

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunFolder:
    """The folder of a run, held by this process.

    Attributes:
      files: the run's config, with a local `output_dir`: all files but the checkpoints are written
        there. It is the run's own folder, or one whose files are copied to the run's bucket.
      lock: see `check`.
      outage: of the bucket, or None.
      mirror: copies the files to the bucket, or None.
    """

    files: RunConfig
    lock: FileLock | BucketLock
    outage: Outage | None = None
    mirror: Mirror | None = None

    def check(self) -> None:
        """Raises TrainingError if another process writes the same files by now."""
        self.lock.check()

    def fetch(self, *suffixes: str) -> None:
        """Brings files of the run here, where they are in a bucket. Raises OSError."""
        if self.mirror is not None:
            self.mirror.fetch(*(f"{self.files.model_name}{suffix}" for suffix in suffixes))

    def upload(self) -> None:
        """Copies the files to the bucket, as they are now. Raises OSError."""
        if self.mirror is not None:
            self.lock.check()
            self.mirror.upload()

    def retry(self, action: Callable[[], T]) -> T:
        """Does something in the run's folder, a bucket as soon as it can be reached.

        Raises:
          OSError: the action's.
        """
        return action() if self.outage is None else self.outage.retry(action)

    def finish(self) -> None:
        """Copies the files to the bucket, as soon as it can be reached. Raises OSError."""
        if self.mirror is not None:
            self.mirror.finish()


@contextlib.contextmanager
def open_run_folder(config: RunConfig, lock: FileLock | None = None) -> Iterator[RunFolder]:
    """Opens the folder of a run, and holds its lock.

    Args:
      config: the run.
      lock: of a local folder, where it is held already; stays held.

    Raises:
      ConfigError: another process holds the lock.
      OSError: it cannot be written.
    """
    if not is_remote(config.output_dir):
        if lock is not None:
            yield RunFolder(files=config, lock=lock)
            return
        os.makedirs(config.output_dir, exist_ok=True)
        with FileLock(config.path(".lock")) as own:
            yield RunFolder(files=config, lock=own)
        return
    outage = Outage(config.output_dir)
    with (
        BucketLock(config.path(".lock")) as bucket_lock,
        Mirror(config.output_dir, outage) as mirror,
    ):
        files = dataclasses.replace(config, output_dir=mirror.local)
        try:
            yield RunFolder(files=files, lock=bucket_lock, outage=outage, mirror=mirror)
        finally:
            start_logging(None)  # The log file goes with the local folder.
