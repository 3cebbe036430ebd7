"""Computes every number of a report from an evaluation. N files."""

import dataclasses
import math

import numpy as np

from evaluation.report.summary import (
    BinsSummary,
    Coder,
    Comparison,
    Cost,
    Interval,
    Number,
    Numbers,
    Summary,
)
from evaluation.results import Bins, CodecScore, Evaluation
from evaluation.statistics import CONFIDENCE, DRAWS, bits_per_sample, bootstrap, mean_over_files


def summarize(evaluation: Evaluation) -> Summary:
    """Returns the numbers of a report on an evaluation."""
    native = _is_native(evaluation)
    model = _model(evaluation, native)
    scores = (*evaluation.codecs, *evaluation.chunked, *evaluation.native)
    # No codec need be in all three: a program encodes no chunks.
    names = dict.fromkeys(score.codec for score in scores)
    codecs = [_codec(name, evaluation, native) for name in names]
    parts = evaluation.cost_parts if len(evaluation.cost_parts) > 1 else {}
    own = evaluation.compressed if native else None
    depths = {evaluation.depth} if own is None else {*own.depth.tolist()}
    return Summary(
        names=list(evaluation.names),
        native=native,
        samples=(evaluation.samples if own is None else own.samples).tolist(),
        depth=evaluation.depth,
        raw_depth=depths.pop() if len(depths) == 1 else None,
        confidence=CONFIDENCE,
        draws=DRAWS,
        coders=sorted(
            [model, *codecs, _order0(evaluation, native)], key=lambda x: _excess(x, model)
        ),
        cost_parts={name: _model_cost(bits, evaluation) for name, bits in parts.items()},
        model_bytes=evaluation.model_bytes,
        wall_time_s=evaluation.wall_time_s,
        by_position=_bins(evaluation.by_position),
        by_loudness=_bins(evaluation.by_loudness),
        skipped=[skipped._asdict() for skipped in evaluation.skipped],
        noted=[noted._asdict() for noted in evaluation.noted],
        settings=evaluation.settings,
    )


def _excess(coder: Coder, model: Coder) -> float:
    """Bits per sample in excess of the model's, to sort by; coders without a figure come last."""
    if coder.kind == "codec":
        return -coder.against_model.difference if coder.against_model else math.inf
    own, others = coder.cost.bits_per_sample, model.cost.bits_per_sample
    return math.inf if own is None or others is None else own - others


def _is_native(evaluation: Evaluation) -> bool:
    """Whether the figures are those of the files as they are: `compress` can code all of them."""
    compressed = evaluation.compressed
    return compressed is not None and bool(np.isfinite(compressed.bits).all())


def _some_are_native(evaluation: Evaluation) -> bool:
    """Whether `compress` can code a file: beside no figure of the model, a codec's says nothing."""
    compressed = evaluation.compressed
    return compressed is not None and bool(np.isfinite(compressed.bits).any())


def _model(evaluation: Evaluation, native: bool) -> Coder:
    as_read, compressed = _model_cost(evaluation.model_bits, evaluation), evaluation.compressed
    cost, bits, samples = as_read, evaluation.model_bits, evaluation.samples
    if native and compressed:
        cost, bits, samples = _cost(compressed), compressed.bits, compressed.samples
    # As if the model file were one more file, without samples.
    counted = bits_per_sample(np.append(bits, 8 * evaluation.model_bytes), samples)
    return Coder(
        kind="model",
        name="the model",
        remark=compressed.remark if compressed else "",
        cost=cost,
        as_read=as_read if native else None,
        interval=_interval(bits, samples),
        chunked=as_read if evaluation.chunked else None,  # the model always codes chunk by chunk
        native=None if native else _on_common_files(compressed, evaluation),
        with_model=_number(counted) if evaluation.model_bytes else None,
    )


def _model_cost(bits: np.ndarray, evaluation: Evaluation) -> Cost:
    """Returns the cost of the model, or of a part of it: bits that are in no container."""
    score = CodecScore(
        codec="the model",
        version="",
        bits=bits,
        container_bits=np.zeros(len(bits)),
        samples=evaluation.samples,
        depth=np.full(len(bits), evaluation.depth),
    )
    return dataclasses.replace(_cost(score), with_container=None, container_bits_per_file=[])


def _order0(evaluation: Evaluation, native: bool) -> Coder:
    bits = evaluation.order0_bits_per_sample
    cost = Cost(bits_per_sample=_number(bits), ratio=_number(bits / evaluation.depth))
    if native:  # Of the files' own samples it is not known.
        return Coder(kind="order0", name="order-0 entropy", cost=Cost(), as_read=cost)
    return Coder(kind="order0", name="order-0 entropy", cost=cost)


def _codec(name: str, evaluation: Evaluation, is_native: bool) -> Coder:
    scores = (evaluation.codecs, evaluation.chunked, evaluation.native)
    whole, chunked, native = ({score.codec: score for score in x}.get(name) for x in scores)
    found = {"": whole, "each chunk alone, ": chunked}
    if _some_are_native(evaluation):
        found["native samples, "] = native
    # The first is that of the main table, if there is one.
    remarks = [label + score.remark for label, score in found.items() if score and score.remark]
    main = native if is_native else whole
    return Coder(
        kind="codec",
        name=name,
        version=next(score.version for score in (whole, chunked, native) if score),
        remark=(main.remark if main else "") or (remarks[0] if remarks else ""),
        cost=_cost(main) if main else Cost(),
        as_read=_cost(whole) if whole and is_native else None,
        interval=_interval(main.bits, main.samples) if main else None,
        against_model=_comparison(main, evaluation, is_native) if main else None,
        chunked=_cost(chunked) if chunked else None,
        native=None if is_native else _on_common_files(native, evaluation),
    )


def _on_common_files(score: CodecScore | None, evaluation: Evaluation) -> Cost | None:
    """Returns the cost of native samples, over the files that the model and all codecs can encode.

    Figures of different files say nothing side by side. Codecs that cannot encode any do not count.
    """
    scores = [x for x in (evaluation.compressed, *evaluation.native) if x is not None]
    able = [np.isfinite(x.bits) for x in scores if np.isfinite(x.bits).any()]
    if score is None or not _some_are_native(evaluation):
        return None
    common = np.logical_and.reduce(able)
    bits = np.where(common, score.bits, np.nan)
    return _cost(dataclasses.replace(score, bits=bits)) if np.isfinite(bits).any() else None


def _cost(score: CodecScore) -> Cost:
    taken = _taken(score.bits, score.samples)
    bits, container, samples = (x[taken] for x in (score.bits, score.container_bits, score.samples))
    raw_bits = (samples * score.depth[taken]).sum()
    # A container that cannot be separated is in `bits` already.
    with_container = bits_per_sample(bits + np.nan_to_num(container), samples)
    return Cost(
        files=len(bits),
        samples=int(samples.sum()),
        bits_per_sample=_number(bits_per_sample(bits, samples)),
        ratio=_number(bits.sum() / raw_bits if raw_bits else math.nan),
        mean_over_files=_number(mean_over_files(bits, samples)),
        with_container=_number(with_container),
        container_is_known=bool(np.isfinite(container).all()),
        per_file=_quotients(score.bits, score.samples),
        bits_per_file=_numbers(score.bits),
        container_bits_per_file=_numbers(score.container_bits),
    )


def _comparison(score: CodecScore, evaluation: Evaluation, native: bool) -> Comparison | None:
    taken = _taken(score.bits, score.samples)
    if not taken.any():
        return None
    compressed = evaluation.compressed if native else None
    model_bits = compressed.bits if compressed else evaluation.model_bits
    codec = bits_per_sample(score.bits[taken], score.samples[taken])
    model = bits_per_sample(model_bits[taken], score.samples[taken])
    return Comparison(
        model_bits_per_sample=model,
        difference=model - codec,
        relative=model / codec - 1 if codec else None,
        # Paired by file, see `bootstrap`.
        interval=_interval(model_bits - score.bits, score.samples),
        per_file=_quotients(model_bits - score.bits, score.samples),
    )


def _taken(bits: np.ndarray, samples: np.ndarray) -> np.ndarray:  # bool [N]
    return np.isfinite(bits) & (samples > 0)


def _interval(bits: np.ndarray, samples: np.ndarray) -> Interval | None:
    taken = _taken(bits, samples)
    bounds = bootstrap(bits[taken], samples[taken])
    return bounds and Interval(low=bounds[0], high=bounds[1])


def _bins(bins: Bins) -> BinsSummary:
    return BinsSummary(
        edges=_numbers(bins.edges),
        samples=bins.samples.tolist(),
        bits=_numbers(bins.bits),
        bits_per_sample=_numbers(bins.bits_per_sample),
    )


def _quotients(bits: np.ndarray, samples: np.ndarray) -> Numbers:
    with np.errstate(invalid="ignore", divide="ignore"):
        return _numbers(bits / samples)


def _numbers(array: np.ndarray) -> Numbers:
    return [_number(value) for value in array.tolist()]


def _number(value: float) -> Number:
    return float(value) if math.isfinite(value) else None
