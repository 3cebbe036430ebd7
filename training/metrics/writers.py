"""Writers of metrics: JSON lines, TensorBoard, a plot of the curves, Weights & Biases.

No writer ends or delays a run: a failure is logged, and training continues.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from evaluation.training_runs.curves import CurvesWriter
from evaluation.training_runs.metrics_log import METRICS, TIMING, Metrics, read_metrics
from runtime.logging import logger
from training.metrics.jsonl import JsonlWriter, Position
from training.metrics.tensorboard import TensorBoardWriter
from training.metrics.wandb import WandbWriter

# Written to a file of their own, so that the metrics are the same whenever a run is repeated.
_TIMING = frozenset({"wall_time_s", "train/samples_per_second", "train/input_wait_fraction"})


class MetricWriter(Protocol):
    """Receives the metrics of one step at a time."""

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes the metrics of one step: Python floats by name."""

    def close(self) -> None:
        """Flushes and closes; the writer is not used again."""


class RewindableWriter(MetricWriter, Protocol):
    """A writer that can return to an earlier position, when a run resumes from a checkpoint."""

    def position(self) -> Mapping[str, Sequence]:
        """Returns the current position, as JSON values."""

    def rewind(self, positions: Mapping[str, Sequence]) -> None:
        """Removes what was written after a position."""


class MultiWriter:
    """Writes to several writers, and continues if one of them fails.

    A failing writer is logged once, until it works again, and tried with every record: a full disk
    or an unreachable share may recover.
    """

    def __init__(self, writers: Sequence[MetricWriter]) -> None:
        self._writers = list(writers)
        self._failing: set[MetricWriter] = set()

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes to every writer."""
        for writer in self._writers:
            self._attempt(writer, "write", step, metrics)

    def position(self) -> dict[str, Position]:
        """Returns the positions of the metrics files by name. Raises OSError."""
        return {name: file.position() for name, file in self._files().items()}

    def rewind(self, positions: Mapping[str, Sequence]) -> None:
        """Rewinds the metrics files; one that was changed by someone else is a warning."""
        for name, file in self._files().items():
            try:
                file.rewind(Position(*positions[name]))
            except (KeyError, OSError, ValueError) as error:
                logger.warning(
                    "%s: not rewound to the checkpoint, its steps since then appear twice: %s",
                    name,
                    error,
                )

    def close(self) -> None:
        """Closes every writer."""
        for writer in self._writers:
            self._attempt(writer, "close")

    def _files(self) -> dict[str, JsonlWriter]:
        files = [writer for writer in self._writers if isinstance(writer, JsonlWriter)]
        return {os.path.basename(file.path): file for file in files}

    def _attempt(self, writer: MetricWriter, method: str, *arguments: Any) -> None:
        name = type(writer).__name__
        try:
            getattr(writer, method)(*arguments)
        except Exception as error:
            if writer not in self._failing:
                self._failing.add(writer)
                logger.warning("%s: metrics are not written: %s", name, error)
        else:
            if writer in self._failing:
                self._failing.remove(writer)
                logger.warning("%s: metrics are written again", name)


def make_writers(
    output_dir: str,
    model_name: str,
    *,
    wandb_project: str | None,
    wandb_run_name: str,
    wandb_id: str,
    config: Mapping[str, Any],
    resume_at: Mapping[str, Sequence] | None = None,
) -> MultiWriter:
    """Opens the metrics files, the TensorBoard events, the plot of the curves, and wandb.

    A writer that cannot be opened is a warning.

    Args:
      output_dir: an existing folder.
      model_name: name of the run in TensorBoard, and prefix of its files: `_metrics.jsonl`,
        `_timing.jsonl` and the plot `_curves.png`.
      wandb_project: project in wandb; None: it is not used.
      wandb_run_name: name of the run in wandb.
      wandb_id: id of the run in wandb; the same when it is resumed.
      config: settings of the run, for wandb.
      resume_at: `position` of an earlier writer of the same run, to resume from.
    """
    run = os.path.join(output_dir, model_name)

    def before() -> Metrics:
        return read_metrics(run) if resume_at else {}

    files: list[Callable[[], MetricWriter]] = [
        lambda: JsonlWriter(run + METRICS, lambda name: name not in _TIMING),
        lambda: JsonlWriter(run + TIMING, _TIMING.__contains__),
    ]
    others: list[Callable[[], MetricWriter]] = [
        lambda: TensorBoardWriter(os.path.join(output_dir, "tensorboard", model_name)),
        lambda: CurvesWriter(f"{run}_curves.png", before()),
    ]
    if wandb_project is not None:
        project = wandb_project
        others.append(
            lambda: WandbWriter(
                project,
                wandb_run_name,
                config,
                output_dir,
                run_id=wandb_id,
                summary={name: float(curve.values[-1]) for name, curve in before().items()},
            )
        )
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
