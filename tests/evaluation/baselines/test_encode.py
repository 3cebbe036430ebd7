"""Which samples each codec encodes, and that every file it cannot encode is reported."""

import dataclasses
import os
import threading

import numpy as np
import pytest

from evaluation.baselines.encode import score_chunks, score_files
from evaluation.baselines.libraries import GZIP, XZ, ZSTD, Flac
from evaluation.baselines.pcm import CodecError, Encoded
from pipeline.catalogue.catalogue import build_catalogue
from pipeline.config import PipelineConfig
from pipeline.reading.chunk_index import Chunks
from pipeline.wav.encoding import Encoding
from tests.evaluation.baselines.signals import music, stream
from tests.wav_files import random_frames, write_wav

FILES = [  # name, encoding, frames, channels, sample rate
    ("a.wav", Encoding.S16, 5000, 2, 44100),
    ("b.wav", Encoding.U8, 999, 1, 8000),
    ("c.wav", Encoding.S24, 20, 1, 96000),
    ("d.wav", Encoding.F32, 300, 3, 44100),
    ("e.wav", Encoding.S16, 700, 9, 44100),
]


@pytest.fixture
def folder(tmp_path):
    for number, (name, encoding, frames, channels, sample_rate) in enumerate(FILES):
        write_wav(
            tmp_path / name,
            random_frames(encoding, frames, channels, number),
            encoding,
            sample_rate,
        )
    return tmp_path


@dataclasses.dataclass(frozen=True)
class Spy:
    """A codec that keeps what it is given, and needs 3 bytes a block and 7 for its header."""

    given: list = dataclasses.field(default_factory=list)
    key: str = "spy"
    name: str = "Spy"
    version: str = "spy 1"
    in_process: bool = True
    container: float = 7

    def encode(self, pcm, blocks):
        blocks = list(blocks)
        self.given.append((pcm, np.concatenate(blocks)))
        return Encoded(3 * len(blocks) + 7, self.container)


def config(**changes) -> PipelineConfig:
    return PipelineConfig(**{"chunk_size": 256, "batch_size": 3, **changes})


def test_native_samples_are_encoded(folder):
    spy = Spy()
    (score,) = score_files(build_catalogue([str(folder)]), [spy])
    given = {(pcm.sample_rate, pcm.channels): (pcm, samples) for pcm, samples in spy.given}
    for number, (_, encoding, frames, channels, sample_rate) in enumerate(FILES):
        pcm, samples = given[sample_rate, channels]
        native = random_frames(encoding, frames, channels, number)
        depth = {Encoding.U8: 8, Encoding.S24: 24, Encoding.F32: 32}.get(encoding, 16)
        assert (pcm.depth, pcm.frames) == (depth, frames)
        if not encoding.is_float:
            np.testing.assert_array_equal(samples, native.astype(int) - 128 * (depth == 8))

    assert (score.codec, score.version, score.remark) == ("Spy", "spy 1", "")
    assert score.depth.tolist() == [16, 8, 24, 32, 16]
    assert score.samples.tolist() == [10000, 999, 20, 900, 6300]
    assert score.bits.tolist() == [24] * 5
    assert score.container_bits.tolist() == [56] * 5


@pytest.mark.parametrize("depth", [8, 16, 24])
@pytest.mark.parametrize("downmix", [False, True])
def test_the_models_samples_are_encoded(folder, depth, downmix):
    spy = Spy()
    catalogue = build_catalogue([str(folder)]).select([0])
    (score,) = score_files(catalogue, [spy], config(depth=depth, downmix=downmix))
    frames = random_frames(Encoding.S16, 5000, 2, 0)
    expected = frames.sum(1, keepdims=True) >> 1 if downmix else frames
    ((pcm, samples),) = spy.given
    np.testing.assert_array_equal(samples, expected * 2**depth >> 16)
    assert (pcm.channels, pcm.depth) == (1 if downmix else 2, depth)
    assert score.samples.tolist() == [5000 if downmix else 10000]
    assert score.depth.tolist() == [depth]


def test_an_unknown_container_counts_in_the_whole(folder):
    (score,) = score_files(build_catalogue([str(folder)]), [Spy(container=np.nan)])
    assert score.bits.tolist() == [80] * 5
    assert np.isnan(score.container_bits).all()


def test_scores_are_the_codecs_own_in_their_order(tmp_path):
    samples = music(30_000, 2, 16)
    write_wav(tmp_path / "a.wav", samples, Encoding.S16)
    codecs = [XZ, Flac(level=8), ZSTD, Flac(level=5), GZIP]
    scores = score_files(build_catalogue([str(tmp_path)]), codecs)
    assert [score.codec for score in scores] == [codec.name for codec in codecs]
    for score, codec in zip(scores, codecs, strict=True):
        total, container = codec.encode(*stream(samples, 16))
        assert (score.bits[0], score.container_bits[0]) == (8 * (total - container), 8 * container)


def test_what_a_codec_cannot_take_is_nan_with_a_remark(folder):
    scores = score_files(build_catalogue([str(folder)]), [Flac(level=5), GZIP])
    assert np.isnan(scores[0].bits).tolist() == [False, False, False, True, True]
    assert scores[0].remark.split("; ") == [
        "1 of 5 files: libsndfile encodes FLAC of at most 24 bits a sample",
        "1 of 5 files: FLAC has at most 8 channels",
    ]
    assert np.isfinite(scores[1].bits).all()
    assert scores[1].remark == ""


def test_remarks_are_counted_and_bounded(tmp_path):
    class Picky(Spy):
        def encode(self, pcm, blocks):
            raise CodecError("it is odd" if pcm.frames % 2 else f"{pcm.frames} frames")

    for frames in range(1, 16):
        write_wav(tmp_path / f"{frames}.wav", np.zeros((frames, 1)), Encoding.S16)
    (score,) = score_files(build_catalogue([str(tmp_path)]), [Picky()])
    assert np.isnan(score.bits).all()
    remarks = score.remark.split("; ")
    assert remarks[0] == "8 of 15 files: it is odd"
    assert remarks[-1] == "3 of 15 files: other reasons"
    assert len(remarks) == 6


@pytest.mark.parametrize("chunked", [False, True])
def test_a_file_that_cannot_be_read_any_more_is_named(folder, chunked):
    catalogue = build_catalogue([str(folder)]).select([0, 1, 2])
    os.remove(folder / "b.wav")
    if chunked:
        scores = score_chunks(Chunks(catalogue=catalogue, config=config()), [Spy(), GZIP])
    else:
        scores = score_files(catalogue, [Spy(), GZIP], config())
    for score in scores:
        assert np.isnan(score.bits).tolist() == [False, True, False]
        assert score.remark.startswith("1 of 3 files: ")
        assert "b.wav' can no longer be read: No such file" in score.remark
        assert score.samples.tolist() == [5000, 999, 20]


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("downmix", [False, True])
def test_every_chunk_is_a_stream(folder, depth, downmix):
    spy = Spy()
    settings = config(depth=depth, downmix=downmix, stereo_blocking_n=64)
    chunks = Chunks(catalogue=build_catalogue([str(folder)]), config=settings)
    (score,) = score_chunks(chunks, [spy], num_threads=1)

    channels = np.array([1] * 5 if downmix else [2, 1, 1, 3, 9])
    samples = np.array([5000, 999, 20, 300, 700]) * channels
    counts = -(-samples // 256)
    assert score.samples.tolist() == samples.tolist()
    assert score.bits.tolist() == (24 * counts).tolist()
    assert score.container_bits.tolist() == (56 * counts).tolist()
    assert score.depth.tolist() == [depth] * 5

    sample_rates = np.repeat([file[-1] for file in FILES], counts)
    lengths = [min(256, total - start) for total in samples for start in range(0, total, 256)]
    assert [(pcm.sample_rate, pcm.channels) for pcm, _ in spy.given] == [
        (sample_rate, 1) for sample_rate in sample_rates
    ]
    assert [given.shape for _, given in spy.given] == [(length, 1) for length in lengths]
    assert [pcm.frames for pcm, _ in spy.given] == lengths

    whole = Spy()  # Without blocking, the chunks of a file are its samples in order.
    score_files(chunks.catalogue, [whole], settings, num_threads=1)
    streams = iter(given for _, given in spy.given)
    for (_, expected), count, kept in zip(whole.given, counts, channels, strict=True):
        joined = np.concatenate([next(streams) for _ in range(count)])
        if kept == 1:
            np.testing.assert_array_equal(joined, expected)
        else:
            np.testing.assert_array_equal(np.sort(joined[:, 0]), np.sort(expected, axis=None))
            np.testing.assert_array_equal(joined[:64, 0], expected[:64, 0])


def test_programs_are_left_out_of_chunks(folder):
    chunks = Chunks(catalogue=build_catalogue([str(folder)]), config=config())
    scores = score_chunks(chunks, [GZIP, Spy(in_process=False), ZSTD])
    assert [score.codec for score in scores] == ["gzip -9", "zstd -19"]


@pytest.mark.parametrize("chunked", [False, True])
def test_threads_do_not_matter_and_progress_is_reported(folder, chunked):
    catalogue = build_catalogue([str(folder)])
    codecs = [Flac(level=5), GZIP]
    seen = []

    def score(num_threads):
        def progress(items, total):
            seen.append((total, 0))
            for item in items:
                seen[-1] = total, seen[-1][1] + 1
                yield item

        if not chunked:
            return score_files(catalogue, codecs, None, progress, num_threads)
        return score_chunks(
            Chunks(catalogue=catalogue, config=config()), codecs, progress, num_threads
        )

    for one, many in zip(score(1), score(7), strict=True):
        np.testing.assert_array_equal(one.bits, many.bits)
        np.testing.assert_array_equal(one.container_bits, many.container_bits)
        assert one.remark == many.remark
    total = 20 + 4 + 1 + 2 + 3 if chunked else 10
    assert seen == [(total, total)] * 2


def test_an_error_of_our_own_ends_it(folder):
    class Broken(Spy):
        def encode(self, pcm, blocks):
            raise TypeError("a bug")

    threads = threading.active_count()
    with pytest.raises(TypeError, match="a bug"):
        score_files(build_catalogue([str(folder)]), [Broken()])
    assert threading.active_count() <= threads
