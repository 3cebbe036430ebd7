import io
import struct

import hypothesis
import numpy as np
import pytest
import soundfile
from hypothesis import strategies as st

from pipeline.wav.encoding import Encoding
from pipeline.wav.header import WavHeader, read_header
from pipeline.wav.riff import WavError
from tests import wav_files

ODD_RIFF_CHUNK = (b"LIST", b"INFOodd")
RIFF_CHUNKS = {
    "none": (),
    "even": ((b"JUNK", bytes(28)),),
    "odd": (ODD_RIFF_CHUNK,),
    "many": (
        (b"bext", bytes(602)),
        ODD_RIFF_CHUNK,
        (b"id3 ", b"ID3" + bytes(9000)),
        (b"ab\x01c", b""),
    ),
}


TAIL = wav_files.wav_bytes([(b"LIST", b"INFOIART\5\0\0\0me :)\0"), (b"bext", bytes(602))])[12:]


def parse(content: bytes) -> WavHeader:
    return read_header(lambda offset, size: content[offset : offset + size], len(content))


def payload(content: bytes) -> bytes:
    header = parse(content)
    assert header.payload_offset + header.frames * header.frame_bytes <= len(content)
    return content[header.payload_offset :][: header.frames * header.frame_bytes]


def pcm16(fmt: bytes | None = None, data: bytes = b"1234", **options) -> bytes:
    """A small file with the parts in question replaced."""
    fmt = wav_files.fmt_chunk(Encoding.S16, 1) if fmt is None else fmt
    return wav_files.wav_bytes([(b"fmt ", fmt), (b"data", data)], **options)


def with_sizes(content: bytes, riff: int, data: int) -> bytes:
    """Replaces the two sizes of a plain 44-byte header."""
    return content[:4] + riff.to_bytes(4, "little") + content[8:40] + data.to_bytes(4, "little")


@pytest.mark.parametrize(
    "before, after", [("none", "odd"), ("even", "none"), ("odd", "even"), ("many", "many")]
)
@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize("container", ["RIFF", "RF64", "BW64"])
@pytest.mark.parametrize("encoding", [code for code in Encoding if not code.is_big_endian])
def test_finds_the_samples_that_libsndfile_finds(
    tmp_path, encoding, container, extensible, before, after
):
    frames = wav_files.random_frames(encoding, 7, 3)
    content = wav_files.write_wav(
        tmp_path / "x.wav",
        frames,
        encoding,
        sample_rate=22050,
        container=container,
        extensible=extensible,
        extra_chunks_before=RIFF_CHUNKS[before],
        extra_chunks_after=RIFF_CHUNKS[after],
    )
    header = parse(content)
    assert (header.encoding, header.channels, header.sample_rate) == (encoding, 3, 22050)
    assert (header.frames, header.note) == (7, "")
    assert payload(content) == wav_files.encode(frames, encoding)

    # libsndfile refuses BW64, odd chunks in RF64, and names that are no text.
    if container == "BW64" or (container, before) == ("RF64", "odd") or before == "many":
        return
    expected, sample_rate = soundfile.read(
        io.BytesIO(content), dtype="float64" if encoding.is_float else "int32"
    )
    if encoding is Encoding.U8:
        frames = frames - 128
    if not encoding.is_float:
        frames = frames << (32 - encoding.depth)
    np.testing.assert_array_equal(frames, expected)
    assert sample_rate == header.sample_rate


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("container", ["WAV", "WAVEX", "RF64"])
def test_reads_what_libsndfile_writes(container, subtype):
    file = io.BytesIO()
    samples = np.linspace(-1, 1, 20).reshape(10, 2)
    soundfile.write(file, samples, 48000, subtype, format=container)
    header = parse(file.getvalue())
    assert (header.channels, header.sample_rate, header.frames) == (2, 48000, 10)
    assert header.encoding == ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"].index(
        subtype
    )
    assert len(payload(file.getvalue())) == header.frames * header.frame_bytes


def test_a_header_costs_one_read():
    content = wav_files.wav_bytes(
        [
            (b"fmt ", wav_files.fmt_chunk(Encoding.S16, 2)),
            ODD_RIFF_CHUNK,
            (b"data", bytes(40000)),
        ]
    )
    reads = []

    def read_at(offset, size):
        reads.append((offset, size))
        return content[offset : offset + size]

    read_header(read_at, len(content))
    assert reads == [(0, 4096)]


@pytest.mark.parametrize("fmt_extra", [b"", b"\0\0", b"\x02\0ab"])
def test_longer_format_chunks(fmt_extra):
    assert payload(pcm16(wav_files.fmt_chunk(Encoding.S16, 1) + fmt_extra)) == b"1234"


@pytest.mark.parametrize("name", [b"LIST", b"fact", b"bext"])
@pytest.mark.parametrize("first_byte", [b"\0", b"d", b"\xff"])
def test_odd_chunks_without_pad_bytes(name, first_byte):
    content = wav_files.wav_bytes(
        [
            (name, b"odd"),
            (b"fmt ", wav_files.fmt_chunk(Encoding.U8, 1)),
            (name, b"odd!!"),
            (b"data", first_byte + b"12"),
        ],
        pad=False,
    )
    assert payload(content) == first_byte + b"12"


@pytest.mark.parametrize("first_byte", [b"\0", b"d", b"\xff"])
@pytest.mark.parametrize("size", [0, 4, 32, 97, 256])
@pytest.mark.parametrize("pad", [False, True])
def test_odd_chunks_before_one_that_nobody_knows(first_byte, size, pad):
    content = wav_files.wav_bytes(
        [
            (b"fmt ", wav_files.fmt_chunk(Encoding.U8, 1)),
            (b"LIST", b"odd!!"),
            (b"mine", (first_byte * size)[:size]),
            (b"data", b"123"),
        ],
        pad=pad,
    )
    assert payload(content) == b"123"


def test_pad_bytes_need_not_be_zero():
    content = wav_files.wav_bytes(
        [(b"odd!", b"123"), (b"fmt ", wav_files.fmt_chunk(Encoding.U8, 1)), (b"data", b"12")]
    )
    assert payload(content.replace(b"123\0", b"123f")) == b"12"


def test_data_before_fmt():
    fmt = wav_files.fmt_chunk(Encoding.U8, 1)
    assert payload(wav_files.wav_bytes([(b"data", b"123"), (b"fmt ", fmt)])) == b"123"


def test_the_first_of_two_data_chunks_counts():
    fmt = wav_files.fmt_chunk(Encoding.U8, 1)
    content = wav_files.wav_bytes([(b"data", b"12"), (b"data", b"3"), (b"fmt ", fmt)])
    assert payload(content) == b"12"
    assert parse(content).note == "another 'data' chunk behind the samples is not used"


@pytest.mark.parametrize("riff", [0, 36, 45, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("data", [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFF00, 0xFFFFFFFF])
def test_streamed_files_without_sizes_are_read_to_the_end(riff, data):
    content = with_sizes(pcm16(), riff, data) + b"\1\0002345678"
    assert payload(content) == b"\1\000234567"[:8]  # whole frames only
    note = f"the header gives no size ({data:#x}): all up to the end of the file is used"
    assert parse(content).note == note
    tagged = with_sizes(pcm16(), riff, data) + b"\1\00023" + TAIL
    assert (payload(tagged), parse(tagged).note) == (b"\1\00023", note)


def test_truncated_files_are_used_with_a_note():
    content = with_sizes(pcm16(), 1036, 1000) + b"12345"
    assert payload(content) == b"1234"
    assert parse(content).note == "truncated: 5 of 1000 bytes of samples are there"


GIB = 2**30


def parse_large(
    size: int, riff: int, data: int, tail: bytes = b"", sizes_64: tuple[int, int] | None = None
) -> tuple[int, str]:
    """Bytes of samples, and the note, of a file of zeros with these sizes in its header."""
    head = with_sizes(pcm16(), riff % 2**32, data % 2**32)
    if sizes_64:
        head = b"RF64" + head[4:12] + struct.pack("<4sIQQQ", b"ds64", 24, *sizes_64, 0) + head[12:]

    def read_at(offset: int, count: int) -> bytes:
        content = bytearray(min(count, size - offset))
        for start, part in ((0, head), (size - len(tail), tail)):
            first, last = max(start, offset), min(start + len(part), offset + len(content))
            if first < last:
                content[first - offset : last - offset] = part[first - start : last - start]
        return bytes(content)

    header = read_header(read_at, size)
    assert header.payload_offset == len(head)
    return header.frames * header.frame_bytes, header.note


@pytest.mark.parametrize("tail", [b"", TAIL])
@pytest.mark.parametrize("size", [5 * GIB, 9 * GIB + 2])
@pytest.mark.parametrize("riff", [None, 0, 36, 0x7FFFFFFF, 0xFFFFFFFF])
def test_sizes_that_wrapped_at_4_gib(size, riff, tail):
    samples = size - 44 - len(tail)
    riff = size - 8 if riff is None else riff
    note = "larger than the 32-bit sizes in its header: they are taken modulo 4 GiB"
    assert parse_large(size, riff, samples, tail) == (samples, note)


@pytest.mark.parametrize("tail", [b"", TAIL])
@pytest.mark.parametrize("size", [2 * GIB + 2**20, 5 * GIB])
@pytest.mark.parametrize("data", [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000 - 44])
def test_sizes_that_were_clamped_or_never_written(size, data, tail):
    for riff in (0, 36, data, data + 36, size - 8):
        samples, note = parse_large(size, riff, data, tail)
        assert samples == size - 44 - len(tail)
        assert note.startswith("the header gives no size")


@pytest.mark.parametrize("data", [0xFFFFFF00, 0xFFFFFFFE, 0xFFFFFFFF])
def test_sizes_that_were_clamped_at_4_gib(data):
    for tail in (b"", TAIL):
        samples, note = parse_large(5 * GIB, 0xFFFFFFFF, data, tail)
        assert samples == 5 * GIB - 44 - len(tail)
        assert note.startswith("the header gives no size")


def test_a_file_beyond_4_gib_whose_sizes_lead_nowhere_is_read_to_its_end():
    wrapped = 5 * GIB - 44  # ... and then half a GiB was cut off
    size = 5 * GIB - GIB // 2
    note = "larger than the 32-bit sizes in its header: all up to its end is used"
    assert parse_large(size, wrapped + 36, wrapped) == (size - 44, note)


@pytest.mark.parametrize("tail", [b"", TAIL])
@pytest.mark.parametrize("size", [1000, 3 * GIB, 4 * GIB - 2])
def test_sizes_that_are_right_are_kept(size, tail):
    samples = size - 44 - len(tail)
    assert parse_large(size, size - 8, samples, tail) == (samples, "")
    assert parse_large(size, 36, samples, tail) == (samples, "")


@pytest.mark.parametrize("stale", [0, 1234, 0x7FFFFFFF, 0xFFFFFF00, 0xFFFFFFFF])
@pytest.mark.parametrize("tail", [b"", TAIL])
def test_ds64_counts_where_the_32_bit_size_is_stale(stale, tail):
    size = 5 * GIB
    right = size - 76 - len(tail)
    samples, note = parse_large(size, 0xFFFFFFFF, stale, tail, (size - 8, right))
    assert samples == right
    told = f"its data size is {right} in 'ds64' but {stale} in 32 bits: 'ds64' is used"
    assert note == ("" if stale == 0xFFFFFFFF else told)


def test_ds64_counts_where_the_file_is_cut_off():
    right = 5 * GIB - 76
    samples, note = parse_large(5 * GIB - 1000, 0xFFFFFFFF, 1234, sizes_64=(5 * GIB - 8, right))
    assert samples == right - 1000
    assert "'ds64' is used; truncated: " in note


def test_the_32_bit_size_counts_where_ds64_is_wrong():
    samples, note = parse_large(1000, 992, 924, sizes_64=(99, 77))
    assert samples == 924
    assert "77 in 'ds64' but 924 in 32 bits: the 32-bit one is used" in note


@pytest.mark.parametrize("data_64", [0, 2**64 - 1])
def test_ds64_without_a_size(data_64):
    samples, note = parse_large(5 * GIB, 0xFFFFFFFF, 0xFFFFFFFF, sizes_64=(0, data_64))
    assert samples == 5 * GIB - 76
    assert note.startswith("the header gives no size")


@pytest.mark.parametrize("magic", [b"RF64", b"BW64"])
def test_rf64_without_ds64_is_noted(magic):
    content = magic + pcm16()[4:]
    assert payload(content) == b"1234"
    assert parse(content).note == f"{magic.decode()} without its 'ds64' chunk"


def test_what_lies_behind_the_samples_and_is_no_chunk_is_left_with_a_note():
    assert parse(pcm16() + b"\0\1" * 50).note == (
        "100 bytes behind the samples are no RIFF chunks: they are not used"
    )
    assert payload(pcm16() + b"\0\1" * 50) == b"1234"
    assert parse(pcm16() + b"\0").note == ""  # a pad byte that is not needed
    odd = pcm16(data=b"123")  # ... and one that is, with another byte behind it
    assert parse(odd + b"\0").note.startswith("1 bytes behind")


def test_the_first_of_several_files_in_one_is_read():
    for first in (pcm16(), pcm16() + TAIL, pcm16(data=b"12345")):
        content = first + pcm16(data=b"5678" * 100)
        assert payload(content) == b"1234"
        assert parse(content).note == "another WAV follows in the same file: it is not used"


@pytest.mark.parametrize("footer", [False, True])
def test_a_tag_before_the_header_is_passed_over(footer):
    tag = b"ID3\4\0" + bytes([0x10 * footer]) + b"\0\0\2\1" + bytes(257 + 10 * footer)
    content = tag + pcm16() + TAIL
    assert payload(content) == b"1234"
    assert parse(content).note == f"an ID3 tag of {len(tag)} bytes before the header is not used"
    with pytest.raises(WavError, match="MP3"):
        parse(tag + b"\xff\xfb\x90\x64" * 100)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 3])
def test_big_endian_files(subtype, channels):
    file = io.BytesIO()
    samples = np.linspace(-1, 1, 21 * channels).reshape(21, channels)
    soundfile.write(file, samples, 48000, subtype, format="WAV", endian="BIG")
    header = parse(file.getvalue())
    assert (header.channels, header.sample_rate, header.frames) == (channels, 48000, 21)
    names = {"PCM_U8": "U8", "FLOAT": "F32_BE", "DOUBLE": "F64_BE"}
    assert header.encoding.name == names.get(subtype, f"S{subtype[4:]}_BE")
    assert header.note == ""


@pytest.mark.parametrize("encoding", [code for code in Encoding if code.is_big_endian])
@pytest.mark.parametrize("extensible", [False, True])
def test_big_endian_files_among_other_chunks(tmp_path, encoding, extensible):
    frames = wav_files.random_frames(encoding, 7, 3)
    content = wav_files.write_wav(
        tmp_path / "x.wav",
        frames,
        encoding,
        extensible=extensible,
        extra_chunks_before=RIFF_CHUNKS["odd"],
        extra_chunks_after=RIFF_CHUNKS["many"],
    )
    header = parse(content)
    assert (header.encoding, header.channels, header.sample_rate) == (encoding, 3, 44100)
    assert (header.frames, header.note) == (7, "")
    assert payload(content) == wav_files.encode(frames, encoding)


def test_rf64_sizes():
    content = pcm16(container="RF64") + b"not samples"
    assert payload(content) == b"1234"
    assert parse(content).note.startswith("11 bytes behind the samples are no RIFF chunks")
    huge = content.replace((4).to_bytes(8, "little"), b"\xff" * 8)
    assert payload(huge) == b"1234not samp" + b"les"[:2]
    assert "the header gives no size" in parse(huge).note


@pytest.mark.parametrize(
    "bits, container_bytes, expected",
    [
        (4, 1, Encoding.U8),
        (12, 2, Encoding.S16),
        (20, 3, Encoding.S24),
        (24, 3, Encoding.S24),
    ],
)
def test_fewer_bits_decode_as_their_container(bits, container_bytes, expected):
    fmt = wav_files.raw_fmt(1, 2, 8000, 2 * container_bytes, bits)
    assert parse(pcm16(fmt, bytes(12))).encoding is expected


def test_24_valid_bits_in_32_are_clear_in_an_extensible_header():
    fmt = bytearray(wav_files.fmt_chunk(Encoding.S32, 1, extensible=True))
    fmt[18] = 24
    assert parse(pcm16(bytes(fmt))).encoding is Encoding.S32


EXTENSIBLE = wav_files.fmt_chunk(Encoding.S16, 1, extensible=True)


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "the file is empty"),
        (b"RIFF", "truncated: the file has only 4 bytes"),
        (b"\0" * 100, "begins with zeros"),
        (b"hello world!", "begins with b'hell'"),
        (b"FFIR" + pcm16()[4:], "another byte order"),
        (b"FORM\0\0\0\0AIFF", "AIFF"),
        (b"fLaC\0\0\0\x22", "FLAC"),
        (b"OggS\0\2", "Ogg"),
        (b"ID3\4", "MP3"),
        (b"NIST_1A\n   1024\n", "NIST SPHERE"),
        (b"\n <!DOCTYPE html>", "HTML"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        (b"RIFF\0\0\0\0AVI LIST", "of type b'AVI '"),
        (b"RIFF\0\0\0\0WAVE", "no 'fmt ' chunk"),
        (pcm16()[:30], "'fmt ' chunk is truncated: 10 of 16 bytes"),
        (pcm16(b"\1\0\1\0"), "'fmt ' chunk is truncated: 4 of 16 bytes"),
        (pcm16(EXTENSIBLE[:18]), "WAVE_FORMAT_EXTENSIBLE needs 40 bytes, 18 are there"),
        (pcm16()[:36], "no 'data' chunk"),
        (pcm16()[:44], "0 frames"),
        (pcm16(data=b""), "0 frames"),
        (pcm16(data=b"1"), "0 frames"),
        (pcm16(container="RF64")[:30], "'ds64' chunk is truncated: 10 of 16 bytes"),
        (pcm16(wav_files.raw_fmt(0x11, 1, 8000, 256, 4)), "IMA ADPCM (format tag 0x0011)"),
        (pcm16(wav_files.raw_fmt(0x02, 1, 8000, 256, 4)), "Microsoft ADPCM (format tag 0x0002)"),
        (pcm16(wav_files.raw_fmt(0x06, 1, 8000, 2, 16)), "16-bit G.711"),
        (pcm16(wav_files.raw_fmt(0x31, 1, 8000, 65, 0)), "GSM 6.10"),
        (pcm16(wav_files.raw_fmt(0x55, 1, 8000, 1, 0)), "MP3 (format tag 0x0055)"),
        (pcm16(wav_files.raw_fmt(0x1234, 1, 8000, 1, 0)), "format tag 0x1234"),
        (pcm16(EXTENSIBLE[:24] + b"\x11\0" + EXTENSIBLE[26:]), "IMA ADPCM"),
        (pcm16(EXTENSIBLE[:24] + b"abcdefghijklmnop"), "subformat 6162"),
        (pcm16(wav_files.raw_fmt(1, 0, 8000, 0, 16)), "0 channels"),
        (pcm16(wav_files.raw_fmt(1, 1, 0, 2, 16)), "sample rate of 0 Hz"),
        (pcm16(wav_files.raw_fmt(1, 1, 2**31, 2, 16)), "sample rate of 2147483648 Hz"),
        (pcm16(wav_files.raw_fmt(1, 1, 8000, 8, 64)), "64-bit integer"),
        (pcm16(wav_files.raw_fmt(1, 1, 8000, 0, 0)), "0-bit integer"),
        (pcm16(wav_files.raw_fmt(3, 1, 8000, 2, 16)), "16-bit float"),
        (pcm16(wav_files.raw_fmt(1, 1, 8000, 4, 24)), "which 3 of the 4 bytes"),
        (pcm16(wav_files.raw_fmt(1, 2, 8000, 2, 16)), "frames of 4 bytes, but it declares 2"),
    ],
)
def test_unusable_files_say_why(content, reason):
    with pytest.raises(WavError) as error:
        parse(content)
    assert reason in str(error.value)
    if "format tag" in reason:
        assert "ffmpeg -c:a pcm_s16le" in str(error.value)


@pytest.mark.parametrize(
    ("chunk", "most_reads", "most_bytes"),
    [
        (b"none\0\0\0\0", 4, 20_000),
        (b"none\x89\x13\0\0" + bytes(5001) + b"\0", 6000, 6000 * 4096),  # farther than a read
        (b"none\x89\x13\0\0" + b"who?" * 1250 + b"??", 6000, 6000 * 4096),
    ],
)
def test_hostile_files_cost_few_reads(chunk, most_reads, most_bytes):
    content = b"RIFF\0\0\0\0WAVE" + chunk * 1100
    reads = []

    def read_at(offset, size):
        reads.append(size)
        return content[offset : offset + size]

    with pytest.raises(WavError, match="first 1000 RIFF chunks"):
        read_header(read_at, len(content))
    assert len(reads) <= most_reads
    assert sum(reads) <= most_bytes


def check_parses_or_refuses(content: bytes) -> None:
    reads = []

    def read_at(offset, size):
        assert 0 <= offset < len(content) and 0 < size <= 4096
        reads.append(offset)
        return content[offset : offset + size]

    try:
        header = read_header(read_at, len(content))
    except WavError as error:
        assert str(error)
    else:
        assert header.frames > 0 and header.channels > 0 and header.sample_rate > 0
        assert header.payload_offset + header.frames * header.frame_bytes <= len(content)
    assert len(reads) <= 8000


@hypothesis.given(
    st.integers(0, 2**32 - 1) | st.integers(0, 100),
    st.integers(0, 2**32 - 1) | st.integers(0, 100) | st.sampled_from([0, 2**31 - 1, 2**32 - 1]),
    st.binary(max_size=60),
    st.sampled_from([b"", TAIL, pcm16()]),
)
def test_nothing_is_lost_or_added_without_a_note(riff, data, samples, tail):
    content = with_sizes(pcm16(), riff, data) + samples + tail
    try:
        header = parse(content)
    except WavError as error:
        assert str(error) == "it holds no audio (0 frames)"
        return
    if not header.note:
        rest = len(samples + tail) - data
        assert header.frames == data // 2
        assert rest in (0, 1) or rest >= 8  # nothing, or chunks
    elif data > len(samples + tail) and not tail:
        assert header.frames == len(samples) // 2


BEGINNINGS = st.sampled_from([b"", b"RIFF\0\0\0\0WAVE", b"RF64\xff\xff\xff\xffWAVE"])


@hypothesis.given(BEGINNINGS, st.binary(max_size=200))
def test_arbitrary_bytes(beginning, content):
    check_parses_or_refuses(beginning + content)


VALID = st.builds(
    lambda encoding, extensible, container, others, size: wav_files.wav_bytes(
        [
            (b"fmt ", wav_files.fmt_chunk(encoding, 2, extensible=extensible)),
            *RIFF_CHUNKS[others],
            (b"data", bytes(range(size))),
        ],
        container,
    ),
    st.sampled_from([code for code in Encoding if not code.is_big_endian]),
    st.booleans(),
    st.sampled_from(["RIFF", "RF64", "BW64"]),
    st.sampled_from(["none", "even", "odd"]),
    st.integers(0, 70),
)


@hypothesis.given(VALID, st.data())
def test_mutated_and_truncated_files(content, data):
    mutated = bytearray(content)
    positions = st.integers(0, len(content) - 1)
    for position, byte in data.draw(st.lists(st.tuples(positions, st.integers(0, 255)))):
        mutated[position] = byte
    check_parses_or_refuses(bytes(mutated[: data.draw(st.integers(0, len(content)))]))
