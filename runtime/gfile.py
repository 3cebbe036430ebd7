"""Remote file systems, by `tf.io.gfile`: paths with a scheme, such as gs://bucket/folder."""

import contextlib
import ctypes
import os
import re
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from runtime.errors import DataError, MissingDependencyError
from runtime.private_apis import import_tensorflow

_OBJECT_STORES = ("gs", "s3", "az")

_DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_HINTS: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: ": expected valid credentials of this machine or user",
    HTTPStatus.FORBIDDEN: ": expected credentials that may do this",
    HTTPStatus.NOT_FOUND: ": expected a bucket that exists",
}

# Amazon's names of them, with which messages of tensorflow-io begin.
_AMAZON = {
    "AccessDenied": HTTPStatus.FORBIDDEN,
    "InvalidAccessKeyId": HTTPStatus.UNAUTHORIZED,
    "SignatureDoesNotMatch": HTTPStatus.UNAUTHORIZED,
    "ExpiredToken": HTTPStatus.UNAUTHORIZED,
    "AWS Credentials": HTTPStatus.FORBIDDEN,
    "NoSuchBucket": HTTPStatus.NOT_FOUND,
    "SlowDown": HTTPStatus.SERVICE_UNAVAILABLE,
    "ServiceUnavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "InternalError": HTTPStatus.INTERNAL_SERVER_ERROR,
}

_import_lock = threading.Lock()


def is_remote(path: str) -> bool:
    """Whether the path has a scheme, like gs://bucket/folder."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", path) is not None


def is_object_store(path: str) -> bool:
    """Whether the path is in a bucket, where a file is there once all of it is written."""
    return is_remote(path) and path.split("://")[0].lower() in _OBJECT_STORES


def require_filesystem(path: str) -> None:
    """Makes the file system of a path available to TensorFlow; gs:// and local paths just are.

    Raises:
      MissingDependencyError: the scheme needs tensorflow-io, which is missing or does not fit this
        TensorFlow.
      DataError: the scheme is unknown.
    """
    if not is_remote(path):
        return
    tf = import_tensorflow()
    scheme = path.split("://")[0]
    with _import_lock:
        if scheme in tf.io.gfile.get_registered_schemes():
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # The second error below says the same in full.
                import tensorflow_io as tfio
        except ImportError as error:
            raise MissingDependencyError(
                f"{path!r}: {scheme}:// paths need tensorflow-io: pip install 'wavestream[io]'"
            ) from error
        _survive_exit()
        # Under a TensorFlow that it was not built for it imports, but registers no file systems.
        schemes = tf.io.gfile.get_registered_schemes()
        if "s3" not in schemes:
            raise MissingDependencyError(
                f"{path!r}: tensorflow-io {tfio.__version__} cannot load its file systems under "
                f"TensorFlow {tf.__version__}; install versions that fit each other, in a new "
                "environment: pip install 'wavestream[io]'"
            )
        if scheme not in schemes:
            known = ", ".join(f"{known}://" for known in sorted(filter(None, schemes)))
            raise DataError(f"{path!r}: unknown scheme {scheme}://, expected one of {known}")


def _survive_exit() -> None:
    """Keeps the exit status of a process that has used s3:// of tensorflow-io.

    The destructors of its AWS library call into a dead object and abort (tensorflow-io issue 2039),
    so on Linux the process exits after the clean-up of Python and before these destructors.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.on_exit(libc._exit, None)


@contextlib.contextmanager
def open_gfile(path: str) -> Iterator[Any]:
    """Yields `tf.io.gfile`; within the block its errors become OSErrors, which name the path.

    Raises:
      FileNotFoundError: there is no such file, folder or bucket.
      PermissionError: access is denied, or the credentials are refused.
      ConnectionError: the network or the server is down, or overloaded.
      OSError: anything else.
    """
    tf = import_tensorflow()
    denied = tf.errors.PermissionDeniedError, tf.errors.UnauthenticatedError
    # Aborted: it was tried again, in vain.
    down = tf.errors.AbortedError, tf.errors.UnavailableError, tf.errors.DeadlineExceededError
    try:
        yield tf.io.gfile
    except tf.errors.OpError as error:
        reason, code = _reason(error.message)
        kind: type[OSError] = OSError
        if isinstance(error, tf.errors.NotFoundError) or code == HTTPStatus.NOT_FOUND:
            kind = FileNotFoundError
        elif isinstance(error, denied) or code in _DENIED:
            kind = PermissionError
        elif isinstance(error, down) or code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            kind = ConnectionError
        raise kind(f"{path}: {reason}") from error
    except UnicodeDecodeError as error:
        raise OSError(f"{path}: {error}") from error


def list_remote(folder: str) -> list[str]:
    """Returns the names in a folder; none if there is no such folder. Raises OSError."""
    with open_gfile(folder) as gfile:
        if folder.startswith("gs://"):
            # `listdir` there takes an outage, or denied access, for a missing folder.
            pattern = re.sub(r"([*?\[\]\\])", r"\\\1", folder)
            paths = [path.rstrip("/") for path in gfile.glob(f"{pattern}/*")]
            return [path.rsplit("/", 1)[1] for path in paths]
        try:
            return [name.rstrip("/") for name in gfile.listdir(folder)]
        except import_tensorflow().errors.NotFoundError:
            return []


def write_remote(path: str, temporary: str, parts: Iterable[bytes | memoryview]) -> None:
    """Writes a file: readers see the old or the new content, never a part. Raises OSError.

    From a local file, by `copy`. A `GFile` that could not be uploaded keeps its content, and
    uploads it again when it is deleted: over what was written meanwhile, with the GIL held, and
    without a word where that fails.

    Args:
      path: where to.
      temporary: a path beside it, for file systems other than object stores.
      parts: the content.
    """
    local = ""
    try:
        with tempfile.NamedTemporaryFile(prefix="wavestream_", delete=False) as file:
            local = file.name
            file.writelines(parts)
        with open_gfile(path) as gfile:
            gfile.copy(local, path if is_object_store(path) else temporary, overwrite=True)
            if not is_object_store(path):
                gfile.rename(temporary, path, overwrite=True)
    finally:
        if local:
            os.unlink(local)


def _reason(message: str) -> tuple[str, int]:
    """Returns one line that says what is wrong, and the HTTP status in it, or 0.

    TensorFlow's messages hold the body of the answer, and where in its code they come from.
    """
    status = re.search(r"HTTP response code (\d+)", message)
    if status is None:
        said = " ".join(message.split()).strip(" :") or "it failed, no reason is given"
        code = next((code for name, code in _AMAZON.items() if said.startswith(name)), 0)
        return f"{said}{_HINTS.get(code, '')}", code
    code = int(status[1])
    phrase = next((known.phrase for known in HTTPStatus if known == code), "")
    return f"HTTP {code} {phrase}{_HINTS.get(code, '')}".strip(), code
