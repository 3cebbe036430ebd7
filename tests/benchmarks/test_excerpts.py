"""The excerpts that are measured on."""

import json

import numpy as np
import soundfile

from benchmarks.excerpts import LIST, make_excerpt
from tests.pages import ROOT

SIZES = (("long", 130_000), ("short", 20_000), ("last", 125_000))


def test_an_excerpt_has_the_beginnings_of_files_one_after_the_other(tmp_path):
    rng = np.random.default_rng(0)
    files = {name: rng.integers(-99, 99, (frames, 2)).astype(np.int16) for name, frames in SIZES}
    for name, frames in files.items():
        soundfile.write(tmp_path / f"{name}.wav", frames, 10_000, "PCM_16")
    excerpt, rate = make_excerpt(tmp_path, list(files))
    expected = np.concatenate([files["long"][:120_000], files["short"], files["last"][:120_000]])
    assert rate == 10_000
    np.testing.assert_array_equal(excerpt, expected[:250_000])


def test_none_of_the_excerpts_files_was_trained_on():
    trained_on = set((ROOT / "models/shipped/recordings.txt").read_text().split("\n"))
    excerpts = json.loads(LIST.read_text())
    assert len(excerpts) == 12
    measured_on = {
        f"{folder}/{stem}.wav" for folder, one in excerpts.items() for stem in one["files"]
    }
    assert len(measured_on) == 216 and not measured_on & trained_on
    assert {name.split("/")[0] for name in trained_on} >= excerpts.keys() - {
        "env44k_maad_spinetail"  # A single file.
    }
