"""A preset, trained on a folder and measured on excerpts of other files, beside other coders.

    python benchmarks/compression.py --train=DIR --suite=DIR --baselines=FILE.md

trains presets/archive_16bit.flags (--preset) on the WAV files below one folder, as a user would,
then evaluates the model on the excerpts in another, whole files in segments, and prints a table of
bits per sample. Flags after `--` go to the training; --model measures a model that is there.

FLAC is measured beside the model. Baselines are bits per sample of coders that are not installed: a
table in Markdown, of which the first column names the excerpts, and columns with fractions count.
"""

import argparse
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent

Columns = Mapping[str, Mapping[str, float]]
"""Bits per sample: of each coder, of each excerpt."""


def parse_baselines(text: str) -> dict[str, dict[str, float]]:
    """Returns the columns of bits per sample of the first table in a text of Markdown."""
    table = re.search(r"(^\|.*\n)+", text, re.MULTILINE)
    lines = table.group().splitlines() if table else []
    cells_of = ([cell.strip() for cell in line.strip("| ").split("|")] for line in lines)
    _, *heading = next(cells_of, [""])
    columns: dict[str, dict[str, float]] = {}
    for name, *cells in cells_of:
        for coder, cell in zip(heading, cells, strict=False):
            if re.fullmatch(r"\d+\.\d+", cell):
                columns.setdefault(coder, {})[name] = float(cell)
    return columns


def columns_of(report: Mapping[str, Any], coders: Sequence[str]) -> dict[str, dict[str, float]]:
    """Returns bits per sample of each file, from a report of `main.py evaluate`, without suffix.

    Args:
      report: the content of report.json.
      coders: which names in it.
    """
    names = [pathlib.PurePath(name).stem for name in report["names"]]
    return {
        coder["name"]: dict(zip(names, coder["cost"]["per_file"], strict=True))
        for coder in report["coders"]
        if coder["name"] in coders and coder["cost"]["per_file"]
    }


def format_markdown(columns: Columns, ours: str) -> str:
    """Returns a table of all excerpts of our column, their mean, and how far each is from it.

    Args:
      columns: bits per sample; a coder may lack excerpts, and then has no mean.
      ours: the name of our column.
    """
    names = list(columns[ours])
    lines = [["excerpt", *columns], ["---", *("---:" for _ in columns)]]
    lines += [[name, *(_cell(column.get(name)) for column in columns.values())] for name in names]
    means = [_mean(column, names) for column in columns.values()]
    lines.append(["mean", *map(_cell, means)])
    own = sum(columns[ours].values()) / len(names)
    lines.append([f"{ours}, relative", *(f"{own / x - 1:+.2%}" if x else "" for x in means)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _mean(column: Mapping[str, float], names: Sequence[str]) -> float | None:
    return sum(column[name] for name in names) / len(names) if {*names} <= {*column} else None


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _run(label: str, *arguments: str) -> None:
    """Runs main.py, and says how long it took. Exits where it fails."""
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, ROOT / "main.py", *arguments], check=False)
    if done.returncode:
        sys.exit(f"main.py {' '.join(arguments)}: status {done.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{label}: {time.perf_counter() - begin:,.0f} s, {cpu:,.0f} s of CPU time", flush=True)


def main() -> None:
    """Trains, evaluates, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", help="folder of WAV files to train on")
    parser.add_argument("--suite", required=True, help="folder of excerpts, of other files")
    parser.add_argument("--preset", default=ROOT / "presets" / "archive_16bit.flags")
    parser.add_argument("--baselines", help="table in Markdown of what other coders need")
    parser.add_argument("--model", help="model file, in place of training one")
    parser.add_argument("--output_dir", default="runs/compression")
    parser.add_argument("flags", nargs="*", help="after --: flags of the training")
    options = parser.parse_args()
    if bool(options.train) == bool(options.model):
        parser.error("expected either --train or --model")

    model, report = options.model, os.path.join(options.output_dir, "report")
    if not model:
        model = os.path.join(options.output_dir, "audio_model.npz")
        places = f"--audio_dir={options.train}", f"--output_dir={options.output_dir}"
        _run("training", f"--flagfile={options.preset}", *places, "--fresh", *options.flags)
    asked = f"--model={model}", f"--audio_dir={options.suite}", f"--report_dir={report}"
    _run("evaluation", "evaluate", *asked, "--codecs=flac", "--split=all", "--nocompressed_size")

    content = json.loads(pathlib.Path(report, "report.json").read_text())
    found = columns_of(content, ["FLAC -8", "the model"])
    ours = {"the model": found.pop("the model")}
    text = pathlib.Path(options.baselines).read_text() if options.baselines else ""
    print("\n" + format_markdown(found | parse_baselines(text) | ours, "the model"))


if __name__ == "__main__":
    main()
