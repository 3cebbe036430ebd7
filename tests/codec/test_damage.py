"""Damage is named, and what is intact is given back."""

import contextlib
import io
import os

import numpy as np
import pytest

from codec.compress import compress_parts
from codec.container import Kind, block, header, read_block, read_header
from codec.decompress import decompress_parts, open_compressed, recover_parts
from codec.files import Job, compress_file, decompress_file, find_jobs, verify_file
from codec.segments import decode_segment, encode_segment
from runtime.errors import ConfigError, DataError
from tests.codec.models import small_model
from tests.models.exact.test_stream import stereo
from tests.wav_files import Encoding, write_wav

SEGMENT = 500
FRAMES = 2300


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("audio") / "a.wav"
    chunks = [(b"LIST", b"INFOINAM\5\0\0\0song\0\0")]
    return write_wav(path, stereo(FRAMES), Encoding.S16, extra_chunks_after=chunks)


@pytest.fixture(scope="module")
def packed(source):
    parts = compress_parts(io.BytesIO(source), len(source), [small_model()], segment=SEGMENT)
    return b"".join(parts)


def decompress(data: bytes) -> bytes:
    opened = open_compressed(io.BytesIO(data), [small_model()])
    return b"".join(decompress_parts(opened))


def recover(data: bytes) -> tuple[bytes, list[str]]:
    lost: list[str] = []
    opened = open_compressed(io.BytesIO(data), [small_model()])
    return b"".join(recover_parts(opened, lost.append)), lost


def blocks_of(data: bytes) -> list[bytes]:
    """The bytes of each block."""
    file = io.BytesIO(data)
    read_header(file)
    places = [file.tell()]
    while read_block(file).kind is not Kind.END:
        places.append(file.tell())
    return [data[a:b] for a, b in zip(places, [*places[1:], len(data)], strict=True)]


def test_undamaged(source, packed):
    assert decompress(packed) == source
    assert recover(packed) == (source, [])


def test_every_flip_is_named(packed):
    rng = np.random.default_rng(0)
    for place in rng.choice(len(packed), 150, replace=False):
        damaged = bytearray(packed)
        damaged[place] ^= 1 << rng.integers(8)
        with pytest.raises(DataError):
            decompress(bytes(damaged))


def test_every_truncation_is_named(packed):
    for size in np.random.default_rng(0).choice(len(packed), 60, replace=False):
        with pytest.raises(DataError):
            decompress(packed[:size])
    with pytest.raises(DataError, match="after the end"):
        decompress(packed + b"\0")


def test_a_damaged_segment_is_named_with_its_seconds(packed):
    parts = blocks_of(packed)
    start = packed.index(parts[2])
    damaged = packed[: start + 60] + bytes([packed[start + 60] ^ 255]) + packed[start + 61 :]
    with pytest.raises(DataError, match=r"segment 2 of 5, 0:00:00 to 0:00:00"):
        decompress(damaged)


def test_swapped_and_spliced_segments_are_named(packed):
    head = packed[: packed.index(blocks_of(packed)[0])]
    first, second, third, *rest = blocks_of(packed)
    with pytest.raises(DataError, match="spliced or swapped"):
        decompress(head + b"".join([first, third, second, *rest]))
    with pytest.raises(DataError, match="segment"):
        decompress(head + b"".join([first, third, *rest]))
    with pytest.raises(DataError, match="spliced"):
        decompress(head + b"".join([second, third, *rest]))


@pytest.mark.parametrize("where", ["head", "length", "payload", "gone"])
def test_recovery_gives_back_all_other_segments(source, packed, where):
    parts = blocks_of(packed)
    start, size = packed.index(parts[3]), len(parts[3])  # The third segment.
    damaged = bytearray(packed)
    if where == "gone":
        del damaged[start : start + size]
    else:
        damaged[start + {"head": 2, "length": 0, "payload": size // 2}[where]] ^= 64
    found, lost = recover(bytes(damaged))
    first = source.index(b"data") + 8 + 2 * SEGMENT * 4
    expected = source[:first] + bytes(SEGMENT * 4) + source[first + SEGMENT * 4 :]
    assert found == expected
    assert any("segment 3 of 5" in text for text in lost)


def test_another_file_or_version_is_refused(packed):
    for data, message in [
        (b"RIFF" + packed[4:], "not a .wvst file"),
        (packed[:4] + b"\2" + packed[5:], "version 2, this wavestream reads version 1"),
        (b"", "truncated"),
    ]:
        with pytest.raises(DataError, match=message):
            decompress(data)


def test_a_missing_model_is_named(packed):
    with pytest.raises(DataError, match=r"1010101010101010.*not at hand.*--model_dir"):
        open_compressed(io.BytesIO(packed), [])


def test_hostile_sizes_ask_for_no_memory():
    """A block that claims 2^50 bytes, frames that no block has."""
    model = small_model()
    huge = io.BytesIO(
        block(Kind.BYTES, 0, b"x")[:1].join([b"\xfd\xff\xff\xff\xff\xff\xff\x0f", b""])
    )
    with pytest.raises(DataError):
        read_block(huge)
    with pytest.raises(DataError):
        decode_segment(model.coder, b"\x20\x02", 100, 2)
    data = encode_segment(model.coder, stereo(600))
    rng = np.random.default_rng(0)
    for _ in range(200):  # What a CRC does not catch is wrong samples or an error, and no more.
        damaged = bytearray(data)
        damaged[rng.integers(min(len(data), 12))] ^= 1 << rng.integers(8)
        with contextlib.suppress(DataError):
            decode_segment(model.coder, bytes(damaged), 600, 2)


def test_files(tmp_path, source):
    models = [small_model()]
    (tmp_path / "in" / "deep").mkdir(parents=True)
    path = tmp_path / "in" / "deep" / "a.wav"
    path.write_bytes(source)
    path.chmod(0o640)
    [job] = find_jobs([str(tmp_path / "in")], str(tmp_path / "out"), compress=True)
    assert job.target == str(tmp_path / "out" / "deep" / "a.wav.wvst")
    sizes = compress_file(job, models, segment=SEGMENT)
    assert sizes[0] == len(source) > sizes[1]
    with pytest.raises(DataError, match="--force"):
        compress_file(job, models)
    assert verify_file(job.target, models) == sizes[::-1]
    compress_file(job, models, force=True, delete_source=True)
    assert not path.exists()
    [back] = find_jobs([job.target], None, compress=False)
    decompress_file(back, models)
    restored = tmp_path / "out" / "deep" / "a.wav"
    assert restored.read_bytes() == source and restored.stat().st_mode & 0o777 == 0o640


def test_nothing_is_left_of_a_damaged_file(tmp_path, packed):
    path = tmp_path / "a.wav.wvst"
    path.write_bytes(packed[:-20])
    with pytest.raises(DataError):
        decompress_file(Job(str(path), str(tmp_path / "a.wav")), [small_model()])
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav.wvst"]


def test_an_archive_has_hidden_files_and_all_links(tmp_path, source):
    for name in ("a.wav", ".hidden/._b.WAV"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(source)
    (tmp_path / "hard.wav").hardlink_to(tmp_path / "a.wav")
    (tmp_path / "soft.wav").symlink_to("a.wav")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "dangling.wav").symlink_to("nothing")
    (tmp_path / "notes.txt").write_text("no audio")
    names = [".hidden/._b.WAV", "a.wav", "hard.wav", "soft.wav"]
    jobs = find_jobs([str(tmp_path), str(tmp_path / "a.wav")], None, compress=True)
    assert [job.source for job in jobs] == [str(tmp_path / name) for name in names]


def test_times_and_attributes_are_kept(tmp_path, source):
    path = tmp_path / "a.wav"
    path.write_bytes(source)
    os.utime(path, ns=(10**18 + 1, 10**18 + 234))
    with contextlib.suppress(OSError):  # Not every file system has them.
        os.setxattr(path, "user.source", b"tape 7")
    before = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    [job] = find_jobs([str(path)], None, compress=True)
    compress_file(job, [small_model()], delete_source=True)
    [back] = find_jobs([job.target], None, compress=False)
    decompress_file(back, [small_model()])
    assert path.stat().st_mtime_ns == 10**18 + 234
    assert {name: os.getxattr(path, name) for name in os.listxattr(path)} == before


def test_two_files_of_one_name_are_refused(tmp_path, source):
    for folder in "xy":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.wav").write_bytes(source)
    with pytest.raises(ConfigError, match=r"would both become"):
        find_jobs([f"{tmp_path}/x", f"{tmp_path}/y"], str(tmp_path / "out"), compress=True)
    with pytest.raises(ConfigError, match="no file to compress"):
        find_jobs([], None, compress=True)


def test_a_file_without_samples(packed):
    data = header(None) + block(Kind.FRAMES, 0, b"\0abc")
    with pytest.raises(DataError):
        decompress(data)
