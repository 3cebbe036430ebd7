"""The real size of the compressed files."""

import numpy as np
import pytest

import codec
from evaluation.compressed import score_compressed
from pipeline.catalogue.catalogue import build_catalogue
from tests.codec.models import small_model
from tests.models.exact.test_stream import stereo
from tests.wav_files import Encoding, write_wav


@pytest.fixture
def folder(tmp_path):
    write_wav(tmp_path / "a.wav", stereo(900), Encoding.S16)
    write_wav(tmp_path / "b.wav", stereo(500)[:, :1] / 2**15, Encoding.F32)
    write_wav(tmp_path / "c.wav", stereo(700), Encoding.S16)
    return tmp_path


def test_it_is_what_compress_writes(folder):
    score = score_compressed(build_catalogue([str(folder)]), small_model(), 400)
    for file, name in enumerate("abc"):
        packed = codec.compress(folder / f"{name}.wav", small_model(), segment=400)
        assert score.bits[file] + score.container_bits[file] == 8 * len(packed)
        assert 0 < score.container_bits[file] < 8 * (64 + 3 * 24)
    np.testing.assert_array_equal(score.samples, [1800, 500, 1400])
    np.testing.assert_array_equal(score.depth, [16, 32, 16])
    assert score.remark == ""


def test_files_that_the_model_does_not_code_have_no_size(folder):
    """It would be that of LZMA, which `compress` falls back to only where no model codes them."""
    write_wav(folder / "d.wav", stereo(900) * 300, Encoding.S24)
    score = score_compressed(build_catalogue([str(folder)]), small_model(), 400)
    assert np.isnan(score.bits).tolist() == [False, False, False, True]
    assert score.remark == "1 of 4 files: samples of 24 bits, expected at most 16"


def test_what_cannot_be_compressed_is_left_out(folder):
    catalogue = build_catalogue([str(folder)])
    (folder / "a.wav").unlink()
    part = catalogue.stretches(np.zeros(3, np.int64), np.array([900, 500, 300]))
    score = score_compressed(part, small_model(), 400)
    assert np.isnan(score.bits).tolist() == [True, False, True]
    assert score.remark.startswith("2 of 3 files: ")
