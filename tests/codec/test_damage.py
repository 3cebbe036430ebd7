"""Damage is named, and what is intact is given back."""

import contextlib
import io
import itertools
import os

import numpy as np
import pytest

from codec.blocks import Kind, block, read_block
from codec.damage import Findings, open_damaged
from codec.decoder import decompress_parts, open_compressed
from codec.encoder import compress_parts
from codec.files import compress_file, decompress_file, verify_file
from codec.header import read_header
from codec.jobs import Job, find_jobs
from codec.left_out import LeftOut
from codec.recover import recover_parts
from runtime.errors import ConfigError, DataError
from tests.codec.models import small_model
from tests.models.exact.test_stream import stereo
from tests.wav_files import Encoding, write_wav

SEGMENT = 96
FRAMES = 460
BEFORE = 44  # Bytes before the frames.
FRAME = 4


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("audio") / "a.wav"
    chunks = [(b"LIST", b"INFOINAM\5\0\0\0song\0\0")]
    return write_wav(path, stereo(FRAMES), Encoding.S16, extra_chunks_after=chunks)


@pytest.fixture(scope="module")
def packed(source):
    return compress(source)


def compress(source: bytes) -> bytes:
    parts = compress_parts(io.BytesIO(source), len(source), [small_model()], segment=SEGMENT)
    return b"".join(parts)


def decompress(data: bytes) -> bytes:
    opened = open_compressed(io.BytesIO(data), [small_model()])
    return b"".join(decompress_parts(opened))


def recover(data: bytes) -> tuple[bytes, list[str]]:
    found = Findings()
    opened = open_damaged(io.BytesIO(data), [small_model()], (), found)
    return b"".join(recover_parts(opened, found)), found.lines()


def blocks_of(data: bytes) -> list[bytes]:
    """The bytes of each block."""
    file = io.BytesIO(data)
    read_header(file)
    places = [file.tell()]
    while read_block(file).kind is not Kind.END:
        places.append(file.tell())
    return [data[a:b] for a, b in zip(places, [*places[1:], len(data)], strict=True)]


def test_undamaged(source, packed):
    kinds = [read_block(io.BytesIO(part)).kind for part in blocks_of(packed)]
    assert kinds == [Kind.BYTES, *[Kind.FRAMES] * 5, Kind.BYTES, Kind.END]
    assert decompress(packed) == source
    assert recover(packed) == (source, [])


def damage(
    data: bytes, rng: np.random.Generator, place: int | None = None
) -> tuple[bytes, list[tuple[int, int]]]:
    """The bytes with a flip, a cut, an insertion or other bytes, and what of them has changed."""
    kind, anywhere = rng.integers(4), int(rng.integers(len(data)))
    place = anywhere if place is None else min(place, len(data) - 1)
    end = place + 1 + int(min(rng.exponential(rng.choice([3, 300])), len(data)))
    end = min(end, len(data))
    if kind == 0:
        return flip(data, place, rng), [(place, place + 1)]
    if kind == 1:
        return data[:place] + data[end:], [(place, end)]
    if kind == 2:
        return data[:place] + rng.bytes(end - place) + data[place:], [(place, place)]
    return data[:place] + rng.bytes(end - place) + data[end:], [(place, end)]


def flip(data: bytes, place: int, rng: np.random.Generator) -> bytes:
    damaged = bytearray(data)
    damaged[place] ^= 1 << rng.integers(8)
    return bytes(damaged)


def test_a_thousand_damages_are_detected(source, packed):
    rng = np.random.default_rng(0)
    damaged = [flip(packed, place, rng) for place in rng.choice(len(packed), 500)]
    damaged += [packed[:size] for size in rng.choice(len(packed), 100, replace=False)]
    damaged += [damage(packed, rng)[0] for _ in range(200)]
    # Blocks of two files of one format.
    other = bytearray(source)
    other[BEFORE : BEFORE + FRAMES * FRAME : 300] = bytes(
        len(other[BEFORE : BEFORE + FRAMES * FRAME : 300])
    )
    files = [packed, compress(bytes(other))]
    start = packed.index(blocks_of(packed)[0])
    ours, theirs = map(blocks_of, files)
    while len(damaged) < 1100:
        spliced = [(ours, theirs)[rng.integers(2)][k] for k in range(len(ours))]
        if rng.integers(2):
            a, b = rng.choice(len(ours), 2, replace=False)
            spliced[a], spliced[b] = spliced[b], spliced[a]
        damaged.append(packed[:start] + b"".join(spliced))
    damaged = [data for data in damaged if data not in files]
    assert len(damaged) >= 1000
    for data in damaged:
        with pytest.raises(DataError):
            decompress(data)


def test_bytes_after_the_end_are_named(packed):
    with pytest.raises(DataError, match="after the end"):
        decompress(packed + b"\0")


def test_recovery_gives_back_every_undamaged_segment(source, packed):
    rng = np.random.default_rng(1)
    blocks = blocks_of(packed)
    starts = np.cumsum([packed.index(blocks[0]), *map(len, blocks)])
    header_end = int(starts[0])
    recovered = 0
    for _ in range(150):
        # From the last place to the first, so that the places before it stay.
        data, changed = packed, []
        for _ in range(rng.integers(1, 4)):
            most = min((place for place, _ in changed), default=len(packed))
            if most < 2:
                break
            begun, there = damage(data[:most], rng)
            data, changed = begun + data[most:], changed + there
        is_lost = [
            any((start < b and a < end) or start < a == b < end for a, b in changed)
            for start, end in [(0, header_end), *itertools.pairwise(starts.tolist())]
        ]
        if is_lost[0] and is_lost[-1]:
            with contextlib.suppress(DataError):
                recover(data)
            continue
        found, lost = recover(data)
        recovered += 1
        expected = bytearray(source[: BEFORE + FRAMES * FRAME])
        for k in np.flatnonzero(is_lost[2:-2]):
            begin, end = BEFORE + k * SEGMENT * FRAME, BEFORE + (k + 1) * SEGMENT * FRAME
            if found[begin:end] == expected[begin:end]:
                continue  # Its head alone is damaged.
            expected[begin:end] = bytes(len(expected[begin:end]))
            assert any("silence" in text for text in lost)
        assert found[BEFORE : BEFORE + FRAMES * FRAME] == expected[BEFORE:]
        if not is_lost[1]:
            assert found[:BEFORE] == source[:BEFORE]
        if not is_lost[-2]:
            assert found[BEFORE + FRAMES * FRAME :] == source[BEFORE + FRAMES * FRAME :]
        assert lost
    assert recovered > 120


def test_recovery_ignores_a_file_behind_the_end(source, packed):
    other = compress(source[:-40])
    for damaged in (packed, b"x" + packed[1:]):
        found, lost = recover(damaged + other)
        assert found == source
        assert lost[-2].endswith("of the file, after its end: ignored")
        assert lost[-1] == "nothing is lost: the hash of the source matches"


def test_recovery_without_a_header(source, packed):
    size = packed.index(blocks_of(packed)[0])
    for damaged in (bytes(size) + packed[size:], packed[size - 1 :], b"\x77" * 400 + packed[9:]):
        found, lost = recover(damaged)
        assert found == source
        assert "what the end repeats of it is used" in lost[0]
        assert lost[-1] == "nothing is lost: the hash of the source matches"
    end = blocks_of(packed)[-1]
    with pytest.raises(DataError, match="damaged, too"):
        recover(bytes(30) + packed[30 : -len(end)])


def test_recovery_puts_segments_in_their_order(source, packed):
    head = packed[: packed.index(blocks_of(packed)[0])]
    first, second, third, fourth, *rest = blocks_of(packed)
    assert recover(head + b"".join([first, fourth, second, third, *rest])) == (source, [])


def test_recovery_tells_of_blocks_of_another_file(source, packed):
    other = bytearray(source)
    other[BEFORE + 100] ^= 1
    start = packed.index(blocks_of(packed)[0])
    spliced = blocks_of(packed)
    spliced[1] = blocks_of(compress(bytes(other)))[1]
    found, lost = recover(packed[:start] + b"".join(spliced))
    assert found == other
    assert lost == [
        "all 5 segments are intact; the hash of the source differs: bytes around them are lost, or "
        "blocks are of another file"
    ]


def test_recovery_of_other_bytes():
    data = np.random.default_rng(0).bytes(2**20) + b"text " * 1000
    packed = compress(data)
    assert recover(packed) == (data, [])
    assert recover(b"x" + packed[1:])[0] == data
    found, lost = recover(packed[:500] + b"\0" + packed[501:])
    assert found == data[2**20 :] and "no intact block" in lost[0]


def test_recovery_ends_soon(source, packed):
    """Behind noise, and in what looks like blocks, each of which is read to its end."""
    second, third = (packed.index(part) for part in blocks_of(packed)[2:4])
    noise = np.random.default_rng(0).bytes(2**19)
    found, lost = recover(packed[:second] + noise + packed[second + 30 :])
    assert len(lost) == 3
    assert lost[0].startswith(f"bytes {second} to ") and "segment 2 of 5" in lost[1]
    assert found[BEFORE + 2 * SEGMENT * FRAME :] == source[BEFORE + 2 * SEGMENT * FRAME :]
    liar = block(Kind.BYTES, 0, bytes(2**16))[:8] + b"\1"
    found, lost = recover(packed[:third] + liar * (2**19 // len(liar)))
    assert "given up" in lost[0]
    assert found[: BEFORE + 2 * SEGMENT * FRAME] == source[: BEFORE + 2 * SEGMENT * FRAME]


def test_a_damaged_segment_is_named_with_its_seconds(packed):
    parts = blocks_of(packed)
    start = packed.index(parts[2])
    damaged = packed[: start + 60] + bytes([packed[start + 60] ^ 255]) + packed[start + 61 :]
    with pytest.raises(DataError, match=r"segment 2 of 5, 0:00:00\.\d\d\d to 0:00:00\.\d\d\d"):
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


def test_another_file_or_version_is_refused(packed):
    for data, message in [
        (b"RIFF" + packed[4:], "not a .wvst file"),
        (packed[:4] + b"\1" + packed[5:], "version 1, this wavestream reads version 5"),
        (b"", "^the file is empty$"),
        (packed[:3], "header is truncated: at least 3 bytes are missing"),
    ]:
        with pytest.raises(DataError, match=message):
            decompress(data)


def test_a_missing_model_is_named(packed):
    with pytest.raises(
        DataError,
        match=r"1010101010101010.*was not found: name it with model=FILE, .* model_dir=FOLDER",
    ):
        open_compressed(io.BytesIO(packed), [])


def test_files(tmp_path, source):
    models = [small_model()]
    (tmp_path / "in" / "deep").mkdir(parents=True)
    path = tmp_path / "in" / "deep" / "a.wav"
    path.write_bytes(source)
    path.chmod(0o640)
    [job] = find_jobs([str(tmp_path / "in")], str(tmp_path / "out"), compress=True)
    assert job.target == str(tmp_path / "out" / "deep" / "a.wav.wvst")
    before, after, target, *_ = compress_file(job, models, segment=SEGMENT)
    assert before == len(source) > after and target == job.target
    with pytest.raises(FileExistsError, match="--force"):
        compress_file(job, models)
    assert verify_file(job.target, models)[:3] == (after, before, "")
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
    (tmp_path / "a.wav.wvst").touch()
    left_out: LeftOut = LeftOut()
    paths = [str(tmp_path), str(tmp_path / "a.wav")]
    jobs = find_jobs(paths, None, compress=True, left_out=left_out)
    assert [job.source for job in jobs] == [str(tmp_path / name) for name in names]
    assert left_out.counts == {"compressed already": 1}
    assert left_out.others == [f"{tmp_path}/notes.txt"] and not left_out.other_audio()
    assert [path for path, _ in left_out.named] == [f"{tmp_path}/loop"]
    [(path, reason)] = left_out.failed
    assert path == f"{tmp_path}/dangling.wav" and reason.startswith("a link that leads nowhere")


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
    with pytest.raises(ConfigError, match="got none"):
        find_jobs([], None, compress=True)
