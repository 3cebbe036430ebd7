"""Evaluations that nobody made: their numbers are drawn, not measured. N files, K bins."""

import numpy as np

from evaluation.results import Bins, CodecScore, Evaluation
from pipeline.catalogue.catalogue import Skipped

# Bits per sample more than the model's, container bits a file (None: cannot be told apart).
CODECS = {
    "FLAC -8": (0.28, 8_600),
    "FLAC -5": (0.33, 8_600),
    "OptimFROG": (-0.06, None),
    "WavPack -hh -x": (0.19, 400),
    "xz -9": (1.4, None),
}


def evaluation(
    files: int = 13,
    *,
    depth: int = 8,
    codecs: tuple[str, ...] = tuple(CODECS),
    chunked: bool = True,
    native: bool = True,
    hard: float = 0.0,
    seed: int = 1,
    **changes: object,
) -> Evaluation:
    """Returns an evaluation whose model is `hard` bits per sample worse than usual."""
    rng = np.random.default_rng(seed)
    samples = rng.integers(40_000, 400_000, files)
    rates = rng.gamma(9, 0.23, files) * depth / 8
    bits = (rates + hard) * samples
    scores = tuple(_score(name, rates, samples, depth, rng) for name in codecs)
    content = {
        "names": tuple(f"speaker_{i % 4}/take_{i:03}.wav" for i in range(files)),
        "samples": samples,
        "model_bits": bits,
        "depth": depth,
        "by_position": _by_position(samples.sum(), bits.sum()),
        "by_loudness": _by_loudness(samples.sum(), bits.sum(), rng),
        "cost_parts": {"upper byte": 0.2 * bits, "lower byte": 0.8 * bits} if depth == 16 else {},
        "order0_bits_per_sample": 0.72 * depth,
        "codecs": scores,
        "chunked": tuple(_worse(score, 0.1) for score in scores[:3]) if chunked else (),
        "native": tuple(_worse(score, 6.0, depth=16) for score in scores) if native else (),
        # One file is not coded as it is: otherwise the figures are those of the files as they are.
        "compressed": without(_worse(scores[0], 5.0, depth=16), [0], "1 file: it is mu-law")
        if native and scores and files > 1
        else None,
        "skipped": (Skipped("/audio/notes.wav", "not a WAV file: it begins with b'ID3'"),),
        "model_bytes": 412_345,
        "settings": {
            "model": "runs/speech/audio_model.npz",
            "folders": ["/audio/speech"],
            "split": "valid",
            "pipeline.chunk_size": 2048,
            "pipeline.downmix": True,
            "pipeline.depth": depth,
        },
        "wall_time_s": 83.2,
    }
    return Evaluation(**{**content, **changes})  # type: ignore[arg-type]


def _score(
    name: str, rates: np.ndarray, samples: np.ndarray, depth: int, rng: np.random.Generator
) -> CodecScore:
    more, container = CODECS[name]
    noise = rng.normal(0, 0.1, len(samples))
    return CodecScore(
        codec=name,
        version="made up 1.0",
        bits=np.rint(np.maximum(rates + more + noise, 0.01) * samples),
        container_bits=np.full(len(samples), np.nan if container is None else container),
        samples=samples,
        depth=np.full(len(samples), depth),
    )


def _worse(score: CodecScore, bits: float, depth: int | None = None) -> CodecScore:
    return CodecScore(
        codec=score.codec,
        version=score.version,
        bits=score.bits + np.rint(bits * score.samples),
        container_bits=score.container_bits,
        samples=score.samples,
        depth=score.depth if depth is None else np.full(len(score.samples), depth),
    )


def without(score: CodecScore, files: list[int], remark: str = "") -> CodecScore:
    """Returns the score of a codec that cannot take these files."""
    bits = score.bits.copy()
    bits[files] = np.nan
    return CodecScore(
        codec=score.codec,
        version=score.version,
        bits=bits,
        container_bits=score.container_bits,
        samples=score.samples,
        depth=score.depth,
        remark=remark,
    )


def _by_position(samples: int, bits: float) -> Bins:
    edges = np.unique([0, *(2.0 ** (np.arange(44) / 4)).astype(int), 2048]).astype(float)
    share = np.diff(edges) / 2048
    rate = 1 + 2.2 * (edges[:-1] + 1) ** -0.5
    return Bins(
        edges=edges,
        samples=(samples * share).astype(np.int64),
        bits=bits * share * rate / (share * rate).sum(),
    )


def _by_loudness(samples: int, bits: float, rng: np.random.Generator) -> Bins:
    edges = np.array([-np.inf, *range(-96, 1, 6)], float)
    middle = edges[1:] - 3
    share = np.exp(-(((middle + 30) / 14) ** 2))
    share[(middle < -60) | (middle > -6)] = 0
    share[0] = 0.04
    share /= share.sum()
    rate = np.maximum(0.05, (middle + 70) / 20)
    return Bins(
        edges=edges,
        samples=(samples * share).astype(np.int64),
        bits=bits * share * rate / (share * rate).sum(),
    )
