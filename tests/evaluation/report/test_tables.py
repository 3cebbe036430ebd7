"""The table on the console."""

import dataclasses

import numpy as np
import pytest

from evaluation.report.compute_summary import summarize
from evaluation.report.tables import format_table
from tests.evaluation.report.made_up import evaluation, without


def _rows(found):
    """The cells of each row between the rules."""
    lines = format_table(summarize(found)).splitlines()
    begin, end = (i for i, line in enumerate(lines) if line and set(line) == {"-"})
    return [line.replace(" to ", "..").split() for line in lines[begin + 1 : end]]


def test_rows_are_in_the_order_of_their_rates():
    found = evaluation(13, codecs=("FLAC -8", "OptimFROG"), chunked=False, native=False)
    froggy, model, flac, order0 = _rows(found)
    assert froggy[0] == "OptimFROG†"
    assert model[:3] == [">", "the", "model"]
    assert flac[:2] == ["FLAC", "-8"]
    assert order0[:2] == ["order-0", "entropy"]
    rate = found.bits_per_sample
    counted = rate + 8 * found.model_bytes / found.samples.sum()
    assert model[3:5] == [f"{rate:.3f}", f"{rate / 8:.1%}"]
    assert model[-1] == f"{counted:.3f}"
    bits, container = found.codecs[0].bits.sum(), found.codecs[0].container_bits.sum()
    assert flac[2] == f"{bits / found.samples.sum():.3f}"
    assert flac[-1] == f"{(bits + container) / found.samples.sum():.3f}"


def test_the_model_codes_chunks_alone_anyway():
    model = next(row for row in _rows(evaluation(13)) if row[0] == ">")
    rate = f"{evaluation(13).bits_per_sample:.3f}"
    assert model[3] == model[6] == rate


@pytest.mark.parametrize(
    ("options", "absent"),
    [
        ({"chunked": False}, "chunk alone:"),
        ({"native": False}, "native"),
        ({"model_bytes": 0}, "model counted:"),
        ({"codecs": ()}, "container:"),
    ],
)
def test_columns_and_rules_that_hold_nothing_are_left_out(options, absent):
    assert absent in format_table(summarize(evaluation(4)))
    if "codecs" in options:
        options = {**options, "chunked": False, "native": False}
    assert absent not in format_table(summarize(evaluation(4, **options)))


def test_what_is_left_out_of_the_files_as_they_are():
    found = evaluation(4)
    text = format_table(summarize(found))
    assert (
        "native: over 3 of 4 files, which all of these can encode; the model cannot code 1" in text
    )
    lost = without(found.compressed, [0, 1, 2, 3], "4 of 4 files: samples of 16 bits")
    text = format_table(summarize(dataclasses.replace(found, compressed=lost)))
    assert "native: not shown; the model cannot code 4 of 4 files: samples of 16 bits." in text
    assert "native file" not in text


def test_files_as_they_are_are_the_only_figures_where_all_can_be_coded():
    found = evaluation(4, codecs=("FLAC -8",), chunked=False)
    found = dataclasses.replace(found, compressed=found.native[0])
    model, flac = _rows(found)
    rate = found.native[0].bits.sum() / found.samples.sum()
    assert model[3:5] == [f"{rate:.3f}", f"{rate / 16:.1%}"] and flac[2] == model[3]
    text = format_table(summarize(found))
    assert "of 16 bits: compressed over raw bits." in text and "native" not in text
    assert f"as the model reads: {found.bits_per_sample:.3f} bits per sample: after" in text


def test_one_file_has_no_interval():
    assert "interval" in format_table(summarize(evaluation(2)))
    assert "interval" not in format_table(summarize(evaluation(1)))


def test_what_is_to_be_known_of_single_codecs():
    found = evaluation(13)
    partial = without(found.codecs[1], [2, 5])
    lost = without(found.codecs[3], list(range(13)), "not on the\x1b[31m PATH")
    table = format_table(summarize(dataclasses.replace(found, codecs=(partial, lost))))
    kept = np.delete(np.arange(13), [2, 5])
    rate = found.model_bits[kept].sum() / found.samples[kept].sum()
    assert f"‡ FLAC -5 could encode 11 of 13 files; on these the model needs {rate:.3f}." in table
    assert "WavPack -hh -x: not on the\\x1b[31m PATH" in table


def test_it_fits_the_console():
    found = evaluation(13, depth=16, model_bytes=10**9)
    wide = dataclasses.replace(
        found.codecs[0], codec="a codec with a very long name " * 3, bits=5 * found.codecs[0].bits
    )
    table = format_table(summarize(dataclasses.replace(found, codecs=(*found.codecs, wide))))
    assert max(map(len, table.splitlines())) <= 100
    assert "a codec with a very …" in table
