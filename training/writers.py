"""Where the metrics of a run go: metrics.jsonl, TensorBoard, Weights & Biases.

No writer ends or holds up a run: what cannot be written is one warning, and training goes on.
"""

import json
import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from evaluation.runs.curves import CurvesWriter
from training.wandb_writer import WandbWriter

logger = logging.getLogger("wavestream")


class MetricWriter(Protocol):
    """Takes the metrics of one step at a time."""

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes the metrics of one step: plain numbers by name."""

    def close(self) -> None:
        """Writes out what is still held; the writer is not used again."""


class JsonlWriter:
    """Appends one JSON object a line: `{"step": 100, "train/loss": 3.1}`.

    A line is one write to the file, so that a killed run leaves whole lines. Where a resumed run
    repeats a step, the later line counts. JSON has no NaN and no infinity: they are the strings
    "NaN", "Infinity" and "-Infinity", which `float()` reads back.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Appends a line. Raises OSError, with no part of the line left behind."""
        record = {"step": int(step), **{name: _json_number(x) for name, x in metrics.items()}}
        line = json.dumps(record, allow_nan=False).encode() + b"\n"
        end = os.fstat(self._file.fileno()).st_size
        if self._file.write(line) != len(line):
            self._file.truncate(end)  # or the next line would continue this torn one
            raise OSError(f"{self._file.name}: only part of a line could be written: disk full?")

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


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
) -> MultiWriter:
    """Opens `metrics.jsonl`, TensorBoard's events, the picture of the curves, and wandb if wanted.

    One that cannot be opened is a warning.

    Args:
        output_dir: A directory that exists.
        model_name: Names the run in TensorBoard, and its picture `{model_name}_curves.png`.
        wandb_project: None for no wandb.
        wandb_run_name: The run's name in wandb.
        config: The settings that wandb shows with the run.
    """
    openers: list[Callable[[], MetricWriter]] = [
        lambda: JsonlWriter(os.path.join(output_dir, "metrics.jsonl")),
        lambda: TensorBoardWriter(os.path.join(output_dir, "tensorboard", model_name)),
        lambda: CurvesWriter(os.path.join(output_dir, f"{model_name}_curves.png")),
    ]
    if wandb_project is not None:
        project = wandb_project
        openers.append(lambda: WandbWriter(project, wandb_run_name, config, output_dir))
    writers: list[MetricWriter] = []
    for open_writer in openers:
        try:
            writers.append(open_writer())
        except Exception as error:
            logger.warning("these metrics will not be written: %s", error)
    return MultiWriter(writers)
