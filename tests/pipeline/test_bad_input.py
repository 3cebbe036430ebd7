"""What a folder may hold in place of good audio; docs/how_to/bad_input.md is the table of it.

Every bad file lies beside a good one, whose samples must all come.
"""

import errno
import io
import os
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import soundfile
from hypothesis import strategies as st

from pipeline.catalogue.catalogue import Catalogue
from pipeline.config import PipelineConfig
from pipeline.corpus import Corpus, open_corpus
from pipeline.dataset import make_dataset
from pipeline.reading.chunk_index import Chunks
from pipeline.reading.read_chunks import UNREADABLE, is_scored
from pipeline.reading.read_samples import read_samples
from pipeline.wav.encoding import Encoding
from pipeline.wav.header import read_header
from pipeline.wav.riff import WavError
from tests import wav_files
from tests.wav_files import raw_fmt, wav_bytes

pytestmark = pytest.mark.both_stacks

ROOT = Path(__file__).parents[2]
CONFIG = PipelineConfig(chunk_size=16, batch_size=4, depth=16)
GOOD = wav_files.random_frames(Encoding.S16, 40, 1, seed=1)
FRAMES = wav_files.random_frames(Encoding.S16, 40, 1, seed=2)
DATA = (b"data", wav_files.encode(FRAMES, Encoding.S16))
FMT = (b"fmt ", wav_files.fmt_chunk(Encoding.S16, 1))
FMT_BE = (b"fmt ", wav_files.fmt_chunk(Encoding.S16_BE, 1))
DATA_BE = (b"data", wav_files.encode(FRAMES, Encoding.S16_BE))
FMT_FLOAT = (b"fmt ", wav_files.fmt_chunk(Encoding.F32, 1))
ID3 = b"ID3\4\0\0\0\0\0\x14" + bytes(20)
EXTENSIBLE = (b"fmt ", wav_files.fmt_chunk(Encoding.S16, 1, extensible=True))
INFO = (b"LIST", b"INFOIART\5\0\0\0odd!\0\0")
NAMES_DATA = (b"LIST", b"INFOdata\x0c\0\0\0not samples!")
DEEP = b"INFO"
for _ in range(300):
    DEEP = b"INFOLIST" + struct.pack("<I", len(DEEP)) + DEEP


def plain(riff: int | None = None, data: int | None = None) -> bytes:
    """A file with a 44-byte header that declares these sizes, the right ones by default."""
    content = wav_bytes([FMT, DATA])
    sizes = [len(content) - 8 if riff is None else riff, len(DATA[1]) if data is None else data]
    riff_size, data_size = (struct.pack("<I", size) for size in sizes)
    return content[:4] + riff_size + content[8:40] + data_size + content[44:]


def encoded(name: str, subtype: str | None, **options) -> bytes:
    """What libsndfile writes."""
    file = io.BytesIO()
    soundfile.write(file, np.linspace(-0.5, 0.5, 4000), 8000, subtype, format=name, **options)
    return file.getvalue()


def open_folder(folder: str | os.PathLike) -> Corpus:
    """The corpus of a folder, which gets a good file."""
    wav_files.write_wav(os.path.join(folder, "good.wav"), GOOD, Encoding.S16)
    return open_corpus([str(folder)], CONFIG, valid_fraction=0)


def epoch(
    chunks: Chunks,
    on_unreadable: Callable = pytest.fail,
    before_reading: Callable[[], None] = lambda: None,
) -> dict[str, np.ndarray | None]:
    """The samples of each file, by name, through the graph; None if it could not be read."""
    streams: dict[str, list | None] = {path: [] for path in chunks.catalogue.paths}
    dataset = make_dataset(chunks, one_pass=True, shuffle=False, on_unreadable=on_unreadable)
    before_reading()
    batches = list(dataset.as_numpy_iterator())
    stops = np.concatenate([batch["stop"].reshape(-1) for batch in batches])
    samples = np.concatenate([batch["samples"].reshape(-1, CONFIG.chunk_size) for batch in batches])
    for number in range(len(chunks)):
        path, _ = chunks.locate(number)
        stream = streams[path]
        if stops[number] == UNREADABLE:
            streams[path] = None
        elif stream is not None:
            stream.append(samples[number, : stops[number]])
    names = dict(zip(chunks.catalogue.paths, chunks.catalogue.names, strict=True))
    return {
        names[path]: None if stream is None else np.concatenate(stream)
        for path, stream in streams.items()
    }


def stored(catalogue: Catalogue, name: str) -> np.ndarray:  # int32 [F, C]
    """The samples of a file, at their own depth."""
    return np.concatenate(list(read_samples(catalogue, catalogue.names.index(name))))


def top_16_bits(frames: np.ndarray, bits: int = 16) -> np.ndarray:
    """What the graph makes of mono integer samples of so many bits."""
    return frames[:, 0] * 2**16 >> bits


def remark(corpus: Corpus, name: str) -> str:
    """Why a file was skipped, or else what is noted of it."""
    for path, reason in corpus.catalogue.skipped:
        if os.path.basename(path) == name:
            return reason
    return corpus.catalogue.notes[corpus.catalogue.names.index(name)]


def wide(bits: int, container: Encoding) -> tuple[bytes, np.ndarray]:
    """Samples of few bits, left-justified, in a plain header that says so, and as integers."""
    size = container.bytes_per_sample
    frames = wav_files.random_frames(container, 40, 1) >> (8 * size - bits) << (8 * size - bits)
    fmt = (b"fmt ", raw_fmt(1, 1, 8000, size, bits))
    return wav_bytes([fmt, (b"data", wav_files.encode(frames, container))]), frames


def wide_extensible(bits: int) -> tuple[bytes, np.ndarray]:
    """The same in 32-bit containers of an extensible header."""
    frames = wav_files.random_frames(Encoding.S32, 40, 1) >> (32 - bits) << (32 - bits)
    fmt = bytearray(wav_files.fmt_chunk(Encoding.S32, 1, extensible=True))
    fmt[18] = bits
    data = wav_files.encode(frames, Encoding.S32)
    return wav_bytes([(b"fmt ", bytes(fmt)), (b"data", data)]), frames


def g711_or_float(encoding: Encoding, **options) -> tuple[bytes, np.ndarray]:
    """A file, and its samples as integers."""
    frames = wav_files.random_frames(encoding, 40, 1)
    fmt = (b"fmt ", wav_files.fmt_chunk(encoding, 1, **options))
    container = "RIFX" if encoding.is_big_endian else "RIFF"
    content = wav_bytes([fmt, (b"data", wav_files.encode(frames, encoding))], container)
    return content, np.round(frames.astype(float) * 2**31) if encoding.is_float else frames


# What is read right: content, samples, and a part of the note, if there is one.
USED = {
    "fmt of 16 bytes": (wav_bytes([FMT, DATA]), FRAMES, ""),
    "fmt of 18 bytes": (wav_bytes([(b"fmt ", FMT[1] + b"\0\0"), DATA]), FRAMES, ""),
    "fmt of 40 bytes": (wav_bytes([EXTENSIBLE, DATA]), FRAMES, ""),
    "JUNK before fmt": (wav_bytes([(b"JUNK", bytes(28)), FMT, DATA]), FRAMES, ""),
    "bext before fmt": (wav_bytes([(b"bext", bytes(602)), FMT, DATA]), FRAMES, ""),
    "LIST before data": (wav_bytes([FMT, INFO, DATA]), FRAMES, ""),
    "deep LIST": (wav_bytes([FMT, (b"LIST", DEEP), DATA]), FRAMES, ""),
    "data inside a LIST": (wav_bytes([NAMES_DATA, FMT, NAMES_DATA, DATA]), FRAMES, ""),
    "data before fmt": (wav_bytes([DATA, FMT]), FRAMES, ""),
    "two data chunks": (
        wav_bytes([FMT, DATA, INFO, (b"data", b"no samples")]),
        FRAMES,
        "another 'data' chunk behind the samples is not used",
    ),
    "RF64": (wav_bytes([FMT, DATA], "RF64"), FRAMES, ""),
    "BW64": (wav_bytes([FMT, DATA], "BW64"), FRAMES, ""),
    "RF64 without ds64": (
        b"RF64" + plain(0xFFFFFFFF, 0xFFFFFFFF)[4:],
        FRAMES,
        "RF64 without its 'ds64' chunk; the header gives no size (0xffffffff)",
    ),
    "RF64 with a stale size": (
        wav_bytes([FMT, DATA, INFO], "RF64").replace(b"data\xff\xff\xff\xff", b"data\x10\0\0\0"),
        FRAMES,
        "its data size is 80 in 'ds64' but 16 in 32 bits: 'ds64' is used",
    ),
    "RIFX": (wav_bytes([FMT_BE, DATA_BE], "RIFX"), FRAMES, ""),
    "RIFX in floats": (*g711_or_float(Encoding.F32_BE), ""),
    "A-law": (*g711_or_float(Encoding.ALAW), ""),
    "A-law, extensible": (*g711_or_float(Encoding.ALAW, extensible=True), ""),
    "mu-law": (*g711_or_float(Encoding.MULAW), ""),
    "12 bits in 16": (*wide(12, Encoding.S16), ""),
    "20 bits in 24": (*wide(20, Encoding.S24), ""),
    "20 bits in 32": (*wide_extensible(20), ""),
    "24 bits in 32": (*wide_extensible(24), ""),
    "data shorter than declared": (plain()[:-11], FRAMES[:-6], "truncated: 69 of 80 bytes"),
    "data longer than declared": (
        plain() + b"not samples",
        FRAMES,
        "11 bytes behind the samples are no RIFF chunks: they are not used",
    ),
    "size 0": (plain(0, 0), FRAMES, "the header gives no size (0x0): all up to the end"),
    "size 0, RIFF size right": (plain(data=0), FRAMES, "the header gives no size (0x0)"),
    "size 0xFFFFFFFF": (plain(2**32 - 1, 2**32 - 1), FRAMES, "gives no size (0xffffffff)"),
    "size 0x7FFFFFFF": (plain(2**31 - 1, 2**31 - 1), FRAMES, "gives no size (0x7fffffff)"),
    "no size, and a LIST at the end": (
        plain(2**32 - 1, 2**32 - 1) + wav_bytes([INFO])[12:],
        FRAMES,
        "gives no size (0xffffffff)",
    ),
    "size too large": (plain(data=1000), FRAMES, "truncated: 80 of 1000 bytes"),
    "another WAV behind it": (plain() + plain(), FRAMES, "another WAV follows in the same file"),
    "ID3 before RIFF": (ID3 + plain(), FRAMES, "an ID3 tag of 30 bytes before the header"),
    "ID3 behind it": (plain() + ID3, FRAMES, "30 bytes behind the samples"),
    "floats beyond full scale": (
        wav_bytes([FMT_FLOAT, (b"data", struct.pack("<4f", 0.5, 1.5, -0.25, 0))]),
        np.array([[2**30], [2**31 - 1], [-(2**29)], [0]]),
        "peak 1.5: 25% of its samples are clipped",
    ),
    "odd size": (plain(data=79), FRAMES[:-1], ""),
    "RIFF size too small": (plain(riff=1), FRAMES, ""),
}
# libsndfile reads these otherwise or not at all: the samples written are what is expected.
OURS_ALONE = {
    "RF64 with a stale size",
    "size 0, RIFF size right",
    "no size, and a LIST at the end",
    "another WAV behind it",
    "ID3 before RIFF",
    "floats beyond full scale",
    "RIFX in floats",
    "data inside a LIST",
    "data before fmt",
    "two data chunks",
    "BW64",
    "RF64 without ds64",
    "size 0",
}

# What is skipped: content, and a part of the reason.
SKIPPED = {
    "no channels": (wav_bytes([(b"fmt ", raw_fmt(1, 0, 8000, 0, 16)), DATA]), "0 channels"),
    "65535 channels": (
        wav_bytes([(b"fmt ", raw_fmt(1, 65535, 8000, 65535, 8)), (b"data", bytes(65535 * 20))]),
        "the header declares 65535 channels, expected at most 1024",
    ),
    "no rate": (wav_bytes([(b"fmt ", raw_fmt(1, 1, 0, 2, 16)), DATA]), "sample rate of 0 Hz"),
    "no block_align": (
        wav_bytes([(b"fmt ", raw_fmt(1, 1, 8000, 0, 16)), DATA]),
        "the header contradicts itself: 1 channel of 16 bits",
    ),
    "size 0 before fmt": (
        b"RIFF\0\0\0\0WAVE" + wav_bytes([(b"data", b""), FMT])[12:],
        "it holds no audio (0 frames)",
    ),
    "0 frames": (wav_bytes([FMT, (b"data", b""), INFO]), "it holds no audio (0 frames)"),
    "24 bits in 4 bytes": (
        wav_bytes([(b"fmt ", raw_fmt(1, 1, 8000, 4, 24)), DATA]),
        "which 3 of the 4 bytes",
    ),
    "RF64, ds64 cut": (
        wav_bytes([(b"ds64", bytes(8)), FMT, DATA]).replace(b"RIFF", b"RF64"),
        "the 'ds64' chunk is truncated: 8 of 16 bytes",
    ),
    "NaN": (
        wav_bytes(
            [
                FMT_FLOAT,
                (b"data", struct.pack("<3f", 0, 0.5, float("nan"))),
            ]
        ),
        "it holds NaN or infinity (first in frame 2)",
    ),
    "floats scaled to integers": (
        wav_bytes([FMT_FLOAT, (b"data", FRAMES.astype("<f4").tobytes())]),
        "its floats are scaled to integers (peak 32768), expected -1 to 1",
    ),
    "FFIR": (b"FFIR" + plain()[4:], "a WAV of another byte order (FFIR)"),
    "Microsoft ADPCM": (encoded("WAV", "MS_ADPCM"), "Microsoft ADPCM"),
    "IMA ADPCM": (encoded("WAV", "IMA_ADPCM"), "IMA ADPCM"),
    "GSM": (encoded("WAV", "GSM610"), "GSM 6.10"),
    "MP3 in a WAV": (
        wav_bytes([(b"fmt ", raw_fmt(0x55, 1, 8000, 1, 0) + b"\0\0"), DATA]),
        "MP3 (format tag 0x0055)",
    ),
    "MP3": (encoded("MP3", None), "it is an MP3 file, not a WAV"),
    "FLAC": (encoded("FLAC", "PCM_16"), "it is a FLAC file, not a WAV"),
    "Ogg": (encoded("OGG", "VORBIS"), "it is an Ogg file, not a WAV"),
    "HTML": (b"<!DOCTYPE html><title>404</title>", "it is an HTML or XML page, not a WAV"),
    "git-lfs pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 12345\n",
        "it is a git-lfs pointer (run 'git lfs pull'), not a WAV",
    ),
    "noise": (np.random.default_rng(0).bytes(5000), "it is not a WAV: it begins with"),
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """All of these in one folder."""
    folder = tmp_path_factory.mktemp("bad")
    for name, (content, *_) in {**USED, **SKIPPED}.items():
        (folder / f"{name}.wav").write_bytes(content)
    return open_folder(folder)


@pytest.fixture(scope="module")
def streams(corpus):
    return epoch(corpus.train)


def test_bad_files_do_the_good_one_no_harm(corpus, streams):
    np.testing.assert_array_equal(streams["good.wav"], top_16_bits(GOOD))
    assert set(streams) == {"good.wav", *(f"{name}.wav" for name in USED)}
    assert len(corpus.catalogue.skipped) == len(SKIPPED)


@pytest.mark.parametrize("name", USED)
def test_strange_files_are_read_right(corpus, streams, name):
    content, frames, note = USED[name]
    catalogue = corpus.catalogue
    encoding = Encoding(catalogue.encodings[catalogue.names.index(f"{name}.wav")])
    bits = encoding.depth
    np.testing.assert_array_equal(stored(catalogue, f"{name}.wav"), frames)
    np.testing.assert_array_equal(streams[f"{name}.wav"], top_16_bits(frames.astype(int), bits))
    assert note in remark(corpus, f"{name}.wav")
    assert bool(note) == bool(remark(corpus, f"{name}.wav"))
    if name not in OURS_ALONE:
        expected, _ = soundfile.read(io.BytesIO(content), dtype="int32", always_2d=True)
        np.testing.assert_array_equal(frames << (32 - bits), expected)


@pytest.mark.parametrize("name", SKIPPED)
def test_unusable_files_are_skipped_by_name(corpus, name):
    assert SKIPPED[name][1] in remark(corpus, f"{name}.wav")


def test_headers_cut_at_any_byte(tmp_path):
    headers = {
        "plain": plain(),
        "chunks": wav_bytes([(b"JUNK", bytes(5)), EXTENSIBLE, NAMES_DATA, DATA]),
        "rf64": wav_bytes([EXTENSIBLE, DATA], "RF64"),
        "data first": wav_bytes([DATA, FMT]),
    }
    for name, content in headers.items():
        for end in range(len(content)):
            (tmp_path / f"{name} {end:03}.wav").write_bytes(content[:end])
    corpus = open_folder(tmp_path)
    streams = epoch(corpus.train)
    expected = top_16_bits(FRAMES)
    np.testing.assert_array_equal(streams.pop("good.wav"), top_16_bits(GOOD))
    assert len(streams) + len(corpus.catalogue.skipped) == sum(map(len, headers.values()))
    for stream in streams.values():
        np.testing.assert_array_equal(stream, expected[: len(stream)])
    # Whatever holds a whole frame behind a whole header is used: 40 frames, but for the last byte.
    for name in ("plain", "chunks", "rf64"):
        assert sum(other.startswith(name) for other in streams) == 2 * 39
        assert remark(corpus, f"{name} 030.wav")
    assert sum(other.startswith("data first") for other in streams) == 0


@pytest.mark.parametrize(
    ("riff", "data", "note"),
    [
        (0, None, "modulo 4 GiB"),
        (0xFFFFFFFF, 0xFFFFFFFF, "gives no size"),
        (0x7FFFFFFF, 0x7FFFFFFF, "gives no size"),
        (0, 0, "gives no size"),
    ],
)
def test_the_last_samples_of_a_file_beyond_4_gib_are_read(tmp_path, riff, data, note):
    tail = wav_bytes([INFO])[12:]
    size = 5 * 2**30
    samples = size - 44 - len(tail)
    with open(tmp_path / "large.wav", "wb") as file:
        file.write(plain(riff, samples % 2**32 if data is None else data)[:44])
        file.seek(size - len(tail) - len(DATA[1]))
        file.write(DATA[1] + tail)
    corpus = open_corpus([str(tmp_path)], CONFIG, valid_fraction=0)
    assert corpus.catalogue.frames.tolist() == [samples // 2]
    assert note in corpus.catalogue.notes[0]
    steps = -(-len(corpus.train) // CONFIG.batch_size)
    dataset = make_dataset(corpus.train, one_pass=True, shuffle=False, first_step=steps - 1)
    (batch,) = dataset.as_numpy_iterator()
    read = batch["samples"][is_scored(batch)]
    assert len(read) > 16
    np.testing.assert_array_equal(read[-40:], FRAMES[-len(read) :, 0])


def test_any_name_is_read(tmp_path):
    names = [
        b"\xff\xfe.wav",
        b"new\nline.wav",
        b"[1]*?.wav",
        b"-\t\\ \x1b[31m.wav",
        "日本.wav".encode(),
    ]
    for number, name in enumerate(names):
        frames = np.full((20, 1), number)
        wav_files.write_wav(os.path.join(os.fsencode(tmp_path), name), frames, Encoding.S16)
    streams = epoch(open_folder(tmp_path).train)
    for number, name in enumerate(names):
        assert streams[os.fsdecode(name)].tolist() == [number] * 20


def test_what_an_ordinary_user_may_not_read_is_skipped(tmp_path):
    script = """
import os, sys
import numpy as np
from pipeline.reading.byte_ranges import read_ranges
from pipeline.catalogue.catalogue import build_catalogue
build_catalogue([])  # Imports the rest, which may lie where only root can read.
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
catalogue = build_catalogue([sys.argv[1]])
for path, reason in (*zip(catalogue.paths, catalogue.names), *catalogue.skipped):
    print(os.path.relpath(path, sys.argv[1]), reason, sep=": ")
path = os.path.join(sys.argv[1], "file.wav")
one = np.array([1])
read_ranges(np.array([path.encode()]), one, one, one, one, one,
            lambda path, reason: print("read", reason, sep=": "))
"""
    with tempfile.TemporaryDirectory() as folder:  # The folders of pytest are private.
        os.chmod(folder, 0o755)
        for name in ("closed", "listed"):
            os.mkdir(os.path.join(folder, name))
        for name in ("file.wav", "good.wav", "closed/a.wav", "listed/a.wav"):
            wav_files.write_wav(os.path.join(folder, name), GOOD, Encoding.S16)
        for link, target in (("link.wav", "closed/a.wav"), ("link", "closed/deeper")):
            os.symlink(os.path.join(folder, target), os.path.join(folder, link))
        os.chmod(os.path.join(folder, "file.wav"), 0)
        os.chmod(os.path.join(folder, "closed"), 0)
        os.chmod(os.path.join(folder, "listed"), 0o444)  # Its names are seen, but no more.
        process = subprocess.run(
            [sys.executable, "-c", script, folder], cwd=ROOT, capture_output=True, text=True
        )
        for name in ("closed", "listed"):
            os.chmod(os.path.join(folder, name), 0o755)
    assert process.returncode == 0, process.stderr
    assert sorted(process.stdout.splitlines()) == [
        "closed: Permission denied",
        "file.wav: Permission denied",
        "good.wav: good.wav",
        "link.wav: Permission denied",
        "link: Permission denied",
        "listed/a.wav: Permission denied",
        "read: Permission denied",
    ]


def change_to_fifo(path: str) -> None:
    os.unlink(path)
    os.mkfifo(path)


def change_to_folder(path: str) -> None:
    os.unlink(path)
    os.mkdir(path)


def change_to_loop(path: str) -> None:
    os.unlink(path)
    os.symlink(path, path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (os.unlink, "No such file"),
        (lambda path: os.truncate(path, 60), "changed since it was catalogued"),
        (lambda path: os.utime(path, ns=(0, 1)), "changed since it was catalogued"),
        (change_to_fifo, "changed since it was catalogued"),
        (change_to_folder, "changed since it was catalogued"),
        (change_to_loop, "symbolic links"),
    ],
)
def test_a_file_that_changes_after_the_dataset_was_made(tmp_path, change, reason):
    wav_files.write_wav(tmp_path / "bad.wav", FRAMES, Encoding.S16)
    reports = []
    streams = epoch(
        open_folder(tmp_path).train,
        lambda *report: reports.append(report),
        before_reading=lambda: change(str(tmp_path / "bad.wav")),
    )
    assert streams["bad.wav"] is None
    np.testing.assert_array_equal(streams["good.wav"], top_16_bits(GOOD))
    assert {path for path, _ in reports} == {str(tmp_path / "bad.wav")}
    assert all(reason in text for _, text in reports)


def test_a_file_that_is_written_to_during_the_very_read(tmp_path, monkeypatch):
    wav_files.write_wav(tmp_path / "bad.wav", FRAMES, Encoding.S16)
    os.utime(tmp_path / "bad.wav", ns=(0, 0))
    chunks = open_folder(tmp_path).train
    inode = os.stat(tmp_path / "bad.wav").st_ino
    preadv = os.preadv

    def overwrite_first(descriptor, buffers, offset):
        if os.fstat(descriptor).st_ino == inode:
            with open(tmp_path / "bad.wav", "r+b") as file:
                file.seek(44)
                file.write(b"noise")
        return preadv(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", overwrite_first)
    reports = []
    streams = epoch(chunks, lambda *report: reports.append(report))
    assert streams["bad.wav"] is None
    np.testing.assert_array_equal(streams["good.wav"], top_16_bits(GOOD))
    assert set(reports) == {(str(tmp_path / "bad.wav"), "it has changed since it was catalogued")}


def test_a_fifo_in_place_of_a_file_found_does_not_hang_the_scan(tmp_path, monkeypatch):
    wav_files.write_wav(tmp_path / "bad.wav", FRAMES, Encoding.S16)
    stat = os.stat

    def change_after_stat(path, **options):
        status = stat(path, **options)
        if str(path).endswith("bad.wav"):
            change_to_fifo(path)
        return status

    monkeypatch.setattr(os, "stat", change_after_stat)
    corpus = open_folder(tmp_path)
    assert corpus.catalogue.names == ("good.wav",)
    assert corpus.catalogue.skipped == ((str(tmp_path / "bad.wav"), "Illegal seek"),)


def parse_or_refuse(content: bytes) -> bytes | None:
    """The payload, or None; fails where the parser does more than that, or reads too much."""
    sizes = []

    def read_at(offset, size):
        assert 0 <= offset < offset + size <= len(content)
        sizes.append(size)
        return content[offset : offset + size]

    try:
        header = read_header(read_at, len(content))
    except WavError as error:
        assert str(error)
        return None
    finally:
        assert len(sizes) <= 8000
        assert max(sizes, default=0) <= 4096
    begin, end = header.payload_offset, header.payload_offset + header.frames * header.frame_bytes
    assert content[begin - 8 : begin - 4] == b"data"
    assert begin < end <= len(content)
    assert header.channels <= 1024
    return content[begin:end]


RIFF_IDS = st.sampled_from(
    [b"LIST", b"JUNK", b"bext", b"fact", b"ds64", b"fmt ", b"data", b"data"]
) | st.binary(min_size=4, max_size=4)
SIZES = st.sampled_from([0, 1, 15, 16, 2**31, 2**32 - 2, 2**32 - 1]) | st.integers(0, 2**32 - 1)
CONTENTS = st.binary(max_size=60) | st.sampled_from(
    [FMT[1], EXTENSIBLE[1], NAMES_DATA[1], bytes(28)]
)


@hypothesis.given(
    st.sampled_from([b"RIFF", b"RF64", b"BW64"]),
    SIZES,
    st.lists(st.tuples(RIFF_IDS, CONTENTS, st.none() | SIZES, st.booleans()), max_size=8),
    st.lists(st.integers(0, 4000), max_size=3),
)
def test_any_chunks_of_any_size_with_any_bits_flipped(container, riff_size, chunks, flips):
    content = bytearray(container + struct.pack("<I", riff_size) + b"WAVE")
    for name, body, size, pad in [*chunks[:4], (*FMT, None, True), *chunks[4:]]:
        content += name + struct.pack("<I", len(body) if size is None else size) + body
        content += bytes(pad and len(body) % 2)
    for bit in flips:
        content[bit // 8 % len(content)] ^= 1 << bit % 8
    parse_or_refuse(bytes(content))


OTHER_RIFF_CHUNKS = st.lists(
    st.tuples(
        RIFF_IDS.filter(lambda name: name not in (b"fmt ", b"data", b"ds64")),
        st.binary(max_size=60) | st.just(NAMES_DATA[1]),
    ),
    max_size=3,
)


@hypothesis.given(
    st.sampled_from(["RIFF", "RF64", "BW64"]),
    OTHER_RIFF_CHUNKS,
    OTHER_RIFF_CHUNKS,
    OTHER_RIFF_CHUNKS,
    st.data(),
)
def test_the_samples_are_found_among_any_other_chunks(container, before, between, after, data):
    first, second = data.draw(st.permutations([FMT, DATA]))
    content = wav_bytes([*before, first, *between, second, *after], container)
    assert parse_or_refuse(content) == DATA[1]


def test_the_page_quotes_what_is_said():
    page = (ROOT / "docs" / "how_to" / "bad_input.md").read_text()
    assert len([line for line in page.splitlines() if line.startswith("| ")]) > 30
    sources = [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "runtime").rglob("*.py")]
    said = "".join(path.read_text() for path in sources)
    said = re.sub(r'"\s+f?"', "", said)  # Strings over several lines.
    quotes = re.findall(r'"([^"\n]{6,})"', page)
    assert len(quotes) > 20
    for quote in quotes:
        words = max(re.split(r"[\d,.(]+|'[^']*'", quote), key=len).strip()
        words = words.removeprefix("it is ")
        assert words in said or words in map(os.strerror, errno.errorcode), quote
