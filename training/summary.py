"""The last table of a run."""

import os
import shlex
import time

from training.config import RunConfig
from training.flac_baseline import CODEC
from training.job import Result


def summary(
    config: RunConfig,
    result: Result,
    flac: float | None,
    skipped: int,
) -> list[tuple[str, str]]:
    """Returns what came out of a run, as rows of label and text.

    Args:
      config: the run.
      result: what came out.
      flac: FLAC's bits per sample on the held-out split, if it is known.
      skipped: how many files could not be used.
    """
    bits = config.pipeline.bits
    steps = f"{result.steps:,} of {config.training.training_steps:,}"
    is_short = result.interrupted and result.steps < config.training.training_steps
    ended = ", interrupted; the same command goes on" if is_short else ""
    rows = [("steps", steps + (ended if config.checkpoint.enabled else ended[:13]))]
    if result.train:
        rows += [
            ("loss", f"{result.train['train/loss']:.4f} nats per symbol"),
            ("train", f"{result.train['train/bits_per_sample']:.4f} bits per sample"),
        ]
    if result.valid:
        rate = result.valid["valid/bits_per_sample"]
        rows += [
            (
                "validation",
                f"{rate:.4f} bits per sample, on {result.valid['valid/samples']:,.0f} samples that"
                " the model has not seen",
            ),
            ("", f"{rate / bits:.1%} of the {bits} bits of a raw sample"),
            (
                "order-0 entropy",
                f"{result.valid['valid/order0_bits_per_sample']:.4f} bits per sample,"
                " what a coder without memory needs for the same",
            ),
        ]
    if flac is not None:
        rows.append((CODEC.name, f"{flac:.4f} bits per sample, on whole files of validation"))
    rows += [
        ("skipped files", f"{skipped:,}"),
        ("time", time.strftime("%H:%M:%S", time.gmtime(result.seconds))),
        ("model", config.path(".npz")),
        ("this run again", f"python main.py --flagfile={shlex.quote(config.path('.flags'))}"),
        ("log", config.path("_training.log")),
        (
            "curves",
            f"{config.path('_curves.png')}, or tensorboard --logdir="
            f"{shlex.quote(os.path.join(config.output_dir, 'tensorboard'))}",
        ),
        ("next", f"python main.py evaluate --model={shlex.quote(config.path('.npz'))}"),
    ]
    return rows
