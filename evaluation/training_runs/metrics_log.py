"""Reads the metrics of a run from {model_name}_metrics.jsonl and {model_name}_timing.jsonl.

P points of a curve.
"""

import contextlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from runtime.errors import DataError
from runtime.filesystem import read_bytes


class Curve(NamedTuple):
    """One metric over steps and time."""

    steps: np.ndarray  # int64 [P], increasing
    wall_time_s: np.ndarray  # float64 [P], since the run began, in seconds; NaN if unknown
    values: np.ndarray  # float64 [P]


Metrics = dict[str, Curve]
"""Curves by the name of the metric, such as "valid/bits_per_sample"."""

_MAX_STEP = 2**63 - 1  # of int64

METRICS, TIMING = "_metrics.jsonl", "_timing.jsonl"
"""What comes after the name of a run in the names of its files.

Whatever depends on the clock is in the second, so that the first is the same in every run.
"""


def read_metrics(run: str | os.PathLike[str]) -> Metrics:
    """Reads the metrics of a run, one JSON object per line, also while it is still writing them.

    For a repeated step the later line counts. A partial line, left by a full disk or a killed run,
    is skipped.

    Args:
      run: `{output_dir}/{model_name}`; its timing may be missing.

    Raises:
      FileNotFoundError: it has no metrics.
      DataError: they are empty.
    """
    path, timing = (os.fspath(run) + suffix for suffix in (METRICS, TIMING))
    try:
        records = [*_records(read_bytes(path).splitlines())]
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: no such file; expected what training writes") from error
    with contextlib.suppress(FileNotFoundError):
        records += _records(read_bytes(timing).splitlines())
    # One object of the two files has the time of a step, others its metrics.
    times = {r["step"]: _number(r["wall_time_s"]) for r in records if "wall_time_s" in r}
    points: dict[str, dict[int, tuple[float, float]]] = {}
    for record in records:
        step = record["step"]
        time = times.get(step)
        for name, value in record.items():
            if "/" in name and (number := _number(value)) is not None:
                points.setdefault(name, {})[step] = (float("nan") if time is None else time, number)
    if not points:
        raise DataError(
            f"{path}: it holds no metrics; expected lines such as "
            '{"step": 100, "train/loss": 3.1}, as training writes them'
        )
    return {name: make_curve(by_step.items()) for name, by_step in points.items()}


def read_wall_time(run: str | os.PathLike[str]) -> float | None:
    """Returns the time that a run has taken until its last record, in seconds; None if unknown.

    Of a run that has ended that is all of its time, with the last checkpoint.

    Args:
      run: as of `read_metrics`.
    """
    with contextlib.suppress(FileNotFoundError):
        records = _records(read_bytes(os.fspath(run) + TIMING).splitlines())
        times = [_number(record.get("wall_time_s")) for record in records]
        return max((x for x in times if x is not None and math.isfinite(x)), default=None)
    return None


def make_curve(points: Iterable[tuple[int, tuple[float, float]]]) -> Curve:
    """Returns the curve of (step, (wall_time_s, value)) points, sorted by step."""
    ordered = sorted(points)
    times_and_values = np.array([pair for _, pair in ordered], np.float64).reshape(-1, 2)
    return Curve(np.array([step for step, _ in ordered], np.int64), *times_and_values.T)


def last(metrics: Metrics, name: str) -> float | None:
    """Returns the last finite value of a metric; None if there is none."""
    if name not in metrics:
        return None
    values = metrics[name].values
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if len(finite) else None


def _records(lines: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
    for line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):  # also of bytes that are not UTF-8
            continue
        # A torn line may still be JSON. `type`, since True is an int, too.
        step = record.get("step") if isinstance(record, dict) else None
        if type(step) is int and abs(step) <= _MAX_STEP:
            yield record


def _number(value: Any) -> float | None:
    """Parses numbers, and the strings "NaN", "Infinity" and "-Infinity", which JSON lacks."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None
