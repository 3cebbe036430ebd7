"""The logger "wavestream", which writes to stderr and to the log file of a run.

While a progress bar is drawn, lines are written above it.
"""

import contextlib
import logging
import os
import sys

import absl.logging
from tqdm import tqdm

from runtime.appended_file import AppendedFile
from runtime.terminal import styled

logger = logging.getLogger("wavestream")

_MAX_WAITING_BYTES = 2**20

_logged: set[str] = set()


class _ConsoleHandler(logging.Handler):
    """Writes lines to stderr, above the progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is None:
            return
        with contextlib.suppress(OSError):  # The terminal may be closed; the run continues.
            tqdm.write(_label(record) + _writable(self.format(record)), file=sys.stderr)


class _LogFileHandler(logging.Handler):
    """A log file; lines that it cannot take, as on a full disk, are written later."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._file = AppendedFile(path, max_waiting_bytes=_MAX_WAITING_BYTES)
        self._is_failing = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._file.append(f"{_writable(self.format(record))}\n".encode())
        except OSError as error:
            if not self._is_failing:
                self._is_failing = True
                logger.warning("%s: %s: its lines wait in memory", self._file.path, error.strerror)
        else:
            self._is_failing = False

    def close(self) -> None:
        with contextlib.suppress(OSError):  # The console has said so.
            self._file.close()
        super().close()


def _label(record: logging.LogRecord) -> str:
    """Returns what warnings and errors begin with on the console; empty for others."""
    if record.levelno <= logging.INFO:
        return ""
    is_error = record.levelno >= logging.ERROR
    label = f"{record.levelname.lower()}:"
    return f"{styled(label, 'red' if is_error else 'yellow', sys.stderr)} "


def _writable(text: str) -> str:
    """Returns a text that UTF-8 can hold: of names that are not UTF-8 their bytes in hexadecimal.

    In an ASCII locale names that are UTF-8 come in such bytes, too, and are shown as they are.
    """
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # Other lone surrogates, which no name has.
        return text.encode("utf-8", "backslashreplace").decode()


def start_logging(log_path: str | None, level: int = logging.INFO) -> logging.Logger:
    """Sends the logger "wavestream" to the console and appends it to a file.

    A second call replaces the handlers of the first. A log file that cannot be written is no more
    than a warning.

    Args:
      log_path: a local file, or None for the console only (all hosts but the primary).
      level: minimum level of what is logged.

    Returns:
      The logger.
    """
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.setLevel(level)
    logger.propagate = False  # The handler of absl on the root logger would print it again.
    logger.addHandler(_ConsoleHandler())
    if log_path is not None:
        try:
            log_file = _LogFileHandler(log_path)
        except OSError as error:
            logger.warning("%s: no log file: %s", log_path, error)
        else:
            log_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
            logger.addHandler(log_file)
    return logger


def log_once(key: str, message: str, *args: object) -> None:
    """Logs a warning, unless this process has logged one with the same key."""
    if key not in _logged:
        _logged.add(key)
        logger.warning(message, *args)


def quieten_libraries() -> None:
    """Silences the informational logs of TensorFlow and JAX.

    Call it before TensorFlow is imported, which reads its level from the environment then.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # Unused here, and logs a notice.
    logging.getLogger("jax").setLevel(logging.WARNING)  # It lists every missing backend.
    absl.logging.set_verbosity(absl.logging.WARNING)
