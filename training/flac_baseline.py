"""The baseline of a run: bits per sample of FLAC on the held-out files."""

import math

import numpy as np

from evaluation.baselines.encode import score_files
from evaluation.baselines.libraries import Flac
from pipeline.reading.chunk_index import Chunks
from pipeline.split import draw_files
from runtime.formatting import format_row
from runtime.logging import logger
from runtime.progress import progress_bar

CODEC = Flac(level=8)

_MAX_SAMPLES = 2**26  # Takes some seconds; a larger split is sampled by a hash of file names.


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
