"""What a run says: the console, the log file, the progress bar, and how figures read.

Everything a person reads goes to stderr through one logger; while a progress bar is drawn, lines
are written above it.
"""

import contextlib
import logging
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from tqdm import tqdm

logger = logging.getLogger("wavestream")


class _ConsoleHandler(logging.Handler):
    """Writes plain lines to stderr, above the progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        label = f"{record.levelname.lower()}: " if record.levelno > logging.INFO else ""
        with contextlib.suppress(OSError):  # the terminal may be gone; the run goes on
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
        log_path: A local file, or None for the console only (all hosts of a pod but the first).
        level: What is less than this is left out.

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


class ProgressBar:
    """A bar with the time left on a terminal; nothing where stderr is not one.

    Use as a context manager around the steps.
    """

    def __init__(self, total: int, initial: int = 0) -> None:
        self._bar = tqdm(
            total=total,
            initial=initial,
            unit="step",
            file=sys.stderr,
            dynamic_ncols=True,
            disable=not sys.stderr.isatty(),
        )

    def set(self, n: int) -> None:
        """Moves to `n` steps done."""
        self._bar.n = n
        self._bar.refresh()

    def update(self, n: int, **postfix: Any) -> None:
        """Advances by `n` steps; `postfix` replaces the figures at the bar's end, if given."""
        if postfix:
            self._bar.set_postfix(postfix, refresh=False)
        self._bar.update(n)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()


def _count(value: float) -> str:
    """Three digits and a unit: 950, 1.23k, 45.6M."""
    for unit in ("", "k", "M"):
        if not 999.5 <= abs(value) < math.inf:
            return f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g}G"


_FIGURES: Sequence[tuple[str, Callable[[float], str]]] = (
    ("train/loss", lambda x: f"loss {x:7.4f} nats/symbol"),
    ("train/bits_per_sample", lambda x: f"{x:7.4f} bits/sample"),
    ("train/compression_ratio", lambda x: f"ratio {x:6.4f} of raw"),
    ("train/grad_norm", lambda x: f"grad norm {x:8.3g}"),
    ("train/learning_rate", lambda x: f"lr {x:8.2e}"),
    ("train/samples_per_second", lambda x: f"{_count(x):>5} samples/s"),
    ("train/input_wait", lambda x: f"input wait {x:4.0%}"),
    ("valid/loss", lambda x: f"valid loss {x:7.4f} nats/symbol"),
    ("valid/bits_per_sample", lambda x: f"valid {x:7.4f} bits/sample"),
    ("valid/compression_ratio", lambda x: f"valid ratio {x:6.4f} of raw"),
)


def format_metrics(step: int, total: int, metrics: Mapping[str, float]) -> str:
    """One line of a run, its columns aligned with those of the other lines.

    Args:
        step: Steps done.
        total: Steps of the whole run.
        metrics: The figures there are, by metric name; others than those in _FIGURES are left out.
            `*/compression_ratio` is compressed over raw bits, `train/input_wait` a share of time.
    """
    figures = [show(float(metrics[name])) for name, show in _FIGURES if name in metrics]
    return " | ".join([f"step {step:>{len(str(total))}}/{total}", *figures])


def summary_table(rows: Sequence[tuple[str, str]]) -> str:
    """The last table of a run: a label and its value a row, between two rules."""
    width = max(len(label) for label, _ in rows)
    lines = [f"{label:<{width}}  {value}" for label, value in rows]
    rule = "-" * max(map(len, lines))
    return "\n".join([rule, *lines, rule])
