"""Compares runs: the settings that differ, their last figures, their curves."""

import dataclasses
import itertools
import os
import textwrap
from collections.abc import Sequence

from evaluation.report.formatting import MINUS, NOTHING, aligned, printable
from evaluation.training_runs.plots import comparison_figure, save_png
from evaluation.training_runs.run_dir import FLAC, TRAIN, VALID, Run, find_runs, read_run
from models.config import default_network
from runtime.errors import DataError
from runtime.filesystem import make_folder
from runtime.formatting import format_time
from runtime.logging import logger

# Flags of where a run is written and how it is named, and flags that training does not use.
_NOT_COMPARED = (
    *("output_dir", "model_name", "wandb_project", "wandb_run_name", "profile", "parallel_reads"),
    *("model", "split", "eval_files", "codecs", "chunked", "report_dir"),
)
_SAME_FILES = ("audio_dir", "demo", "bit_depth", "downmix", "valid_fraction", "seed")
_SAME_BATCHES = ("chunk_size", "stereo_blocking_n", "batch_size", "eval_steps")
_WIDTH = 100
_RUNS_PER_TABLE = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs and their differences.

    Attributes:
      runs: in the order given.
      settings: values in each run of each setting that differs; None if a run lacks it.
      validation_settings: names of those that may let the runs validate on different samples.
      problems: of each folder without a run that can be read, what is wrong.
    """

    runs: tuple[Run, ...]
    settings: dict[str, tuple[str | None, ...]]
    validation_settings: tuple[str, ...]
    problems: tuple[str, ...] = ()


def compare(run_dirs: Sequence[str | os.PathLike[str]]) -> Comparison:
    """Reads runs and finds the settings that differ. Folders without a run are logged as warnings.

    Args:
      run_dirs: at least one folder that training wrote; `folder/model_name` if it holds several
        runs. Of a folder with runs in the folders below it, these are meant.

    Raises:
      DataError: none of them holds a run.
    """
    runs, problems = [], []
    found = (find_runs(os.fspath(run_dir)) for run_dir in run_dirs)
    for run in itertools.chain.from_iterable(found):
        try:
            runs.append(read_run(run))
        except (OSError, DataError) as error:
            problems.append(str(error))
    if not runs:
        raise DataError("; ".join(problems))
    for problem in problems:
        logger.warning("skipped: %s", problem)
    settings = {}
    given = [_with_network(run.settings) for run in runs]
    for name in sorted({name for of_run in given for name in of_run}):
        values = tuple(of_run.get(name) for of_run in given)
        if len(set(values)) > 1 and name not in _NOT_COMPARED:
            settings[name] = values
    # With --eval_steps=0 a validation is on the whole split, whatever its chunks and batches.
    whole = all(run.settings.get("eval_steps") == "0" for run in runs)
    deciding = _SAME_FILES if whole else _SAME_FILES + _SAME_BATCHES
    validation_settings = tuple(name for name in deciding if name in settings)
    return Comparison(
        runs=tuple(runs),
        settings=settings,
        validation_settings=validation_settings,
        problems=tuple(problems),
    )


def _with_network(settings: dict[str, str]) -> dict[str, str]:
    """Returns settings with the network that the predictors have by default, if none is named."""
    if "predictors" not in settings:
        return settings
    return {"network": default_network(settings["predictors"])} | settings


def write_comparison(comparison: Comparison, report_dir: str | os.PathLike[str]) -> str:
    """Plots the curves of all runs into `compare.png`: validation against steps and against time.

    Args:
      comparison: the runs.
      report_dir: folder of the plot; created if missing.

    Returns:
      The path of the plot.

    Raises:
      OSError: it cannot be written.
    """
    make_folder(os.fspath(report_dir))
    path = os.path.join(os.fspath(report_dir), "compare.png")
    save_png(comparison_figure(comparison.runs), path)
    return path


def format_comparison(comparison: Comparison) -> str:
    """Returns tables of the last figures of the runs and of the settings that differ.

    They take at most 100 columns: names and values are shortened at the left, where paths agree.
    The line of the best run begins with "> ".
    """
    best = _best(comparison)
    lines = _figures_table(comparison.runs, best)
    lines += _wrapped(
        "time: of the whole run, as in its own summary. bits per sample: train, in the last steps; "
        "valid, at the last validation; best, at the best one; FLAC -8, on whole files of the "
        "validation split. vs FLAC: valid relative to it; with --eval_steps, valid is of an even "
        "sample of the split only: evaluate compares both on the same samples."
        + (" The marked line has the best one of all." if best else "")
    )
    if comparison.validation_settings:
        flags = ", ".join(f"--{name}" for name in comparison.validation_settings)
        lines += _wrapped(
            f"The runs may validate on different samples ({flags}): compare each to its own FLAC."
        )
    if comparison.settings:
        lines += ["", "settings that differ", *_settings_table(comparison)]
    elif len(comparison.runs) > 1:
        lines += ["", "all settings are equal"]
    return "\n".join(lines)


def _best(comparison: Comparison) -> Run | None:
    """Returns the run with the fewest bits, if there are several and they can be compared."""
    runs = [run for run in comparison.runs if run.best_valid is not None]
    if len(runs) < 2 or comparison.validation_settings:
        return None
    return min(runs, key=lambda run: run.best_valid or 0.0)


def _figures_table(runs: Sequence[Run], best: Run | None) -> list[str]:
    # The figures first: the names get the room that they leave.
    figures = aligned([_HEADER, *map(_figures, runs)], left=0)
    room = _WIDTH - max(map(len, figures)) - len(f"> {len(runs)}    ")
    names = [["", "run"]]
    names += [
        [f"{'>' if run is best else ' '} {number}", _shorten(printable(run.name), room)]
        for number, run in enumerate(runs, 1)
    ]
    lines = aligned([[*name, line] for name, line in zip(names, figures, strict=True)], left=3)
    rule = "-" * max(map(len, lines))
    return [lines[0], rule, *lines[1:], rule]


def _settings_table(comparison: Comparison) -> list[str]:
    """One column per run, in as many tables as the width requires."""
    lines = []
    count = len(comparison.runs)
    for begin in range(0, count, _RUNS_PER_TABLE):
        part = range(begin, min(begin + _RUNS_PER_TABLE, count))
        room = (_WIDTH - max(map(len, comparison.settings))) // len(part) - 2
        rows = [["", *(str(i + 1) for i in part)]]
        for name, values in comparison.settings.items():
            rows.append([name, *(_shorten(_text(values[i]), room) for i in part)])
        lines += aligned(rows, left=len(part) + 1)
    return lines


_HEADER = ["steps", "time", "train", "valid", "best", "FLAC -8", "vs FLAC", "model"]


def _figures(run: Run) -> list[str]:
    valid, flac = run.last(VALID), run.last(FLAC)
    return [
        f"{run.steps:,}",
        NOTHING if run.wall_time_s is None else format_time(run.wall_time_s),
        *map(_bits, (run.last(TRAIN), valid, run.best_valid, flac)),
        f"{valid / flac - 1:+.1%}".replace("-", MINUS) if valid and flac else NOTHING,
        NOTHING if run.model_bytes is None else f"{run.model_bytes / 1e6:,.2f} MB",
    ]


def _bits(bits: float | None) -> str:
    return NOTHING if bits is None else f"{bits:.4f}"


def _text(value: str | None) -> str:
    return NOTHING if value is None else printable(value) or '""'


def _shorten(text: str, width: int) -> str:
    return text if len(text) <= width else "…" + text[len(text) - width + 1 :]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_on_hyphens=False)
