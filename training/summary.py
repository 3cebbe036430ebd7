"""The table at the end of a run."""

import os
import shlex

from runtime.formatting import format_time
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
        rows += [
            (
                "validation",
                f"{bits:.4f} bits per sample, on {result.valid['valid/samples']:,.0f} samples that"
                " the model has not seen",
            ),
            ("", f"{bits / depth:.1%} of the {depth} bits of a raw sample"),
            (
                "order-0 entropy",
                f"{result.valid['valid/order0_bits_per_sample']:.4f} bits per sample,"
                " what a coder without memory needs for the same",
            ),
        ]
    if flac is not None:
        rows.append((CODEC.name, f"{flac:.4f} bits per sample, on whole files of validation"))
    model, tensorboard = config.path(".npz"), os.path.join(config.output_dir, "tensorboard")
    rows += [
        ("skipped files", f"{skipped:,}"),
        ("time", format_time(result.wall_time_s)),
        ("model", model),
        ("this run again", f"python main.py --flagfile={shlex.quote(config.path('.flags'))}"),
        ("log", config.path("_training.log")),
        (
            "curves",
            f"{config.path('_curves.png')}, or tensorboard --logdir={shlex.quote(tensorboard)}",
        ),
        ("next", f"python main.py evaluate --model={shlex.quote(model)}"),
    ]
    return rows


def _steps(config: RunConfig, result: Result) -> str:
    steps = f"{result.steps:,} of {config.training.training_steps:,}"
    if not result.interrupted or result.steps >= config.training.training_steps:
        return steps
    hint = "; the same command resumes it" if config.checkpoint.enabled else ""
    return f"{steps}, interrupted{hint}"
