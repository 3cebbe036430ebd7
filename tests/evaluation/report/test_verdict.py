"""The verdict is true whoever wins."""

import dataclasses

import numpy as np
import pytest

from evaluation.report.compute_summary import summarize
from evaluation.report.verdict import verdict
from tests.evaluation.report.made_up import evaluation, without


def _verdict(found):
    return verdict(summarize(found))


def _with(found, name, rate_more, files=None):
    """FLAC -8's bits are the model's and `rate_more` a sample."""
    bits = found.model_bits + np.broadcast_to(rate_more, len(found.samples)) * found.samples
    score = dataclasses.replace(found.codecs[0], codec=name, bits=bits)
    return dataclasses.replace(found, codecs=(without(score, files or []),))


def test_the_model_wins():
    found = evaluation(13, codecs=("FLAC -8",))
    text = _verdict(_with(found, "FLAC -8", 0.1 * found.bits_per_sample))
    rate = found.bits_per_sample
    assert text.startswith(f"On 13 files of held-out audio the model needs {rate:.3f} bits per ")
    assert f": 9.1% fewer than FLAC -8's {1.1 * rate:.3f}." in text
    assert "(95% interval over files " in text


def test_the_model_loses():
    found = evaluation(13, codecs=("FLAC -8",))
    text = _verdict(_with(found, "FLAC -8", -0.5 * found.bits_per_sample))
    assert f": 100% more than FLAC -8's {0.5 * found.bits_per_sample:.3f}." in text
    assert "clear" not in text


def test_a_tie_within_the_interval():
    found = evaluation(12, codecs=("FLAC -8",))
    text = _verdict(_with(found, "FLAC -8", np.tile([0.5, -0.5], 6)))
    assert "which is no clear difference: its interval, \N{MINUS SIGN}0." in text
    assert " to +0." in text and text.endswith(", includes zero.")


def test_exactly_as_many():
    assert ": as many as FLAC -8's " in _verdict(_with(evaluation(3), "FLAC -8", 0.0))


def test_one_file():
    text = _verdict(_with(evaluation(1), "FLAC -8", 1.0))
    assert text.startswith("On one file of held-out audio ")
    assert "interval" not in text and text.endswith(" One file is not representative of others.")


def test_a_codec_that_cannot_take_all_files():
    found = _with(evaluation(4), "FLAC -8", 1.0, files=[0])
    rate = found.model_bits[1:].sum() / found.samples[1:].sum()
    text = _verdict(found)
    assert f"FLAC -8 could encode 3 of the files; on these the model needs {rate:.3f}, " in text
    assert f" fewer than FLAC -8's {rate + 1:.3f}." in text


def test_no_codec():
    text = _verdict(evaluation(3, codecs=()))
    assert text.endswith(" of 8 bits. No other codec was measured.")


@pytest.mark.parametrize(
    ("codecs", "held_against"),
    [
        (("xz -9", "FLAC -5", "FLAC -8"), "FLAC -8"),
        (("OptimFROG", "FLAC -5"), "FLAC -5"),
        (("xz -9", "WavPack -hh -x"), "WavPack -hh -x"),
    ],
)
def test_flac_is_what_people_know(codecs, held_against):
    assert f" than {held_against}'s " in _verdict(evaluation(20, codecs=codecs))


def test_the_best_codec_is_named_where_it_is_another():
    text = _verdict(evaluation(20, codecs=("FLAC -8", "OptimFROG")))
    assert " The best of the codecs, OptimFROG, needs " in text
    assert "best" not in _verdict(evaluation(20, codecs=("FLAC -8", "xz -9")))


@pytest.mark.parametrize(
    ("split", "audio"),
    [("valid", "held-out audio"), ("train", "the audio it was trained on"), ("all", "audio")],
)
def test_it_says_what_audio(split, audio):
    text = _verdict(evaluation(3, settings={"split": split}))
    assert text.startswith(f"On 3 files of {audio} the model needs ")


def test_nothing_to_evaluate():
    nothing = evaluation(2, samples=np.zeros(2, np.int64), model_bits=np.zeros(2), codecs=())
    assert _verdict(nothing) == "There was no audio to evaluate the model on."
