"""What other codecs are given is what the model sees."""

import os

import numpy as np
import pytest

from pipeline.catalogue.catalogue import build_catalogue
from pipeline.config import PipelineConfig
from pipeline.dataset import make_dataset
from pipeline.reading import read_samples as samples
from pipeline.reading.chunks import Chunks
from pipeline.transforms import unblock
from pipeline.wav.header import Encoding
from tests.wav_files import write_wav

RNG = np.random.default_rng(0)


@pytest.fixture(params=[Encoding.U8, Encoding.S16, Encoding.S24, Encoding.S32])
def stereo(request, tmp_path):
    depth = 8 * request.param.bytes_per_sample
    low = 0 if depth == 8 else -(2 ** (depth - 1))
    frames = RNG.integers(low, low + 2**depth, (1001, 2))
    write_wav(tmp_path / "a.wav", frames, request.param)
    native = frames - 128 if depth == 8 else frames
    return build_catalogue([os.fspath(tmp_path)]), native, depth


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(samples, "_BLOCK_BYTES", 1000)


def test_native_samples_are_the_files_own(stereo):
    catalogue, native, depth = stereo
    blocks = list(samples.read_samples(catalogue, 0))
    assert len(blocks) > 1
    np.testing.assert_array_equal(np.concatenate(blocks), native)
    assert samples.depth_of(catalogue, 0) == depth


@pytest.mark.parametrize("use_16bit", [False, True])
@pytest.mark.parametrize("downmix", [False, True])
def test_the_models_samples_are_its_symbols(stereo, use_16bit, downmix):
    catalogue, _, _ = stereo
    config = PipelineConfig(
        chunk_size=64, batch_size=2, stereo_blocking_n=16, use_16bit=use_16bit, downmix=downmix
    )
    batches = make_dataset(
        Chunks(catalogue=catalogue, config=config), one_pass=True, shuffle=False
    ).as_numpy_iterator()
    symbols, lengths = zip(*((b["symbols"][0], b["lengths"][0]) for b in batches), strict=True)
    rows = zip(np.concatenate(symbols), np.concatenate(lengths), strict=True)
    stream = np.concatenate([row[:length] for row, length in rows])
    expected = unblock(stream.astype(np.int32), 16, 1 if downmix else 2)
    actual = np.concatenate(list(samples.read_samples(catalogue, 0, config)))
    np.testing.assert_array_equal(actual + 2 ** (config.bits - 1), expected)
    assert samples.depth_of(catalogue, 0, config) == config.bits


def test_a_file_that_has_gone_is_named(stereo):
    catalogue, _, _ = stereo
    os.remove(catalogue.paths[0])
    with pytest.raises(OSError, match=r"a\.wav' cannot be read any more: No such file"):
        next(samples.read_samples(catalogue, 0))
