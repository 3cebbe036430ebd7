"""What long-term prediction is worth, and what it costs: the bank alone, and with lags.

    python benchmarks/long_term.py --frames=1300000 song.wav another.wav

n frames of C channels. Bits per sample of the errors under an adaptive logistic, lags included, so
that only the predictions count; microseconds of one core a sample.
"""

import argparse
import pathlib
import sys
import time

import numpy as np
import soundfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from models.predictors.bank import init_bank, run
from models.predictors.lag_search import find_lags
from models.predictors.lags import pack_lags
from models.predictors.long_term import init_long_term, run_long_term
from models.predictors.sets import BEST


def bits(errors: np.ndarray) -> float:
    """Returns the bits per sample of errors, [n], under a logistic as wide as those before."""
    sizes = np.abs(errors)
    short, long = (np.convolve(sizes, np.ones(n) / n)[: sizes.size] for n in (16, 128))
    before = np.concatenate([[1.0], (0.6 * short + 0.4 * long)[:-1]])
    scales = 0.62 * before + 0.15
    high, low = ((errors + side) / scales for side in (0.5, -0.5))
    mass = (np.tanh(high / 2) - np.tanh(low / 2)) / 2
    return float(-np.log2(np.maximum(mass, 1e-9)).mean())


def measure(samples: np.ndarray, depth: int) -> tuple[np.ndarray, int, np.ndarray]:
    """Returns errors [2, C, n] without and with lags, bits of lags, and seconds of each step."""
    channels, frames = samples.shape
    config, combined = BEST.long_term, len(BEST.combination.decays)
    bases, seconds = np.empty((2, channels, frames)), np.zeros(3)
    experts = np.empty((channels, frames, BEST.num_experts + combined), np.float32)
    start = time.process_time()
    for c in range(channels):
        other = samples[c - 1] if c else np.zeros(0, np.int32)
        run(init_bank(BEST, depth, stereo=c > 0), samples[c], other, 0, experts[c], bases[0, c])
    seconds[0] = time.process_time() - start
    lags = find_lags(samples - bases[0], config)
    seconds[1] = time.process_time() - start - seconds[0]
    before = None
    for c in range(channels):
        before = init_long_term(BEST, depth, lags, frames, before)
        run_long_term(before, samples[c], bases[0, c], experts[c], bases[1, c])
    seconds[2] = time.process_time() - start - seconds[:2].sum()
    return samples - bases, 8 * len(pack_lags(lags, frames, config)), seconds


def main() -> None:
    """Prints a line for each file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", help="WAV files of 16 bits")
    parser.add_argument("--frames", type=int, default=1_300_000, help="of each file")
    parser.add_argument("--segment", type=int, default=1 << 20, help="frames coded alone")
    arguments = parser.parse_args()
    measure(np.zeros((2, 10), np.int32), 16)  # Compiles.
    for path in arguments.files:
        frames, _ = soundfile.read(path, arguments.frames, dtype="int16", always_2d=True)
        samples = np.ascontiguousarray(frames.T, np.int32)
        parts = [
            measure(np.ascontiguousarray(samples[:, at : at + arguments.segment]), 16)
            for at in range(0, samples.shape[1], arguments.segment)
        ]
        errors = np.concatenate([part[0] for part in parts], 2)
        alone, with_lags = (np.mean([bits(row) for row in rows]) for rows in errors)
        with_lags += sum(part[1] for part in parts) / samples.size
        bank, search, expert = np.sum([part[2] for part in parts], 0) / samples.size * 1e6
        print(
            f"{path}: bank {alone:.3f} bits per sample, with lags {with_lags:.3f} "
            f"({with_lags / alone - 1:+.2%}); {bank:.1f} us a sample, search {search:.1f}, "
            f"expert {expert:.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
