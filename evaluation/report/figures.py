"""Every number that an evaluation is shown with, as one dict of JSON values.

Report, console table and plots show what is in here and compute nothing, so that `report.json`
holds all that they say. None stands for what is not known; JSON has no NaN. N files, K bins.
"""

import math
from typing import Any

import numpy as np

from evaluation.results import Bins, CodecScore, Evaluation
from evaluation.statistics import (
    CONFIDENCE,
    DRAWS,
    bootstrap,
    mean_over_files,
    order0_bits_per_sample,
    rate,
)

Figures = dict[str, Any]


def figures(evaluation: Evaluation) -> Figures:
    """Returns the numbers of an evaluation.

    Rates are in bits per sample. Of a codec, `bits_per_sample` and its neighbours are over the
    files that it could take, `files` of them, and `against_model` has the model's rate on the very
    same ones; `chunked` and `native` hold the same for other rules. The codecs are in the order of
    their difference from the model, best first, which is the order of their rates where each took
    every file. Lists under `per_file` are in the order of its `names`. The lowest edge of
    `by_loudness` is None, for -inf.
    """
    codecs = [_codec(name, evaluation) for name in _codec_names(evaluation)]
    return {
        "files": len(evaluation.names),
        "samples": int(evaluation.samples.sum()),
        "raw_bits": evaluation.raw_bits,
        "interval": {"confidence": CONFIDENCE, "draws": DRAWS},
        "model": _model(evaluation),
        "order0": _order0(evaluation),
        "codecs": sorted(codecs, key=_distance),
        "by_position": _bins(evaluation.by_position),
        "by_loudness": _bins(evaluation.by_loudness),
        "per_file": {
            "names": list(evaluation.names),
            "samples": evaluation.samples.tolist(),
            "bits": _numbers(evaluation.model_bits),
            "bits_per_sample": _rates(evaluation.model_bits, evaluation.samples),
            "upper_byte_bits": (
                None if evaluation.upper_byte_bits is None else _numbers(evaluation.upper_byte_bits)
            ),
        },
        "skipped": {
            "count": len(evaluation.skipped),
            "files": [skipped._asdict() for skipped in evaluation.skipped],
        },
        "settings": evaluation.settings,
    }


def ranking(figures: Figures) -> list[str]:
    """Returns the paths of what is compared, such as "codecs.0" and "model", best first."""
    model, order0 = (figures[name]["bits_per_sample"] for name in ("model", "order0"))
    distances = {f"codecs.{i}": _distance(codec) for i, codec in enumerate(figures["codecs"])}
    if None not in (model, order0):
        distances["order0"] = order0 - model
    return sorted(["model", *distances], key=lambda path: distances.get(path, 0.0))


def _distance(codec: Figures) -> float:
    """How many bits per sample more than the model; at the end what took no file."""
    difference = codec["against_model"]["difference"]
    return math.inf if difference is None else -difference


def _model(evaluation: Evaluation) -> Figures:
    bits, samples, upper = evaluation.model_bits, evaluation.samples, evaluation.upper_byte_bits
    bytes_per_sample = 8 * evaluation.model_bytes / max(1, int(samples.sum()))
    counted = rate(bits, samples) + bytes_per_sample if evaluation.model_bytes else math.nan
    return {
        "bits_per_sample": _number(rate(bits, samples)),
        "ratio": _number(rate(bits, samples) / evaluation.raw_bits),
        "interval": _interval(bits, samples),
        "mean_over_files": _number(mean_over_files(bits, samples)),
        "upper_byte_bits_per_sample": None if upper is None else _number(rate(upper, samples)),
        "lower_byte_bits_per_sample": (
            None if upper is None else _number(rate(bits - upper, samples))
        ),
        # The "adjusted" rate of Delétang et al., Language Modeling Is Compression, 2024, table 1.
        "bytes": evaluation.model_bytes or None,
        "bits_per_sample_with_model": _number(counted),
        "ratio_with_model": _number(counted / evaluation.raw_bits),
        "seconds": _number(evaluation.seconds),
    }


def _order0(evaluation: Evaluation) -> Figures:
    entropy = order0_bits_per_sample(evaluation.symbol_counts)
    return {"bits_per_sample": _number(entropy), "ratio": _number(entropy / evaluation.raw_bits)}


def _codec_names(evaluation: Evaluation) -> list[str]:
    scores = (*evaluation.baselines, *evaluation.chunked, *evaluation.native)
    return list(dict.fromkeys(score.codec for score in scores))


def _codec(name: str, evaluation: Evaluation) -> Figures:
    whole, chunked, native = (
        next((score for score in scores if score.codec == name), None)
        for scores in (evaluation.baselines, evaluation.chunked, evaluation.native)
    )
    known = [score for score in (whole, chunked, native) if score]
    columns = (("", whole), ("each chunk alone, ", chunked), ("native samples, ", native))
    remarks = [label + score.remark for label, score in columns if score and score.remark]
    whole_figures = _score(whole) if whole else dict.fromkeys(_score(known[0]))
    return {
        "codec": name,
        "version": known[0].version,
        "remark": remarks[0] if remarks else "",
        **whole_figures,
        "files": whole_figures["files"] or 0,
        **_against_model(whole, evaluation),
        "chunked": _score(chunked) if chunked else None,
        "native": _score(native) if native else None,
    }


def _score(score: CodecScore) -> Figures:
    taken = _taken(score)
    bits, samples = score.bits[taken], score.samples[taken]
    container = score.container_bits[taken]
    raw_bits = (samples * score.raw_bits[taken]).sum()
    return {
        "files": int(taken.sum()),
        "samples": int(samples.sum()),
        "bits_per_sample": _number(rate(bits, samples)),
        "ratio": _number(bits.sum() / raw_bits if raw_bits else math.nan),
        "mean_over_files": _number(mean_over_files(bits, samples)),
        # Where the container cannot be told apart it is in `bits` already.
        "bits_per_sample_with_container": _number(rate(bits + np.nan_to_num(container), samples)),
        "container_is_known": bool(np.isfinite(container).all()),
        "per_file": {
            "bits": _numbers(score.bits),
            "container_bits": _numbers(score.container_bits),
            "samples": score.samples.tolist(),
            "bits_per_sample": _rates(score.bits, score.samples),
        },
    }


def _against_model(score: CodecScore | None, evaluation: Evaluation) -> Figures:
    """The codec's interval, and the model less the codec, on the files that the codec took."""
    if score is None or not _taken(score).any():
        comparison = ("model_bits_per_sample", "difference", "relative", "interval")
        return {"interval": None, "against_model": dict.fromkeys((*comparison, "per_file"))}
    taken = _taken(score)
    bits, samples, model_bits = (
        score.bits[taken],
        score.samples[taken],
        evaluation.model_bits[taken],
    )
    codec_rate, model_rate = rate(bits, samples), rate(model_bits, samples)
    return {
        "interval": _interval(bits, samples),
        "against_model": {
            "model_bits_per_sample": _number(model_rate),
            "difference": _number(model_rate - codec_rate),
            "relative": _number(model_rate / codec_rate - 1 if codec_rate else math.nan),
            "interval": _interval(model_bits - bits, samples),
            "per_file": _rates(evaluation.model_bits - score.bits, evaluation.samples),
        },
    }


def _taken(score: CodecScore) -> np.ndarray:  # bool [N]
    return np.isfinite(score.bits) & (score.samples > 0)


def _interval(bits: np.ndarray, samples: np.ndarray) -> Figures | None:
    interval = bootstrap(bits, samples)
    return interval and {"low": _number(interval[0]), "high": _number(interval[1])}


def _bins(bins: Bins) -> Figures:
    return {
        "edges": _numbers(bins.edges),
        "samples": bins.samples.tolist(),
        "bits": _numbers(bins.bits),
        "bits_per_sample": _rates(bins.bits, bins.samples),
    }


def _rates(bits: np.ndarray, samples: np.ndarray) -> list[float | None]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return _numbers(bits / samples)


def _numbers(array: np.ndarray) -> list[float | None]:
    return [_number(value) for value in array.tolist()]


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
