"""The baseline of a run: bits per sample of FLAC on the held-out files."""

import json
import math
from typing import Any

import numpy as np

from evaluation.baselines.encode import score_files
from evaluation.baselines.libraries import Flac
from pipeline.reading.chunk_index import Chunks
from pipeline.split import draw_files
from runtime.atomic_files import write_bytes_atomically
from runtime.formatting import format_row
from runtime.logging import logger
from runtime.progress import progress_bar
from training.checkpoints.checkpoint_file import Checkpoint
from training.config import RunConfig
from training.metrics.writers import MultiWriter

CODEC = Flac(level=8)

FLAC_FILE = "_flac.json"  # After the name of a run.

_MAX_SAMPLES = 2**26  # Takes some seconds; a larger split is sampled by a hash of file names.


def measure_flac(
    config: RunConfig, valid: Chunks, held_out: str, start: Checkpoint | None, writer: MultiWriter
) -> float | None:
    """Returns and writes FLAC's bits per sample on the held-out split; None without one.

    Args:
      config: the run.
      valid: the held-out chunks.
      held_out: their `fingerprint`.
      start: the checkpoint that it resumes from, or None. Where its held-out files were others,
        there is a warning, and FLAC is measured again.
      writer: receives the figure.
    """
    is_other = False
    if start is not None:
        before = start.metadata["run"]["held-out audio"]
        if is_other := before != held_out:
            logger.warning(
                "the files of validation have changed since the checkpoint, %s before and %s now: "
                "figures of validation are not comparable across this step",
                before,
                held_out,
            )
    if not len(valid):
        return None
    flac = _kept_flac_bits_per_sample(valid, held_out, config.path(FLAC_FILE))
    if flac is not None and (start is None or is_other):
        time = 0.0 if start is None else start.metadata["loop"]["wall_time_s"]
        step = 0 if start is None else start.step
        writer.write(step, {"wall_time_s": time, "valid/flac_bits_per_sample": flac})
    return flac


def _kept_flac_bits_per_sample(valid: Chunks, held_out: str, path: str) -> float | None:
    """Returns what `flac_bits_per_sample` does, from a file where it was measured on the same.

    Tens of thousands of files take minutes, each time a run starts anew.

    Args:
      valid: the held-out chunks.
      held_out: their `fingerprint`.
      path: a local file: the figure, and what it was made from. It is written if it is missing, or
        of other files or settings.
    """
    config = valid.config
    made_from = {
        "audio": held_out,
        **{name: getattr(config, name) for name in ("depth", "downmix", "stereo_blocking_n")},
        "seed": config.seed,
        "max_samples": _MAX_SAMPLES,
        "codec": CODEC.version,
    }
    kept = _read(path)
    if kept.get("made_from") == made_from:
        return kept.get("bits_per_sample")
    bits_per_sample = flac_bits_per_sample(valid)
    content = {"bits_per_sample": bits_per_sample, "made_from": made_from}
    try:
        write_bytes_atomically(path, json.dumps(content, indent=1).encode())
    except OSError as error:
        logger.warning("%s is not kept: %s", CODEC.name, error)
    return bits_per_sample


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            content = json.load(file)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def flac_bits_per_sample(valid: Chunks) -> float | None:
    """Returns bits per sample of FLAC on whole held-out files, without the container.

    FLAC encodes the same samples that the model sees, after downmix and quantization. None if it
    can encode none of the files.
    """
    share = min(1.0, _MAX_SAMPLES / max(valid.num_samples, 1))
    count = math.ceil(len(valid.catalogue) * share)
    files = draw_files(valid.catalogue, count, seed=valid.config.seed)
    (score,) = score_files(files, [CODEC], valid.config, progress_bar(CODEC.name))
    encoded = np.isfinite(score.bits)
    if score.remark:
        logger.warning("%s: %s", CODEC.name, score.remark)
    if not encoded.any():
        return None
    bits_per_sample = float(score.bits[encoded].sum() / score.samples[encoded].sum())
    where = f"on {encoded.sum()} of the {len(valid.catalogue)} files of validation"
    logger.info("%s", format_row(CODEC.name, f"{bits_per_sample:.4f} bits per sample {where}"))
    return bits_per_sample
