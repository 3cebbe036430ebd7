"""Reads the folder of a training run.

{model_name}.flags    its flags
metrics.jsonl         its metrics; metrics.1.jsonl and so on are of earlier runs in the folder
{model_name}.npz      its model file, once training has ended
"""

import dataclasses
import glob
import json
import math
import os
import zipfile
from typing import Any

import numpy as np

from evaluation.runs.metrics_log import Metrics, last, read_metrics
from runtime.errors import DataError

TRAIN, VALID, FLAC = (
    "train/bits_per_sample",
    "valid/bits_per_sample",
    "valid/flac_bits_per_sample",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One run.

    Attributes:
      name: its folder; `folder/model_name` if the folder holds several.
      settings: its flags, as text.
      metrics: its curves.
      model_bytes: size of the model file; None if there is none yet.
    """

    name: str
    settings: dict[str, str]
    metrics: Metrics
    model_bytes: int | None

    def last(self, name: str) -> float | None:
        """Returns the last finite value of a metric; None if there is none."""
        return last(self.metrics, name)

    @property
    def steps(self) -> int:
        """The last step in the metrics."""
        return max(int(curve.steps[-1]) for curve in self.metrics.values())

    @property
    def wall_time_s(self) -> float | None:
        """Time since the run began at its last metrics, in seconds."""
        known = [float(curve.wall_time_s[-1]) for curve in self.metrics.values()]
        return max((x for x in known if math.isfinite(x)), default=None)

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
    path = os.path.normpath(os.path.expanduser(path))
    if os.path.isdir(path):
        folder, model = path, _only_model(path)
    else:
        folder, model = os.path.split(path)
        if not os.path.exists(f"{path}.flags"):
            raise FileNotFoundError(
                f"{path}: no such folder, and no such file {model}.flags; expected the "
                "--output_dir of a run, or its --output_dir/--model_name"
            )
    npz = os.path.join(folder, f"{model}.npz")
    with open(os.path.join(folder, f"{model}.flags"), encoding="utf-8", errors="replace") as file:
        settings = parse_flags(file.read())
    metrics = _metrics(folder, npz, is_alone=len(_models(folder)) == 1)
    if not {TRAIN, VALID} & metrics.keys():
        raise DataError(f"{path}: its metrics hold no {TRAIN!r} yet; expected a run that trained")
    return Run(
        name=path,
        settings=settings,
        metrics=metrics,
        model_bytes=os.path.getsize(npz) if os.path.exists(npz) else None,
    )


def parse_flags(text: str) -> dict[str, str]:
    """Parses a flag file, with one `--name=value`, `--name` or `--noname` per line.

    The values of a repeated flag are joined by commas.
    """
    settings: dict[str, str] = {}
    for line in text.splitlines():
        flag = line.strip()
        if not flag.startswith("--"):
            continue  # a comment
        name, equals, value = flag[2:].partition("=")
        if not equals:  # boolean: the only flags that are written without a value
            name, value = (name[2:], "false") if name.startswith("no") else (name, "true")
        settings[name] = f"{settings[name]}, {value}" if name in settings else value
    return settings


def _models(folder: str) -> list[str]:
    paths = sorted(glob.glob(os.path.join(glob.escape(folder), "*.flags")))
    return [os.path.basename(path).removesuffix(".flags") for path in paths]


def _only_model(folder: str) -> str:
    models = _models(folder)
    if not models:
        raise FileNotFoundError(
            f"{folder}: no .flags file in it; expected the --output_dir of a run"
        )
    if len(models) > 1:
        choices = ", ".join(os.path.join(folder, model) for model in models)
        raise DataError(f"{folder} holds several runs; expected one of {choices}")
    return models[0]


def _metrics(folder: str, npz: str, *, is_alone: bool) -> Metrics:
    """Returns the metrics of a model; if a folder holds several, by the last values in its file."""
    newest = os.path.join(folder, "metrics.jsonl")
    if is_alone:
        return read_metrics(newest)
    final = read_training(npz)["metrics"]
    for path in (newest, *glob.glob(os.path.join(glob.escape(folder), "metrics.*.jsonl"))):
        metrics = read_metrics(path)
        if all(last(metrics, name) == value for name, value in final.items()):
            return metrics
    raise DataError(
        f"{npz}: none of the metrics*.jsonl in its folder is of this model; give every run a "
        "separate --output_dir"
    )


def read_training(npz: str) -> dict[str, Any]:
    """Returns `steps` and the last `metrics` from a model file, without reading its arrays.

    Raises:
      FileNotFoundError, DataError: it is missing, or not a model file that training wrote.
    """
    try:
        with np.load(npz, allow_pickle=False) as archive:
            training = json.loads(str(archive["training"]))
        return {"steps": training["steps"], "metrics": training["metrics"]}
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{npz}: no such file; it is needed to find the metrics of a run where a folder holds "
            "several"
        ) from error
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{npz}: not a model file that training wrote ({error})") from error
