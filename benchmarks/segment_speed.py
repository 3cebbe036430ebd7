"""How fast the adaptive model goes through a segment on one core, and in how many bits.

    python benchmarks/segment_speed.py song.wav runs/archive_16bit/audio_model.npz ...
    python benchmarks/segment_speed.py song.wav          # untrained models of all sets: speed alone

For each model: samples a second as an encoder sees it (the bank, the search for lags, the rest),
as a decoder does (sample by sample), and bits per sample. Both are timed on one thread, in CPU
time, after they have been compiled. A core must itself do 88,200 a second for 44.1 kHz stereo in
real time.
"""

import argparse
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import numpy as np
import soundfile

from models.config import AdaptiveModelConfig, MlpConfig, ResidualMixtureConfig
from models.exact.network import ExactMlp, make_mlp
from models.exact.segment import SegmentCost, measure_segment, segment_frequencies
from models.predictors.config import SETS

_SIZES = {"best": (128, 6), "normal": (64, 4), "fast": (32, 3)}
"""Width of the network and components of the mixture, as in the presets."""


def read(path: str, frames: int) -> tuple[np.ndarray, int]:  # int32 [n, C], bits
    """Returns the first frames of a file, and its depth."""
    depth = {"PCM_U8": 8, "PCM_16": 16, "PCM_24": 24}[soundfile.info(path).subtype]
    samples, _ = soundfile.read(path, frames, dtype="int32", always_2d=True)
    return samples >> (32 - depth), depth


def untrained(depth: int) -> dict[str, tuple[AdaptiveModelConfig, ExactMlp]]:
    """Returns a model of each named set of predictors."""
    import jax

    from models.build import build_model

    models = {}
    for name, (width, components) in _SIZES.items():
        config = AdaptiveModelConfig(
            depth=depth,
            predictors=SETS[name],
            network=MlpConfig(width=width),
            distribution=ResidualMixtureConfig(num_components=components),
        )
        models[name] = config, make_mlp(build_model(config).init(jax.random.key(0)))
    return models


def trained(paths: list[str]) -> dict[str, tuple[AdaptiveModelConfig, ExactMlp]]:
    """Returns the models of files."""
    from models.model_file import load_model

    files = {path: load_model(path) for path in paths}
    return {path: (file.build().config, make_mlp(file.params)) for path, file in files.items()}


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Returns seconds of CPU time, and the result."""
    start = time.thread_time()
    result = function(*arguments)
    return time.thread_time() - start, result


def _both(
    config: AdaptiveModelConfig, network: ExactMlp, frames: np.ndarray
) -> tuple[float, float, SegmentCost]:
    encode_s, cost = timed(measure_segment, config, network, frames)
    found = cost.analysis
    decode_s, decoded = timed(segment_frequencies, config, network, found.samples, found.lags)
    if sorted(decoded.ravel()) != sorted(cost.frequencies.ravel()):
        raise SystemExit("encoder and decoder disagree")
    return encode_s, decode_s, cost


def main() -> None:
    """Parses arguments, measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("audio", help="a WAV file")
    parser.add_argument("models", nargs="*", help="model files; none: untrained ones of all sets")
    parser.add_argument("--frames", type=int, default=2**18, help="of the file")
    arguments = parser.parse_args()
    frames, depth = read(arguments.audio, arguments.frames)
    models = trained(arguments.models) if arguments.models else untrained(depth)
    print(f"{'model':40}{'encode':>10}{'decode':>10} samples/s a core{'bits':>8}")
    for name, (config, network) in models.items():
        shift = config.depth - depth
        samples = frames << shift if shift > 0 else frames >> -shift
        _both(config, network, samples[:64])  # Compiles.
        encode_s, decode_s, cost = _both(config, network, samples)
        bits = (cost.bits.sum(dtype=np.float64) + cost.side_bits) / samples.size
        print(
            f"{name[-39:]:40}{samples.size / encode_s:10,.0f}{samples.size / decode_s:10,.0f}"
            f"{'':17}{bits:8.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
