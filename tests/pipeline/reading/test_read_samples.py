"""What other codecs are given is what the model sees."""

import os

import numpy as np
import pytest

from pipeline.catalogue.catalogue import build_catalogue
from pipeline.config import PipelineConfig
from pipeline.dataset import make_dataset
from pipeline.reading.chunk_index import Chunks
from pipeline.reading.read_chunks import is_scored
from pipeline.reading.read_samples import depth_of, read_samples
from pipeline.transforms import unblock
from pipeline.wav.encoding import Encoding
from tests.wav_files import random_frames, write_wav

pytestmark = pytest.mark.both_stacks

RNG = np.random.default_rng(0)


@pytest.fixture(params=[Encoding.U8, Encoding.S16, Encoding.S24, Encoding.S32])
def stereo(request, tmp_path):
    depth = 8 * request.param.bytes_per_sample
    low = 0 if depth == 8 else -(2 ** (depth - 1))
    frames = RNG.integers(low, low + 2**depth, (1001, 2))
    write_wav(tmp_path / "a.wav", frames, request.param)
    native = frames - 128 if depth == 8 else frames
    return build_catalogue([os.fspath(tmp_path)]), native, depth


def test_native_samples_are_the_files_own(stereo):
    catalogue, native, depth = stereo
    blocks = list(read_samples(catalogue, 0, block_bytes=1000))
    assert len(blocks) > 1
    np.testing.assert_array_equal(np.concatenate(blocks), native)
    assert depth_of(catalogue, 0) == depth


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("downmix", [False, True])
def test_samples_are_those_of_the_models_batches(stereo, depth, downmix):
    catalogue, _, _ = stereo
    config = PipelineConfig(
        chunk_size=64, batch_size=2, stereo_blocking_n=16, depth=depth, downmix=downmix
    )
    batches = make_dataset(
        Chunks(catalogue=catalogue, config=config), one_pass=True, shuffle=False
    ).as_numpy_iterator()
    stream = np.concatenate([batch["samples"][is_scored(batch)] for batch in batches])
    expected = unblock(stream, 16, 1 if downmix else 2)
    actual = np.concatenate(list(read_samples(catalogue, 0, config, block_bytes=1000)))
    np.testing.assert_array_equal(actual, expected)
    assert depth_of(catalogue, 0, config) == depth


@pytest.mark.parametrize("encoding", [Encoding.ALAW, Encoding.MULAW, Encoding.F64, Encoding.F32_BE])
def test_native_floats_are_32_bit_integers_and_g711_16(tmp_path, encoding):
    frames = random_frames(encoding, 100, 2)
    write_wav(tmp_path / "a.wav", frames, encoding)
    catalogue = build_catalogue([os.fspath(tmp_path)])
    native = np.round(frames.astype(np.float64) * 2**31) if encoding.is_float else frames
    np.testing.assert_array_equal(np.concatenate(list(read_samples(catalogue, 0))), native)
    assert depth_of(catalogue, 0) == (32 if encoding.is_float else 16)


def test_a_file_that_has_gone_is_named(stereo):
    catalogue, _, _ = stereo
    os.remove(catalogue.paths[0])
    with pytest.raises(OSError, match=r"a\.wav' can no longer be read: No such file"):
        next(read_samples(catalogue, 0))
