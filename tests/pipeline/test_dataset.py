import collections
import dataclasses
import os
import shutil

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from pipeline.catalogue.catalogue import build_catalogue
from pipeline.config import PipelineConfig
from pipeline.dataset import make_dataset
from pipeline.reading.chunk_index import Chunks
from pipeline.reading.read_chunks import UNREADABLE, is_scored
from pipeline.split import split_catalogue
from pipeline.subset import draw_chunks
from pipeline.wav.encoding import Encoding
from tests.wav_files import random_frames, write_wav

L, B = 16, 8
DEPTHS = {"PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32, "DOUBLE": 32}
DEPTHS |= {"ALAW": 16, "ULAW": 16}
LENGTHS = [1, 15, 16, 17, 33, 64, 100]
LONG = {"position", "frames"}
NAMES = {"samples", "first", "stop", "channel", "channels", "block", *LONG}
LAYOUTS = {"plain": {}, "extensible": {"extensible": True}, "rf64": {"container": "RF64"}}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A folder with all encodings, layouts and numbers of channels, and the lengths in turn."""
    folder = tmp_path_factory.mktemp("mixed")
    number = 0
    for encoding in Encoding:
        layouts = {"plain": {}} if encoding.is_big_endian else LAYOUTS
        for layout, options in layouts.items():
            for channels in (1, 2, 3):
                frames = random_frames(encoding, LENGTHS[number % len(LENGTHS)], channels, number)
                if encoding.is_float:
                    frames *= 1.1  # Some of it beyond full scale.
                name = f"{number:03}_{encoding.name}_{layout}_{channels}.wav"
                write_wav(folder / name, frames, encoding, **options)
                number += 1
    return str(folder)


@pytest.fixture
def stereo(tmp_path):
    """A folder with seven 16-bit stereo files: 89 chunks of mono."""
    for number in range(7):
        frames = random_frames(Encoding.S16, 191 + number, 2, number)
        write_wav(tmp_path / f"{number}.wav", frames, Encoding.S16)
    return str(tmp_path)


def make_chunks(folder, **changes) -> Chunks:
    # Runs of 4 chunks, so that a few hundred chunks are many runs and windows.
    small = {"chunk_size": L, "batch_size": B, "shuffle_window": 8 * B, "chunks_per_read": 4}
    settings = {**small, **changes}
    return Chunks(catalogue=build_catalogue([folder]), config=PipelineConfig(**settings))


def expected_chunks(chunks: Chunks) -> list[tuple[str, bytes]]:
    """File and samples of every chunk, without padding, from libsndfile and plain arithmetic."""
    config = chunks.config
    dtype = {8: np.int8, 16: np.int16, 24: np.int32}[config.depth]
    result = []
    for path in chunks.catalogue.paths:
        depth = DEPTHS[soundfile.info(path).subtype]
        if soundfile.info(path).subtype in ("FLOAT", "DOUBLE"):
            scaled = np.round(soundfile.read(path, dtype="float64", always_2d=True)[0] * 2**31)
            samples = np.clip(scaled, -(2**31), 2**31 - 1).astype(np.int64)
        else:
            samples = soundfile.read(path, dtype="int32", always_2d=True)[0].astype(np.int64)
            assert not np.any(samples % 2 ** (32 - depth))
            samples //= 2 ** (32 - depth)
        if config.downmix:
            samples = np.floor_divide(samples.sum(axis=1, keepdims=True), samples.shape[1])
        stream = [
            sample
            for start in range(0, len(samples), config.stereo_blocking_n)
            for channel in samples[start : start + config.stereo_blocking_n].T
            for sample in channel.tolist()
        ]
        top = np.array([sample * 2**config.depth >> depth for sample in stream], dtype)
        for start in range(0, len(top), config.chunk_size):
            result.append((path, top[start : start + config.chunk_size].tobytes()))
    return result


def batches(chunks: Chunks, count: int | None = None, **options) -> list[dict[str, np.ndarray]]:
    dataset = make_dataset(chunks, **options)
    return list(dataset.take(-1 if count is None else count).as_numpy_iterator())


def contents(batches: list[dict[str, np.ndarray]]) -> list[bytes]:
    """The samples of every row, without padding, in the order of the stream."""
    rows = []
    for batch in batches:
        assert not batch["first"].any()
        stops = batch["stop"].reshape(-1)
        samples = batch["samples"].reshape(len(stops), -1)
        for row, stop in zip(samples, np.maximum(stops, 0), strict=True):
            rows.append(row[:stop].tobytes())
    return rows


def assert_once(rows: list[bytes], expected: list[tuple[str, bytes]]) -> None:
    counts = collections.Counter(rows)
    lost = sorted({os.path.basename(path) for path, content in expected if not counts[content]})
    assert not lost
    assert counts == collections.Counter(content for _, content in expected)


def assert_same(actual, expected) -> None:
    for one, other in zip(actual, expected, strict=True):
        assert one.keys() == other.keys() == NAMES
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.both_stacks
@pytest.mark.parametrize(
    ("depth", "block"),  # No block: downmix. Chunks have 16 samples.
    [(8, None), (16, None), (24, None), (16, 1), (8, 5), (24, 5), (8, 8), (16, 16), (16, 1024)],
)
def test_one_pass_is_exactly_what_libsndfile_reads(mixed, depth, block):
    mixing = {"downmix": False, "stereo_blocking_n": block} if block else {"downmix": True}
    chunks = make_chunks(mixed, depth=depth, **mixing)
    expected = expected_chunks(chunks)
    assert len(chunks) == len(expected)
    assert (
        chunks.num_samples
        == sum(len(content) for _, content in expected) // chunks.config.sample_bytes
    )
    rows = contents(batches(chunks, one_pass=True))
    assert len(rows) == -(-len(expected) // B) * B
    assert_once(rows[: len(expected)], expected)
    assert not any(rows[len(expected) :])


@pytest.mark.parametrize("seed", [42, 7])
def test_an_endless_stream_is_epoch_after_epoch(mixed, seed):
    chunks = make_chunks(mixed, downmix=False, stereo_blocking_n=5, seed=seed)
    expected = expected_chunks(chunks)
    total = len(expected)
    rows = contents(batches(chunks, count=-(-3 * total // B)))
    epochs = [rows[epoch * total : (epoch + 1) * total] for epoch in range(3)]
    for epoch in epochs:
        assert_once(epoch, expected)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_fewer_chunks_than_rows(tmp_path):
    write_wav(tmp_path / "a.wav", random_frames(Encoding.S24, 3 * L - 1, 1), Encoding.S24)
    chunks = make_chunks(str(tmp_path))
    expected = expected_chunks(chunks)
    (only,) = batches(chunks, one_pass=True)
    assert_once(contents([only])[:3], expected)
    assert sorted(only["stop"][0]) == [0, 0, 0, 0, 0, 15, 16, 16]
    rows = contents(batches(chunks, count=30))
    for epoch in range(80):
        assert_once(rows[3 * epoch : 3 * epoch + 3], expected)


def test_the_seed_decides_the_order(stereo):
    chunks = make_chunks(stereo)
    first = batches(chunks, count=20)
    assert_same(batches(chunks, count=20), first)
    other = batches(make_chunks(stereo, seed=43), count=20)
    assert contents(other) != contents(first)


@pytest.mark.parametrize("one_pass", [False, True])
def test_every_batch_can_be_had_directly(stereo, one_pass):
    chunks = make_chunks(stereo)
    assert (len(chunks), chunks.config.window) == (89, 8)  # Epochs end in steps 11, 22, 33, ...
    count = 12 if one_pass else 50
    iterated = batches(chunks, count, one_pass=one_pass)
    assert len(iterated) == count
    for step in (1, 3, 4, 5, 8, 11, count - 1):  # The first few batches are read at once.
        directly = batches(chunks, count - step, first_step=step, one_pass=one_pass)
        assert_same(directly, iterated[step:])


def test_a_batch_far_ahead(stereo):
    chunks = make_chunks(stereo)
    step = 10**12
    (batch,) = batches(chunks, count=1, first_step=step)
    assert_same([batch], batches(chunks, count=3, first_step=step - 2)[2:])


@pytest.mark.both_stacks
def test_hosts_share_the_global_batch(stereo):
    chunks = make_chunks(stereo)
    whole = batches(chunks, one_pass=True)
    hosts = [batches(chunks, one_pass=True, rows=rows) for rows in ((0, 2), (2, 6), (6, 8))]
    together = [
        {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}
        for parts in zip(*hosts, strict=True)
    ]
    assert_same(together, whole)


def test_devices_split_the_batch_in_its_order(stereo):
    chunks = make_chunks(stereo)
    split = batches(chunks, count=3, num_devices=4)
    assert split[0]["samples"].shape == (4, 2, L)
    assert split[0]["stop"].shape == (4, 2)
    joined = [
        {name: array.reshape(1, B, *array.shape[2:]) for name, array in batch.items()}
        for batch in split
    ]
    assert_same(joined, batches(chunks, count=3))


@pytest.mark.both_stacks
@pytest.mark.parametrize("depth", [8, 16, 24])
def test_the_element_spec_is_known_when_the_graph_is_built(stereo, depth):
    dataset = make_dataset(make_chunks(stereo, depth=depth), num_devices=2)
    assert dataset.element_spec == {
        "samples": tf.TensorSpec([2, 4, L], {8: tf.int8, 16: tf.int16, 24: tf.int32}[depth]),
        **{name: tf.TensorSpec([2, 4], tf.int32) for name in NAMES - {"samples", *LONG}},
        **{name: tf.TensorSpec([2, 4], tf.int64) for name in LONG},
    }


@pytest.mark.both_stacks
@pytest.mark.parametrize("depth", [8, 16, 24])
@pytest.mark.parametrize("downmix", [True, False])
def test_padding_is_silence_whatever_the_encoding(mixed, depth, downmix):
    chunks = make_chunks(mixed, depth=depth, downmix=downmix, stereo_blocking_n=5)
    padding = [batch["samples"][~is_scored(batch)] for batch in batches(chunks, one_pass=True)]
    assert sum(map(len, padding)) > 100
    assert not np.concatenate(padding)[: -B * L].any()  # But for chunks of a second epoch.


@pytest.mark.parametrize("downmix", [True, False])
def test_chunks_know_their_place_in_the_stream_of_their_file(tmp_path, downmix):
    """Of frames that hold their channel the stream of blocks is the channel of each sample."""
    frames = np.tile(np.arange(3), (101, 1))
    write_wav(tmp_path / "a.wav", frames, Encoding.S16)
    chunks = make_chunks(str(tmp_path), depth=16, downmix=downmix, stereo_blocking_n=13)
    seen = {}
    for batch in batches(chunks, one_pass=True):
        rows = (batch[name].reshape(-1).tolist() for name in ("position", "channel", "channels"))
        for position, channel, channels, stop, samples in zip(
            *rows, batch["stop"][0], batch["samples"][0], strict=True
        ):
            if stop:
                assert channels == (1 if downmix else 3)
                assert channel == (0 if downmix else samples[0])
                seen[position] = stop
    assert sorted(seen) == list(range(0, 101 * (1 if downmix else 3), L))


@pytest.mark.both_stacks
@pytest.mark.parametrize("limit", [1, 13, 1000])
@pytest.mark.parametrize("downmix", [True, False])
def test_a_draw_of_chunks_is_read_as_it_is_in_the_files(mixed, limit, downmix):
    chunks = make_chunks(mixed, downmix=downmix, stereo_blocking_n=5)
    drawn = draw_chunks(chunks, limit, seed=1)
    rows = contents(batches(drawn, one_pass=True))
    assert sum(map(len, rows)) == drawn.num_samples
    whole = collections.defaultdict(bytes)
    for path, content in expected_chunks(chunks):
        whole[path] += content
    if limit == 1000:
        assert drawn is chunks
    elif downmix:  # Kept channels are interleaved in blocks that begin elsewhere.
        assert len(drawn) == limit
        assert all(any(row in content for content in whole.values()) for row in rows)


@pytest.mark.parametrize("count", [1, 7, 40, 10**6])
def test_a_part_of_the_chunks_is_evenly_spaced(stereo, count):
    chunks = make_chunks(stereo)
    options = {"one_pass": True, "shuffle": False}
    every = [row for row in contents(batches(chunks, **options)) if row]
    some = [row for row in contents(batches(chunks, max_chunks=count, **options)) if row]
    assert len(every) == len(chunks) and len(some) == min(count, len(chunks))
    if count == 1:
        assert some == [every[len(every) // 2]]
    gaps = np.diff([every.index(row) for row in some])
    assert count == 1 or gaps.max() - gaps.min() <= 1


def test_both_sides_of_a_file_that_is_split_in_time(tmp_path):
    frames = random_frames(Encoding.S24, 1003, 2)
    whole = write_wav(tmp_path / "a.wav", frames, Encoding.S24)
    chunks = make_chunks(str(tmp_path), downmix=False, stereo_blocking_n=5)
    (tmp_path / "halves").mkdir()
    sides = split_catalogue(chunks.catalogue, valid_fraction=0.2, seed=0)
    for side, part in zip(sides, (frames[:802], frames[802:]), strict=True):
        write_wav(tmp_path / "halves" / "part.wav", part, Encoding.S24)
        alone = dataclasses.replace(chunks, catalogue=build_catalogue([str(tmp_path / "halves")]))
        expected = expected_chunks(alone)
        rows = contents(batches(dataclasses.replace(chunks, catalogue=side), one_pass=True))
        assert_once(rows[: len(expected)], expected)
    assert (tmp_path / "a.wav").read_bytes() == whole


@pytest.mark.both_stacks
def test_remote_files(mixed):
    for name in sorted(os.listdir(mixed))[::5]:
        with open(os.path.join(mixed, name), "rb") as file:
            tf.io.gfile.makedirs("ram://remote")
            with tf.io.gfile.GFile(f"ram://remote/{name}", "wb") as copy:
                copy.write(file.read())
    remote = make_chunks("ram://remote")
    local = {os.path.basename(path) for path in remote.catalogue.paths}
    expected = [
        (path, content)
        for path, content in expected_chunks(make_chunks(mixed))
        if os.path.basename(path) in local
    ]
    assert len(local) == 18
    rows = contents(batches(remote, one_pass=True))
    assert_once(rows[: len(expected)], expected)


def delete(path):
    os.remove(path)


def truncate(path):
    os.truncate(path, 300)


def lengthen(path):
    with open(path, "ab") as file:
        file.write(bytes(4))


def replace(path):
    """By another file of the same size, older than it."""
    shutil.copyfile(path, f"{path}.new")
    os.utime(f"{path}.new", ns=(0, 0))
    os.replace(f"{path}.new", path)


@pytest.mark.both_stacks
@pytest.mark.parametrize(
    ("fault", "reason", "downmix"),
    [
        (delete, "No such file", True),
        (truncate, "changed", False),
        (lengthen, "changed", True),
        (replace, "changed", False),
    ],
)
def test_a_file_that_cannot_be_read_any_more_harms_no_other(stereo, fault, reason, downmix):
    chunks = make_chunks(stereo, downmix=downmix)
    expected = expected_chunks(chunks)
    path = chunks.catalogue.paths[3]
    fault(path)
    reports = []
    read = batches(chunks, one_pass=True, on_unreadable=lambda *report: reports.append(report))
    stops = np.concatenate([batch["stop"].reshape(-1) for batch in read])
    assert np.count_nonzero(stops == UNREADABLE) == sum(owner == path for owner, _ in expected)
    rows = [row for row, stop in zip(contents(read), stops, strict=True) if stop > 0]
    assert_once(rows, [(owner, content) for owner, content in expected if owner != path])
    assert reports
    for reported, text in reports:
        assert reported == path
        assert reason in text


def test_no_chunks(stereo):
    chunks = make_chunks(stereo)
    empty = dataclasses.replace(chunks, catalogue=chunks.catalogue.select([]))
    with pytest.raises(ValueError, match="no chunks"):
        make_dataset(empty)


def test_rows_that_do_not_divide_by_the_devices(stereo):
    with pytest.raises(ValueError, match="6 rows cannot be split over 4 devices"):
        make_dataset(make_chunks(stereo), rows=(0, 6), num_devices=4)
