"""How near the order of chunks is to a uniform draw, by arithmetic: no file is read.

    python benchmarks/shuffle_quality.py                                    # the defaults
    python benchmarks/shuffle_quality.py --chunks_per_read=64 --shuffle_window=8192

Each file has a value of its own, drawn from a normal distribution, as its loudness would be. Of
the batch means of that value it prints the autocorrelation at lags 1 and 32, and how much means
over 100 steps scatter (1: as those of a uniform draw), next to batches that are drawn uniformly;
and how many files 64 consecutive steps hold, on average over the stream and at the worst.
"""

import argparse
import dataclasses
import pathlib
import sys
from typing import Any

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

_STEPS = 6400
_SPAN = 64


@dataclasses.dataclass(frozen=True)
class Quality:
    """Attributes: figures of a stream of batches.

    files: distinct files in 64 consecutive steps, on average.
    fewest: the same at the worst place.
    lag_1, lag_32: autocorrelation of batch means.
    scatter: standard deviation of means over 100 steps, over that of a uniform draw.
    """

    files: float
    fewest: int
    lag_1: float
    lag_32: float
    scatter: float


def measure(files: np.ndarray, num_files: int, seed: int = 0) -> Quality:  # files: ints [steps, B]
    """Returns the figures of a stream; files are 0 to `num_files` - 1."""
    values = np.random.default_rng(seed).normal(size=num_files)
    values = (values - values.mean()) / values.std()
    means = values[files].mean(axis=1)
    spans = [
        len(np.unique(files[start : start + _SPAN]))
        for start in range(0, len(files) - _SPAN + 1, _SPAN // 4)
    ]
    # Not the sample's mean, but the true one: it is zero.
    variance = np.mean(means**2)
    lags = [np.mean(means[lag:] * means[:-lag]) / variance for lag in (1, 32)]
    hundreds = means[: len(means) // 100 * 100].reshape(-1, 100).mean(axis=1)
    scatter = np.sqrt(np.mean(hundreds**2) * 100 * files.shape[1])
    return Quality(
        float(np.mean(spans)), min(spans), float(lags[0]), float(lags[1]), float(scatter)
    )


def stream(order: Any, num_files: int, steps: int) -> np.ndarray:  # ints [steps, B]
    """Returns the file of each row of the first batches, where all files are of one length."""
    chunks = order.batch_occurrences((0, steps), (0, order.batch_size)) % order.num_chunks
    chunks = chunks.reshape(-1, order.batch_size)
    return chunks * num_files // order.num_chunks


def main() -> None:
    """Parses arguments and prints a row for the order and one for a uniform draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=2000, help="of one length")
    parser.add_argument("--seconds", type=float, default=240, help="of a file, at 44.1 kHz")
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--chunk_size", type=int, default=2048)
    parser.add_argument("--chunks_per_read", type=int, default=0, help="0: that of local files")
    parser.add_argument("--shuffle_window", type=int, default=0, help="0: the default")
    parser.add_argument("--num_chunks", type=int, default=2**53, help="used of the corpus")
    arguments = parser.parse_args()
    from pipeline.config import PipelineConfig, default_chunks_per_read
    from pipeline.shuffle import ShuffledOrder

    size = arguments.chunk_size
    config = PipelineConfig(
        chunk_size=size,
        batch_size=arguments.batch_size,
        shuffle_window=arguments.shuffle_window,
        chunks_per_read=arguments.chunks_per_read or default_chunks_per_read(size, remote=False),
    )
    total = arguments.files * -(-int(arguments.seconds * 44100) // size)
    order = ShuffledOrder(
        num_chunks=min(total, arguments.num_chunks),
        batch_size=config.batch_size,
        run_length=config.chunks_per_read,
        window=config.window,
        seed=config.seed,
    )
    uniform = np.random.default_rng(1).integers(arguments.files, size=(_STEPS, config.batch_size))
    ways = {
        f"reads of {config.chunks_per_read}, windows of {config.window} steps": stream(
            order, arguments.files, _STEPS
        ),
        "uniform draw": uniform,
    }
    print(
        f"{arguments.files:,} files of {arguments.seconds:g} s, batches of {config.batch_size}\n"
        f"{'':40}{'files in 64 steps':>18}{'fewest':>8}{'lag 1':>8}{'lag 32':>8}{'scatter':>9}"
    )
    for name, files in ways.items():
        found = measure(files, arguments.files)
        print(
            f"{name:40}{found.files:18,.0f}{found.fewest:8,}{found.lag_1:8.2f}{found.lag_32:8.2f}"
            f"{found.scatter:9.2f}"
        )


if __name__ == "__main__":
    main()
