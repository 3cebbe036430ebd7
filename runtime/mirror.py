"""A local folder whose files are copied to a remote one: buckets take whole files only.

Logs and metrics are appended to, so they are written locally. A file that has changed is uploaded
as a whole. Files go in the order of their last change: what was renamed comes before what replaces
it.
"""

import contextlib
import os
import shutil
import tempfile
import threading
from typing import Any, NamedTuple, Self

from runtime.atomic_files import TEMPORARY_SUFFIX, write_bytes_atomically
from runtime.filesystem import read_bytes
from runtime.logging import logger
from runtime.outage import Outage

_PATIENCE_S = 5.0


class _File(NamedTuple):
    changed_ns: int
    size: int
    name: str  # Relative to the folder.


class Mirror:
    """Uploads a local folder every so many seconds, and completely at the end.

    Attributes:
      local: a temporary folder, removed at the end.
    """

    def __init__(self, remote: str, outage: Outage, *, every_s: float = 30.0) -> None:
        """Starts uploading.

        Args:
          remote: the remote folder.
          outage: told whether it can be reached.
          every_s: seconds between two uploads.
        """
        self.local = tempfile.mkdtemp(prefix="wavestream_")
        self._remote, self._outage, self._every_s = remote, outage, every_s
        self._uploaded: dict[str, _File] = {}
        self._uploading = threading.Lock()
        self._is_closing = threading.Event()
        threading.Thread(target=self._upload_regularly, name="upload", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, *exception: object) -> None:
        """Uploads the rest, however long the remote folder cannot be reached.

        After KeyboardInterrupt, or interrupted by it, the local folder is kept, and named.

        Raises:
          OSError: it cannot be uploaded.
        """
        self._is_closing.set()
        try:
            if kind is None or not issubclass(kind, KeyboardInterrupt):
                self.finish()
        finally:
            if self._changed():
                logger.error("files of %s that are not written there: %s", self._remote, self.local)
            else:
                shutil.rmtree(self.local, ignore_errors=True)

    def fetch(self, *names: str) -> None:
        """Copies remote files here, those that are there. Raises OSError."""
        for name in names:
            try:
                content = self._outage.retry(lambda: read_bytes(self._to(name)))  # noqa: B023
            except FileNotFoundError:
                continue
            write_bytes_atomically(os.path.join(self.local, name), content)
            self._uploaded[name] = self._stat(name)

    def upload(self) -> None:
        """Uploads the files that have changed. Raises OSError."""
        with self._uploading:
            for file in self._changed():
                try:
                    content = read_bytes(os.path.join(self.local, file.name))
                except FileNotFoundError:  # Removed since.
                    continue
                write_bytes_atomically(self._to(file.name), content)
                self._uploaded[file.name] = file

    def finish(self) -> None:
        """Uploads what has changed, however long the remote folder cannot be reached.

        Raises:
          OSError: it cannot be uploaded, such as where access is denied.
        """
        errors: list[OSError] = []

        def upload() -> None:
            try:
                self._outage.retry(self.upload)
            except OSError as error:
                errors.append(error)

        # In a thread, and waited for in steps: an upload in TensorFlow cannot be interrupted.
        thread = threading.Thread(target=upload, name="last upload", daemon=True)
        thread.start()
        thread.join(_PATIENCE_S)
        if thread.is_alive():
            logger.info("uploading to %s; Ctrl-C leaves the rest in %s", self._remote, self.local)
        while thread.is_alive():
            thread.join(1)
        for error in errors:
            raise OSError(f"{self._remote} cannot be written: {error}") from error

    def _upload_regularly(self) -> None:
        while not self._is_closing.wait(self._every_s):
            try:
                self.upload()
            except OSError as error:
                self._outage.begin(error)
            else:
                self._outage.end()

    def _changed(self) -> list[_File]:
        names = [
            os.path.relpath(os.path.join(folder, name), self.local)
            for folder, _, names in os.walk(self.local)
            for name in names
            if not name.endswith(TEMPORARY_SUFFIX)
        ]
        files = []
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # Removed since, as wandb's are.
                files.append(self._stat(name))
        return sorted(file for file in files if self._uploaded.get(file.name) != file)

    def _stat(self, name: str) -> _File:
        status = os.stat(os.path.join(self.local, name))
        return _File(status.st_mtime_ns, status.st_size, name)

    def _to(self, name: str) -> str:
        return os.path.join(self._remote, name)
