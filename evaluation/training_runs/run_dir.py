"""Reads the folder of a training run.

{model_name}.flags           its flags
{model_name}_metrics.jsonl   its metrics, see `metrics_log`
{model_name}.npz             its model file, once training has ended
"""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from evaluation.training_runs.metrics_log import Metrics, last, read_metrics, read_wall_time
from runtime.errors import ConfigError, DataError
from runtime.filesystem import exists, is_folder, list_names, stat
from runtime.flag_file import read_flag_file
from runtime.gfile import is_remote, require_filesystem

TRAIN, VALID = "train/bits_per_sample", "valid/bits_per_sample"
FLAC = "valid/flac_bits_per_sample"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One run.

    Attributes:
      name: its folder; `folder/model_name` if the folder holds several.
      settings: its flags, as text.
      metrics: its curves.
      model_bytes: size of the model file; None if there is none yet.
      wall_time_s: seconds that it took, or has taken until the last metrics; None if unknown.
    """

    name: str
    settings: dict[str, str]
    metrics: Metrics
    model_bytes: int | None
    wall_time_s: float | None

    def last(self, name: str) -> float | None:
        """Returns the last finite value of a metric; None if there is none."""
        return last(self.metrics, name)

    @property
    def steps(self) -> int:
        """The last step in the metrics."""
        return max(int(curve.steps[-1]) for curve in self.metrics.values())

    @property
    def best_valid(self) -> float | None:
        """The lowest bits per sample of a validation."""
        values = self.metrics[VALID].values if VALID in self.metrics else np.zeros(0)
        return min(values[np.isfinite(values)].tolist(), default=None)


def read_run(path: str) -> Run:
    """Reads a run.

    Args:
      path: its folder; or, if a folder holds several runs, `folder/model_name`.

    Raises:
      FileNotFoundError, DataError: there is no run.
    """
    # A folder is enough where it holds one run; `run` is what the names of its files begin with.
    require_filesystem(path)
    local = os.path.normpath(os.path.expanduser(path))
    path = run = path.rstrip("/") if is_remote(path) else local
    if is_folder(path) and (_runs_in(path) or not exists(f"{run}.flags")):
        run = _only_run(path)
    elif not exists(f"{run}.flags"):
        raise FileNotFoundError(
            f"{path}: no such folder, and no such file {os.path.basename(run)}.flags; expected the "
            "--output_dir of a run, or its --output_dir/--model_name"
        )
    try:
        settings = parse_flags(read_flag_file(f"{run}.flags"))
    except ConfigError as error:
        raise DataError(str(error)) from error
    metrics = read_metrics(run)
    if not {TRAIN, VALID} & metrics.keys():
        raise DataError(f"{path}: its metrics hold no {TRAIN!r} yet; expected a run that trained")
    npz = f"{run}.npz"
    return Run(
        name=path,
        settings=settings,
        metrics=metrics,
        model_bytes=stat(npz)[0] if exists(npz) else None,
        wall_time_s=read_wall_time(run),
    )


def find_runs(path: str) -> list[str]:
    """Returns what `read_run` takes: a run's path, or those of the runs in the folders below it."""
    require_filesystem(path)
    folder = path.rstrip("/") if is_remote(path) else os.path.normpath(os.path.expanduser(path))
    if exists(f"{folder}.flags") or not is_folder(folder) or _runs_in(folder):
        return [path]
    below = (os.path.join(folder, name.rstrip("/")) for name in sorted(list_names(folder)))
    return [found for found in below if is_folder(found) and _runs_in(found)] or [path]


def parse_flags(flags: Sequence[str]) -> dict[str, str]:
    """Parses the flags of a flag file: `--name=value`, `--name` or `--noname`.

    The values of a repeated flag are joined by commas.
    """
    settings: dict[str, str] = {}
    for flag in flags:
        if not flag.startswith("--"):
            continue
        name, equals, value = flag[2:].partition("=")
        if not equals:  # boolean: the only flags that are written without a value
            name, value = (name[2:], "false") if name.startswith("no") else (name, "true")
        settings[name] = f"{settings[name]}, {value}" if name in settings else value
    return settings


def _only_run(folder: str) -> str:
    """Returns the `folder/model_name` of the run in a folder."""
    runs = _runs_in(folder)
    if not runs:
        raise FileNotFoundError(
            f"{folder}: no run in it; expected the --output_dir of a run, which has a .flags file, "
            "or a folder of several"
        )
    if len(runs) > 1:
        raise DataError(f"{folder} holds several runs; expected one of {', '.join(runs)}")
    return runs[0]


def _runs_in(folder: str) -> list[str]:
    """Returns the `folder/model_name` of all runs in a folder."""
    names = sorted(name for name in list_names(folder) if name.endswith(".flags"))
    return [os.path.join(folder, name.removesuffix(".flags")) for name in names]
