"""Chunks are numbered through the files, and each is read as the file has it."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from pipeline.catalogue.catalogue import Catalogue, build_catalogue
from pipeline.config import PipelineConfig
from pipeline.reading.chunk_index import Chunks
from pipeline.reading.read_chunks import corpus_formats, read_chunks
from pipeline.reading.read_plan import file_columns, plan_reads
from pipeline.wav.encoding import Encoding
from tests.files import make_files
from tests.wav_files import random_frames, write_wav

pytestmark = pytest.mark.both_stacks


def catalogue(files, encoding=Encoding.S16) -> Catalogue:
    """Files that do not exist; each is (frames, channels)."""
    paths = [f"/root/{number}.wav" for number in range(len(files))]
    frames, channels = np.array(files, np.int64).reshape(-1, 2).T
    return Catalogue(files=make_files(paths, frames, channels, encoding))


def config(**changes) -> PipelineConfig:
    return PipelineConfig(**{"chunk_size": 10, "stereo_blocking_n": 4, **changes})


@pytest.mark.parametrize(
    ("downmix", "counts", "samples"), [(True, [1, 1, 2, 2], 45), (False, [1, 2, 3, 6], 108)]
)
def test_chunks_are_numbered_through_the_files(downmix, counts, samples):
    files = [(1, 1), (10, 2), (15, 2), (19, 3)]
    chunks = Chunks(catalogue=catalogue(files), config=config(downmix=downmix))
    owners = [
        (f"/root/{file}.wav", number)
        for file, count in enumerate(counts)
        for number in range(count)
    ]
    assert len(chunks) == sum(counts)
    assert [chunks.locate(chunk) for chunk in range(len(chunks))] == owners
    assert chunks.num_samples == samples


def test_an_empty_catalogue_has_no_chunks():
    chunks = Chunks(catalogue=catalogue([]), config=config())
    assert (len(chunks), chunks.num_samples) == (0, 0)


def plan(chunks: Chunks, occurrences, **options) -> tuple[dict[str, list], list[int]]:
    plan = plan_reads(file_columns(chunks), np.array(occurrences), chunks.config, **options)
    columns = {name: column.tolist() for name, column in plan.reads.items()}
    starts = np.cumsum([0, *columns["chunks"][:-1]]).tolist()
    return {**columns, "path": plan.paths.tolist()}, starts


def test_consecutive_chunks_of_a_file_are_one_read():
    chunks = Chunks(catalogue=catalogue([(35, 1), (25, 2)]), config=config())
    reads, starts = plan(chunks, [1, 2, 3, 4, 6])
    assert starts == [0, 3, 4]
    assert reads["path"] == [b"/root/0.wav", b"/root/1.wav", b"/root/1.wav"]
    assert reads["begin"] == [44 + 10 * 2, 44, 44 + 20 * 4]
    assert reads["length"] == [25 * 2, 10 * 4, 5 * 4]
    assert reads["slot_bytes"] == [30 * 2, 10 * 4, 10 * 4]
    assert reads["samples"] == [25, 10, 5]
    assert reads["chunks"] == [3, 1, 1]


def test_blocks_are_read_whole():
    chunks = Chunks(catalogue=catalogue([(25, 2)]), config=config(downmix=False))
    # Samples [10, 30) of the stream lie in the frames of its blocks of 4: [4, 16).
    reads, _ = plan(chunks, [1, 2])
    assert (reads["begin"], reads["length"]) == ([44 + 4 * 4], [12 * 4])
    assert (reads["skip"], reads["samples"], reads["chunks"]) == ([2], [20], [2])


def test_the_end_of_an_epoch_and_the_start_of_the_next_are_two_reads():
    chunks = Chunks(catalogue=catalogue([(35, 1)]), config=config())
    reads, starts = plan(chunks, [2, 3, 4, 5])
    assert starts == [0, 2]
    assert reads["begin"] == [44 + 40, 44]


@pytest.mark.parametrize("downmix", [True, False])
def test_the_memory_of_a_read_is_bounded(downmix):
    files = catalogue([(10**9, 64)], Encoding.F64)
    chunks = Chunks(catalogue=files, config=config(downmix=downmix, chunk_size=1000))
    reads, _ = plan(chunks, list(range(1000)))
    assert sum(reads["chunks"]) == 1000
    assert max(reads["slot_bytes"]) <= 2**20 + 2 * 4 * 64 * 8  # And a block at each end.


def test_a_run_is_one_read_wherever_in_its_file_it_begins():
    chunks = Chunks(catalogue=catalogue([(200, 1)]), config=config())
    for begin in range(8):
        reads, _ = plan(chunks, list(range(begin, begin + 12)), max_read_bytes=5 * 10 * 2)
        assert reads["chunks"] == [5, 5, 2]
        assert reads["begin"] == [44 + 20 * (begin + done) for done in (0, 5, 10)]


@hypothesis.given(data=st.data())
@hypothesis.settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
def test_any_chunks_are_read_as_they_are(data, tmp_path):
    draw = data.draw
    encoding = draw(st.sampled_from([Encoding.U8, Encoding.S16, Encoding.S24]))
    channels, frames = draw(st.integers(1, 3)), draw(st.integers(1, 200))
    chunk_size, block = draw(st.integers(1, 40)), draw(st.integers(1, 50))
    max_read_bytes = draw(st.sampled_from([64, 2**20]))
    written = random_frames(encoding, frames, channels, seed=frames)
    write_wav(tmp_path / "a.wav", written, encoding)
    chunks = Chunks(
        catalogue=build_catalogue([str(tmp_path)]),
        config=config(downmix=False, chunk_size=chunk_size, stereo_blocking_n=block),
    )
    wanted = sorted(draw(st.sets(st.integers(0, 2 * len(chunks) - 1), min_size=1)))

    plan = plan_reads(
        file_columns(chunks), np.array(wanted), chunks.config, max_read_bytes=max_read_bytes
    )
    formats = corpus_formats(chunks)
    read = read_chunks(
        tf.constant(plan.paths.tolist()),
        *(
            {name: tf.constant(column) for name, column in columns.items()}
            for columns in (plan.reads, plan.chunks)
        ),
        formats,
        chunks.config,
        pytest.fail,
    )

    signed = written.astype(np.int64) - (128 if encoding is Encoding.U8 else 0)
    top = signed >> (8 * encoding.bytes_per_sample - 8)
    stream = [
        sample
        for start in range(0, frames, block)
        for channel in top[start : start + block].T
        for sample in channel.tolist()
    ]
    arrays = (read[name].numpy() for name in ("samples", "stop", "position"))
    for row, stop, position, chunk in zip(*arrays, wanted, strict=True):
        assert position == chunk % len(chunks) * chunk_size
        assert row[:stop].tolist() == stream[position : position + chunk_size]
        assert not row[stop:].any()
