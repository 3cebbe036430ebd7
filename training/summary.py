"""The table at the end of a run."""

import os
import shlex

from runtime.filesystem import exists, is_folder
from runtime.formatting import format_time
from runtime.program import program
from training.config import RunConfig
from training.flac_baseline import CODEC
from training.result import Result


def summary(
    config: RunConfig,
    result: Result,
    flac: float | None,
    skipped: int,
) -> list[tuple[str, str]]:
    """Returns a summary of a run, as rows of label and text.

    Args:
      config: the run.
      result: its result.
      flac: bits per sample of FLAC on the held-out split, or None.
      skipped: number of unusable files.
    """
    rows = [("steps", _steps(config, result))]
    if result.train:
        rows += [
            ("loss", f"{result.train['train/loss']:.4f} nats per sample"),
            ("train", f"{result.train['train/bits_per_sample']:.4f} bits per sample"),
        ]
    if result.valid:
        bits, depth = result.valid["valid/bits_per_sample"], config.pipeline.depth
        earlier = "" if result.valid_step == result.steps else f", at step {result.valid_step:,}"
        samples = f"{result.valid['valid/samples']:,.0f} samples"
        unseen = (
            f"{samples} held out of this run (the initial model may have been trained on them)"
            if config.init_from
            else f"{samples} that the model has not seen"
        )
        rows += [
            ("validation", f"{bits:.4f} bits per sample, on {unseen}{earlier}"),
            ("", f"{bits / depth:.1%} of raw, which is {depth} bits a sample here (--bit_depth)"),
            *_initial(config, result, bits),
            (
                "order-0 entropy",
                f"{result.valid['valid/order0_bits_per_sample']:.4f} bits per sample,"
                " what a coder without memory needs for the same",
            ),
        ]
    if flac is not None:
        rows.append((CODEC.name, f"{flac:.4f} bits per sample, on whole files of validation"))
    rows += [("skipped files", f"{skipped:,}"), ("time", format_time(result.wall_time_s))]
    return rows + _files(config)


def _initial(config: RunConfig, result: Result, bits: float) -> list[tuple[str, str]]:
    """Returns rows on the model that training started from, where it was another's."""
    before = result.initial_bits_per_sample
    if before is None:
        return []
    change = f", {bits / before - 1:+.2%} since" if before else ""
    rows = [("initial model", f"{before:.4f} bits per sample of the same{change}")]
    if bits > before:
        rows.append(
            (
                "warning",
                "worse than the initial model: train longer, or with a lower --learning_rate; the"
                f" initial model is {config.init_from}",
            )
        )
    return rows


def _files(config: RunConfig) -> list[tuple[str, str]]:
    """Returns rows on the files of a run that are there: a full disk may have prevented some."""

    def is_there(path: str) -> bool:
        try:
            return exists(path) or is_folder(path)
        except OSError:  # A bucket, at this moment: all of it has just been written there.
            return True

    model, flagfile, log = (config.path(suffix) for suffix in (".npz", ".flags", "_training.log"))
    picture, events = config.path("_curves.png"), os.path.join(config.output_dir, "tensorboard")
    curves = {picture: picture, events: f"tensorboard --logdir={shlex.quote(events)}"}
    rows = [
        ("model", {model: model}),
        ("this run again", {flagfile: f"{program()} --flagfile={shlex.quote(flagfile)}"}),
        ("log", {log: log}),
        ("curves", curves),
        ("next", {model: f"{program()} evaluate --model={shlex.quote(model)}"}),
    ]
    found = [
        (label, ", or ".join(text for path, text in texts.items() if is_there(path)))
        for label, texts in rows
    ]
    return [(label, text) for label, text in found if text]


def _steps(config: RunConfig, result: Result) -> str:
    steps = f"{result.steps:,} of {config.training.training_steps:,}"
    if not result.interrupted or result.steps >= config.training.training_steps:
        return steps
    hint = "; the same command resumes it" if config.checkpoint.enabled else ""
    return f"{steps}, interrupted{hint}"
