"""Where the metrics of a run go: metrics.jsonl, TensorBoard, Weights & Biases.

No writer ends or holds up a run: what cannot be written is one warning, and training goes on.
"""

import hashlib
import json
import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from evaluation.runs.curves import CurvesWriter
from evaluation.runs.metrics_log import read_metrics
from training.metrics.wandb import WandbWriter

logger = logging.getLogger("wavestream")

# What the clock decides has a file of its own, so that the other is the same in every run.
_TIMING = frozenset({"seconds", "train/samples_per_second", "train/input_wait"})


class MetricWriter(Protocol):
    """Takes the metrics of one step at a time."""

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes the metrics of one step: plain numbers by name."""

    def close(self) -> None:
        """Writes out what is still held; the writer is not used again."""


class Position(NamedTuple):
    """How far a file was written, and what was in it up to there."""

    size: int
    digest: str


class JsonlWriter:
    """Appends one JSON object a line: `{"step": 100, "train/loss": 3.1}`.

    A line is one write to the file, so that a killed run leaves whole lines. JSON has no NaN and no
    infinity: they are the strings "NaN", "Infinity" and "-Infinity", which `float()` reads back.
    """

    def __init__(
        self, path: str | os.PathLike[str], takes: Callable[[str], bool] = lambda name: True
    ) -> None:
        """Opens a file to append to.

        Args:
          path: the file; made if missing.
          takes: which metrics to write, by their names; where none is left there is no line.
        """
        self._file = open(path, "a+b", buffering=0)  # noqa: SIM115
        self._takes = takes
        self.path = os.fspath(path)

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Appends a line. Raises OSError, with no part of the line left behind."""
        taken = {name: _json_number(x) for name, x in metrics.items() if self._takes(name)}
        if not taken:
            return
        line = json.dumps({"step": int(step), **taken}, allow_nan=False).encode() + b"\n"
        end = os.fstat(self._file.fileno()).st_size
        if self._file.write(line) != len(line):
            self._file.truncate(end)  # or the next line would continue this torn one
            raise OSError(f"{self._file.name}: only part of a line could be written: disk full?")

    def position(self) -> Position:
        """Returns where the next line goes, once all before it is on the disk."""
        os.fsync(self._file.fileno())
        size = os.fstat(self._file.fileno()).st_size
        return Position(size, self._digest(size))

    def rewind(self, position: Position) -> None:
        """Drops what was written behind a position. Raises ValueError if the file is another's."""
        if self._digest(position.size) != position.digest:
            raise ValueError(f"{self._file.name} is not the file of this run any more")
        self._file.truncate(position.size)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _digest(self, size: int) -> str:
        content = os.pread(self._file.fileno(), size, 0)
        return hashlib.blake2b(content, digest_size=16).hexdigest()


def _json_number(value: float) -> float | str:
    value = float(value)
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


class TensorBoardWriter:
    """Writes event files that TensorBoard shows, without needing TensorBoard itself."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        import tensorflow as tf

        self._tf = tf
        self._writer = tf.summary.create_file_writer(os.fspath(directory))
        # tf.summary.scalar imports the package tensorboard, which TensorFlow 2.21 no longer
        # installs. A scalar is no more than a float32 marked with the name of that plugin.
        self._scalar = tf.compat.v1.SummaryMetadata()
        self._scalar.plugin_data.plugin_name = "scalars"

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes a point to each metric's curve."""
        with self._writer.as_default(step=step):
            for name, value in metrics.items():
                scalar = self._tf.constant(float(value), self._tf.float32)
                self._tf.summary.write(name, scalar, metadata=self._scalar)
        self._writer.flush()

    def close(self) -> None:
        """Closes the event file."""
        self._writer.close()


class MultiWriter:
    """Writes to several writers, and goes on where one fails.

    A failing writer is named once, and tried again with every record: a full disk or a share that
    is away may come back.
    """

    def __init__(self, writers: Sequence[MetricWriter]) -> None:
        self._writers = list(writers)
        self._failed: set[str] = set()

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes to every writer."""
        for writer in self._writers:
            self._attempt(type(writer).__name__, writer.write, step, metrics)

    def position(self) -> dict[str, Position]:
        """Returns how far the metrics files are. Raises OSError."""
        return {name: file.position() for name, file in self._files().items()}

    def rewind(self, positions: Mapping[str, Sequence]) -> None:
        """Takes the metrics files back to where they were; one that is another's is a warning."""
        for name, file in self._files().items():
            try:
                file.rewind(Position(*positions[name]))
            except (KeyError, OSError, ValueError) as error:
                logger.warning("%s: what this run wrote before is not taken back: %s", name, error)

    def _files(self) -> dict[str, JsonlWriter]:
        files = [writer for writer in self._writers if isinstance(writer, JsonlWriter)]
        return {os.path.basename(file.path): file for file in files}

    def close(self) -> None:
        """Closes every writer."""
        for writer in self._writers:
            self._attempt(type(writer).__name__, writer.close)

    def _attempt(self, name: str, action: Callable[..., None], *arguments: Any) -> None:
        try:
            action(*arguments)
        except Exception as error:
            if name not in self._failed:
                self._failed.add(name)
                logger.warning("%s: metrics are being lost: %s", name, error)


def make_writers(
    output_dir: str,
    model_name: str,
    *,
    wandb_project: str | None,
    wandb_run_name: str,
    config: Mapping[str, Any],
    resume_at: Mapping[str, Sequence] | None = None,
) -> MultiWriter:
    """Opens the metrics files, TensorBoard's events, the picture of the curves, and maybe wandb.

    One that cannot be opened is a warning.

    Args:
        output_dir: A directory that exists.
        model_name: Names the run in TensorBoard, and its picture `{model_name}_curves.png`.
        wandb_project: None for no wandb.
        wandb_run_name: The run's name in wandb.
        config: The settings that wandb shows with the run.
        resume_at: The position that an earlier writer of the same run told, to go on from.
    """
    metrics_path = os.path.join(output_dir, "metrics.jsonl")
    files: list[Callable[[], MetricWriter]] = [
        lambda: JsonlWriter(metrics_path, lambda name: name not in _TIMING),
        lambda: JsonlWriter(os.path.join(output_dir, "timing.jsonl"), _TIMING.__contains__),
    ]
    others: list[Callable[[], MetricWriter]] = [
        lambda: TensorBoardWriter(os.path.join(output_dir, "tensorboard", model_name)),
        lambda: CurvesWriter(
            os.path.join(output_dir, f"{model_name}_curves.png"),
            read_metrics(metrics_path) if resume_at else {},
        ),
    ]
    if wandb_project is not None:
        project = wandb_project
        others.append(lambda: WandbWriter(project, wandb_run_name, config, output_dir))
    writers = _open(files)
    if resume_at:  # Before the curves are read from them.
        MultiWriter(writers).rewind(resume_at)
    return MultiWriter([*writers, *_open(others)])


def _open(openers: Sequence[Callable[[], MetricWriter]]) -> list[MetricWriter]:
    writers: list[MetricWriter] = []
    for open_writer in openers:
        try:
            writers.append(open_writer())
        except Exception as error:
            logger.warning("these metrics will not be written: %s", error)
    return writers
