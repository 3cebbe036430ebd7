"""Every number of an evaluation, as JSON values."""

import dataclasses
import json

import numpy as np
import pytest

from evaluation.report.figures import figures, ranking
from evaluation.report.formatting import find
from evaluation.results import Bins, CodecScore
from tests.evaluation.report.made_up import evaluation, without

NO_BINS = Bins(edges=np.array([0.0, 1.0]), samples=np.array([0]), bits=np.array([0.0]))


def _codec(found, name):
    return next(codec for codec in found["codecs"] if codec["codec"] == name)


def _score(bits, samples, **changes):
    content = {
        "codec": "FLAC -8",
        "version": "",
        "bits": np.array(bits, float),
        "container_bits": np.zeros(len(bits)),
        "samples": np.array(samples),
        "raw_bits": np.full(len(bits), 8),
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
    raw_bits = changes.get("raw_bits", 8)
    found = evaluation(2, codecs=(), raw_bits=raw_bits, **content)
    return dataclasses.replace(found, **changes)


def test_the_model():
    model = figures(_two_files(model_bytes=100))["model"]
    assert model["bits_per_sample"] == 1100 / 400
    assert model["ratio"] == 1100 / 400 / 8
    assert model["mean_over_files"] == 2.5
    assert model["bits_per_sample_with_model"] == (1100 + 800) / 400
    assert model["ratio_with_model"] == (1100 + 800) / 400 / 8
    assert model["interval"] == {"low": 2.0, "high": 3.0}
    assert model["upper_byte_bits_per_sample"] is model["lower_byte_bits_per_sample"] is None


def test_the_bytes_of_16_bits():
    upper = np.array([50.0, 150.0])
    model = figures(_two_files(raw_bits=16, upper_byte_bits=upper))["model"]
    assert model["upper_byte_bits_per_sample"] == 0.5
    assert model["lower_byte_bits_per_sample"] == 1100 / 400 - 0.5
    assert model["ratio"] == 1100 / 400 / 16


def test_a_codec_beside_the_model():
    score = _score([300, 1200], [100, 300], container_bits=np.array([8.0, 32.0]))
    codec = figures(_two_files(codecs=(score,)))["codecs"][0]
    assert (codec["files"], codec["samples"]) == (2, 400)
    assert codec["bits_per_sample"] == 1500 / 400
    assert codec["bits_per_sample_with_container"] == 1540 / 400
    assert codec["container_is_known"]
    assert codec["interval"] == {"low": 3.0, "high": 4.0}
    against = codec["against_model"]
    assert against["model_bits_per_sample"] == 1100 / 400
    assert against["difference"] == against["interval"]["low"] == against["interval"]["high"] == -1
    assert against["relative"] == pytest.approx(1100 / 1500 - 1)
    assert against["per_file"] == [-1, -1]


def test_a_codec_that_cannot_take_a_file_is_compared_on_the_others():
    score = _score([np.nan, 1200], [100, 300])
    found = figures(_two_files(codecs=(score,)))
    codec = found["codecs"][0]
    assert (codec["files"], codec["samples"], codec["bits_per_sample"]) == (1, 300, 4)
    assert codec["against_model"]["model_bits_per_sample"] == 3
    assert codec["against_model"]["difference"] == -1
    assert codec["against_model"]["per_file"] == [None, -1]
    assert codec["interval"] is codec["against_model"]["interval"] is None
    assert found["model"]["bits_per_sample"] == 1100 / 400


def test_a_codec_that_cannot_take_any_file_has_no_figure():
    score = _score([np.nan, np.nan], [100, 300], remark="not on the PATH")
    codec = figures(_two_files(codecs=(score,)))["codecs"][0]
    assert codec["files"] == 0 and codec["bits_per_sample"] is None
    assert codec["against_model"]["difference"] is None
    assert codec["remark"] == "not on the PATH"


def test_a_container_that_cannot_be_told_apart_is_counted():
    score = _score([300, 1200], [100, 300], container_bits=np.array([8.0, np.nan]))
    codec = figures(_two_files(codecs=(score,)))["codecs"][0]
    assert not codec["container_is_known"]
    assert codec["bits_per_sample"] == 1500 / 400
    assert codec["bits_per_sample_with_container"] == 1508 / 400


def test_native_samples_have_their_own_number_and_depth():
    native = _score([1000, 9000], [200, 600], raw_bits=np.array([16, 24]))
    found = figures(_two_files(codecs=(_score([300, 1200], [100, 300]),), native=(native,)))
    assert found["codecs"][0]["native"]["bits_per_sample"] == 10_000 / 800
    assert found["codecs"][0]["native"]["ratio"] == 10_000 / (200 * 16 + 600 * 24)
    assert found["codecs"][0]["bits_per_sample"] == 1500 / 400


def test_a_codec_that_was_run_on_chunks_alone():
    found = figures(_two_files(chunked=(_score([300, 1200], [100, 300]),)))
    (codec,) = found["codecs"]
    assert codec["bits_per_sample"] is None and codec["files"] == 0
    assert codec["chunked"]["bits_per_sample"] == 1500 / 400


def test_the_order_is_that_of_the_difference_from_the_model():
    found = evaluation(13)
    codecs = [*found.codecs[:4], without(found.codecs[4], list(range(13)))]
    # Only the files that are cheap for everybody: its rate is low, and it is no better for that.
    cheap = np.argsort(found.model_bits / found.samples)[:4]
    codecs[0] = without(codecs[0], [i for i in range(13) if i not in cheap])
    result = figures(dataclasses.replace(found, codecs=tuple(codecs)))
    names = [
        find(result, f"{path}.codec") if path.startswith("codecs") else path
        for path in ranking(result)
    ]
    assert names[:2] == ["OptimFROG", "model"]
    assert names[-2:] == ["order0", "xz -9"]
    assert names.index("FLAC -8") > names.index("model")
    flac = _codec(result, "FLAC -8")
    assert flac["bits_per_sample"] < result["model"]["bits_per_sample"]


def test_per_file_and_per_bin_numbers_are_all_there():
    found = evaluation(3)
    result = figures(found)
    assert result["per_file"]["bits"] == found.model_bits.tolist()
    assert result["per_file"]["samples"] == found.samples.tolist()
    assert _codec(result, "FLAC -8")["per_file"]["bits"] == found.codecs[0].bits.tolist()
    assert result["by_position"]["bits"] == found.by_position.bits.tolist()
    assert result["by_loudness"]["edges"][:2] == [None, -96.0]
    empty = found.by_loudness.samples == 0
    assert empty.any()
    rates = np.array(result["by_loudness"]["bits_per_sample"], float)
    assert (np.isnan(rates) == empty).all()
    assert result["skipped"]["count"] == len(result["skipped"]["files"]) == 1


@pytest.mark.parametrize(
    "found",
    [
        evaluation(1),
        evaluation(3, raw_bits=16),
        evaluation(2, codecs=(), model_bytes=0),
        _two_files(samples=np.array([0, 0]), model_bits=np.zeros(2), symbol_counts=np.zeros(256)),
        _two_files(codecs=(_score([0, 0], [100, 300]),)),
        _two_files(names=("\udcff\n<b>", "2")),
    ],
)
def test_they_are_json_values(found):
    result = figures(found)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
