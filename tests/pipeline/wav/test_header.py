import io

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
    assert payload(wav_files.wav_bytes([(b"data", b"12"), (b"data", b"3"), (b"fmt ", fmt)])) == (
        b"12"
    )


def test_streamed_files_without_sizes_are_read_to_the_end():
    content = with_sizes(pcm16(), 0xFFFFFFFF, 0xFFFFFFFF) + b"12345"
    assert payload(content) == b"1234"  # whole frames only
    assert parse(content).note == ""


def test_truncated_files_are_used_with_a_note():
    content = with_sizes(pcm16(), 1036, 1000) + b"12345"
    assert payload(content) == b"1234"
    assert parse(content).note == "truncated: 5 of 1000 bytes of samples are there"


@pytest.mark.parametrize("riff_size", [0, 36])
def test_recordings_that_were_not_completed_are_read_to_the_end(riff_size):
    content = with_sizes(pcm16(), riff_size, 0) + b"12345"
    assert payload(content) == b"1234"
    assert "not completed" in parse(content).note


def test_rf64_sizes():
    content = pcm16(container="RF64") + b"not samples"
    assert payload(content) == b"1234"
    huge = content.replace((4).to_bytes(8, "little"), b"\xff" * 8)
    assert payload(huge) == b"1234not samp" + b"les"[:2]
    assert "truncated" in parse(huge).note


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


def test_hostile_files_cost_few_reads():
    content = b"RIFF\0\0\0\0WAVE" + b"none\0\0\0\0" * 200_000
    reads = []

    def read_at(offset, size):
        reads.append(size)
        return content[offset : offset + size]

    with pytest.raises(WavError, match="first 1000 RIFF chunks"):
        read_header(read_at, len(content))
    assert sum(reads) < 20_000


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
    assert len(reads) <= 3001


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
