"""Where the metrics of a run go: metrics.jsonl, TensorBoard, a picture, Weights & Biases.

No writer ends or holds up a run: what cannot be written is one warning, and training goes on.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from evaluation.runs.curves import CurvesWriter
from evaluation.runs.metrics_log import read_metrics
from training.metrics.jsonl import JsonlWriter, Position
from training.metrics.tensorboard import TensorBoardWriter
from training.metrics.wandb import WandbWriter

logger = logging.getLogger("wavestream")

# What the clock decides has a file of its own, so that the other is the same in every run.
_TIMING = frozenset({"wall_time_s", "train/samples_per_second", "train/input_wait_fraction"})


class MetricWriter(Protocol):
    """Takes the metrics of one step at a time."""

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes the metrics of one step: plain numbers by name."""

    def close(self) -> None:
        """Writes out what is still held; the writer is not used again."""


class RewindableWriter(MetricWriter, Protocol):
    """A writer that can be taken back to an earlier step."""

    def position(self) -> Mapping[str, Sequence]:
        """Returns where it is, as JSON values."""

    def rewind(self, positions: Mapping[str, Sequence]) -> None:
        """Takes it back there."""


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

    def close(self) -> None:
        """Closes every writer."""
        for writer in self._writers:
            self._attempt(type(writer).__name__, writer.close)

    def _files(self) -> dict[str, JsonlWriter]:
        files = [writer for writer in self._writers if isinstance(writer, JsonlWriter)]
        return {os.path.basename(file.path): file for file in files}

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
      output_dir: a folder that exists.
      model_name: names the run in TensorBoard, and its picture `{model_name}_curves.png`.
      wandb_project: None for no wandb.
      wandb_run_name: the run's name in wandb.
      config: the settings that wandb shows with the run.
      resume_at: the `position` of an earlier writer of the same run, to go on from.
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
