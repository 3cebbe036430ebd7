"""The log: everything a person reads goes through one logger to stderr, and to a run's log file.

While a progress bar is drawn, lines are written above it.
"""

import contextlib
import logging
import os
import sys

import absl.logging
from tqdm import tqdm

logger = logging.getLogger("wavestream")

_logged: set[str] = set()


class _ConsoleHandler(logging.Handler):
    """Writes plain lines to stderr, above the progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        label = f"{record.levelname.lower()}: " if record.levelno > logging.INFO else ""
        with contextlib.suppress(OSError):  # The terminal may be gone; the run goes on.
            tqdm.write(label + self.format(record), file=sys.stderr)


class _LogFileHandler(logging.FileHandler):
    """A log file that, when it cannot be written, says so once and stops."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        logger.removeHandler(self)
        reason = sys.exc_info()[1]
        logger.warning("%s: %s: from here on the console only", self.baseFilename, reason)


def start_logging(log_path: str | None, level: int = logging.INFO) -> logging.Logger:
    """Sends the logger "wavestream" to the console and appends it to a file.

    Calling it again closes what the last call opened. A log file that cannot be written is a
    warning: a run does not end for it.

    Args:
      log_path: a local file, or None for the console only (all hosts but the primary).
      level: what is less than this is left out.

    Returns:
      The logger: not passed on to the root logger, where absl would repeat it.
    """
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.setLevel(level)
    logger.propagate = False
    logger.addHandler(_ConsoleHandler())
    if log_path is not None:
        try:
            log_file = _LogFileHandler(log_path, encoding="utf-8")
        except OSError as error:
            logger.warning("%s: no log file, the console only: %s", log_path, error)
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
    """Keeps what TensorFlow, JAX and Orbax log at length out of the console.

    To be called before TensorFlow is imported.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # Unused here, and announces itself.
    logging.getLogger("jax").setLevel(logging.WARNING)  # It names every backend that it lacks.
    absl.logging.set_verbosity(absl.logging.WARNING)  # Orbax names every file that it writes.
