"""Every number of an evaluation, computed once."""

import dataclasses
import json

import numpy as np
import pytest

from evaluation.report.compute_summary import summarize
from evaluation.report.summary import Interval
from evaluation.results import Bins, CodecScore
from tests.evaluation.report.made_up import evaluation, without

NO_BINS = Bins(edges=np.array([0.0, 1.0]), samples=np.array([0]), bits=np.array([0.0]))


def _score(bits, samples, **changes):
    content = {
        "codec": "FLAC -8",
        "version": "",
        "bits": np.array(bits, float),
        "container_bits": np.zeros(len(bits)),
        "samples": np.array(samples),
        "depth": np.full(len(bits), 8),
    }
    return CodecScore(**{**content, **changes})


def _two_files(**changes):
    """100 samples at 2 bits and 300 at 3."""
    content = {
        "samples": np.array([100, 300]),
        "model_bits": np.array([200.0, 900.0]),
        "by_position": NO_BINS,
        "by_loudness": NO_BINS,
    }
    depth = changes.get("depth", 8)
    found = evaluation(2, codecs=(), depth=depth, **content)
    return dataclasses.replace(found, **changes)


def test_the_model():
    model = summarize(_two_files(model_bytes=100)).model
    assert model.cost.bits_per_sample == 1100 / 400
    assert model.cost.ratio == 1100 / 400 / 8
    assert model.cost.mean_over_files == 2.5
    assert model.cost.per_file == [2.0, 3.0]
    assert model.with_model == (1100 + 800) / 400
    assert model.interval == Interval(low=2.0, high=3.0)
    assert summarize(_two_files(model_bytes=0)).model.with_model is None


def test_the_parts_of_its_cost():
    parts = {"high": np.array([50.0, 150.0]), "low": np.array([150.0, 750.0])}
    summary = summarize(_two_files(depth=16, cost_parts=parts))
    assert list(summary.cost_parts) == ["high", "low"]
    assert summary.cost_parts["high"].bits_per_sample == 0.5
    assert summary.cost_parts["low"].bits_per_sample == 1100 / 400 - 0.5
    assert summary.cost_parts["high"].bits_per_file == [50, 150]
    assert summary.model.cost.ratio == 1100 / 400 / 16


def test_one_part_is_the_whole_and_not_shown():
    assert summarize(_two_files(cost_parts={"all": np.array([200.0, 900.0])})).cost_parts == {}


def test_a_codec_beside_the_model():
    score = _score([300, 1200], [100, 300], container_bits=np.array([8.0, 32.0]))
    (codec,) = summarize(_two_files(codecs=(score,))).codecs
    assert (codec.cost.files, codec.cost.samples) == (2, 400)
    assert codec.cost.bits_per_sample == 1500 / 400
    assert codec.cost.with_container == 1540 / 400
    assert codec.cost.container_is_known
    assert codec.interval == Interval(low=3.0, high=4.0)
    against = codec.against_model
    assert against.model_bits_per_sample == 1100 / 400
    assert against.difference == against.interval.low == against.interval.high == -1
    assert against.relative == pytest.approx(1100 / 1500 - 1)
    assert against.per_file == [-1, -1]


def test_a_codec_that_cannot_take_a_file_is_compared_on_the_others():
    score = _score([np.nan, 1200], [100, 300])
    summary = summarize(_two_files(codecs=(score,)))
    (codec,) = summary.codecs
    assert (codec.cost.files, codec.cost.samples, codec.cost.bits_per_sample) == (1, 300, 4)
    assert codec.against_model.model_bits_per_sample == 3
    assert codec.against_model.difference == -1
    assert codec.against_model.per_file == [None, -1]
    assert codec.interval is codec.against_model.interval is None
    assert summary.model.cost.bits_per_sample == 1100 / 400


def test_a_codec_that_cannot_take_any_file_has_no_figure():
    score = _score([np.nan, np.nan], [100, 300], remark="not on the PATH")
    summary = summarize(_two_files(codecs=(score,)))
    (codec,) = summary.codecs
    assert codec.cost.files == 0 and codec.cost.bits_per_sample is codec.against_model is None
    assert codec.remark == "not on the PATH"
    assert summary.reference is None


def test_results_are_printed_in_a_line():
    score = _score([np.nan, 1200], [100, 300])
    assert repr(score) == "CodecScore('FLAC -8', 1 of 2 files, 4.000 bits per sample)"
    found = _two_files(codecs=(score,))
    assert repr(found) == (
        "Evaluation(2 files, 400 samples, 2.750 bits per sample; codecs: FLAC -8)"
    )


def test_a_container_that_cannot_be_separated_is_counted():
    score = _score([300, 1200], [100, 300], container_bits=np.array([8.0, np.nan]))
    (codec,) = summarize(_two_files(codecs=(score,))).codecs
    assert not codec.cost.container_is_known
    assert codec.cost.bits_per_sample == 1500 / 400
    assert codec.cost.with_container == 1508 / 400


def _native(bits, **changes):
    return _score(bits, [200, 600], depth=np.array([16, 24]), **changes)


def test_files_as_they_are_lead_where_the_model_codes_all_of_them():
    summary = summarize(
        _two_files(
            codecs=(_score([300, 1200], [100, 300]),),
            native=(_native([1000, 9000]), _native([np.nan, 9600], codec="xz")),
            compressed=_native([800, 7200], container_bits=np.array([8.0, 8.0])),
            model_bytes=100,
        )
    )
    model, flac = summary.model, summary.reference
    assert summary.native and summary.raw_depth is None and summary.samples == [200, 600]
    assert model.cost.bits_per_sample == 8000 / 800 and model.cost.with_container == 8016 / 800
    assert model.with_model == (8000 + 800) / 800
    assert model.read_cost.bits_per_sample == 1100 / 400
    assert flac.cost.bits_per_sample == 10_000 / 800
    assert flac.cost.ratio == 10_000 / (200 * 16 + 600 * 24)
    assert flac.read_cost.bits_per_sample == 1500 / 400
    assert flac.against_model.difference == pytest.approx(-2000 / 800)
    assert flac.against_model.per_file == [-1, -3]
    xz = next(codec for codec in summary.codecs if codec.name == "xz")
    assert xz.cost.files == 1 and xz.against_model.model_bits_per_sample == 7200 / 600
    order0 = next(coder for coder in summary.coders if coder.kind == "order0")
    assert order0.cost.bits_per_sample is None and order0.read_cost.bits_per_sample > 0


def test_figures_of_files_as_they_are_stand_side_by_side_only_over_the_same_files():
    codecs = (_score([300, 1200], [100, 300]), _score([300, 1300], [100, 300], codec="xz"))
    native = (_native([1000, 9000]), _native([np.nan, np.nan], codec="xz"))
    found = _two_files(codecs=codecs, native=native, compressed=_native([np.nan, 7200]))
    summary = summarize(found)
    flac, xz = summary.codecs
    assert not summary.native and summary.raw_depth == 8
    assert flac.cost.bits_per_sample == 1500 / 400
    assert (flac.native.files, flac.native.bits_per_sample) == (1, 9000 / 600)
    assert (summary.model.native.files, summary.model.native.bits_per_sample) == (1, 7200 / 600)
    assert xz.native is None
    # Beside no figure of the model, those of the codecs say nothing.
    for compressed in (_native([np.nan, np.nan]), None):
        summary = summarize(dataclasses.replace(found, compressed=compressed))
        assert all(coder.native is None for coder in summary.coders)


def test_a_codec_that_was_run_on_chunks_alone():
    summary = summarize(_two_files(chunked=(_score([300, 1200], [100, 300]),)))
    (codec,) = summary.codecs
    assert codec.cost.bits_per_sample is None and codec.cost.files == 0
    assert codec.chunked.bits_per_sample == 1500 / 400
    assert summary.model.chunked == summary.model.cost


def test_the_order_is_that_of_the_difference_from_the_model():
    found = evaluation(13)
    codecs = [*found.codecs[:4], without(found.codecs[4], list(range(13)))]
    # Only the files that are cheap for everybody: its bits are few, and it is no better for that.
    cheap = np.argsort(found.model_bits / found.samples)[:4]
    codecs[0] = without(codecs[0], [i for i in range(13) if i not in cheap])
    summary = summarize(dataclasses.replace(found, codecs=tuple(codecs)))
    names = [coder.name for coder in summary.coders]
    assert names[:2] == ["OptimFROG", "the model"]
    assert names[-2:] == ["order-0 entropy", "xz -9"]
    assert names.index("FLAC -8") > names.index("the model")
    flac = summary.coders[names.index("FLAC -8")]
    assert flac.cost.bits_per_sample < summary.model.cost.bits_per_sample


def test_per_file_and_per_bin_numbers_are_all_there():
    found = evaluation(3)
    summary = summarize(found)
    assert summary.model.cost.bits_per_file == found.model_bits.tolist()
    assert summary.samples == found.samples.tolist()
    flac = next(codec for codec in summary.codecs if codec.name == "FLAC -8")
    assert flac.cost.bits_per_file == found.codecs[0].bits.tolist()
    assert flac.cost.container_bits_per_file == found.codecs[0].container_bits.tolist()
    assert summary.by_position.bits == found.by_position.bits.tolist()
    assert summary.by_loudness.edges[:2] == [None, -96.0]
    empty = found.by_loudness.samples == 0
    assert empty.any()
    costs = np.array(summary.by_loudness.bits_per_sample, float)
    assert (np.isnan(costs) == empty).all()
    assert summary.skipped == [found.skipped[0]._asdict()]


@pytest.mark.parametrize(
    "found",
    [
        evaluation(1),
        evaluation(3, depth=16),
        evaluation(2, codecs=(), model_bytes=0),
        _two_files(samples=np.array([0, 0]), model_bits=np.zeros(2), order0_bits_per_sample=np.nan),
        _two_files(codecs=(_score([0, 0], [100, 300]),)),
        _two_files(names=("\udcff\n<b>", "2")),
    ],
)
def test_they_are_json_values(found):
    content = dataclasses.asdict(summarize(found))
    assert json.loads(json.dumps(content, allow_nan=False)) == content
