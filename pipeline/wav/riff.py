"""The RIFF chunks of a WAV file, read until the two that matter are found.

A RIFF chunk is a four-letter id, a size in 32 bits and as many bytes; it has nothing to do with the
chunks that a model is trained on. RF64 (EBU Tech 3306) and BW64 (ITU-R BS.2088) keep sizes beyond
4 GiB in a RIFF chunk of their own, 'ds64'.
"""

import struct
from typing import NamedTuple

from runtime.filesystem import ReadAt

UNKNOWN_SIZE = 0xFFFFFFFF
"""Declared by programs that stream, and in RF64, where the real size is in 'ds64'."""

_BLOCK_BYTES = 4096  # one read: enough for the whole header of nearly every file
_MAX_RIFF_CHUNKS = 1000  # real files have a handful; bounds the work on a malicious one

_FOREIGN_MAGICS = (
    (b"RIFX", "a big-endian WAV (RIFX)"),
    (b"FFIR", "a big-endian WAV (FFIR)"),
    (b"FORM", "an AIFF file"),
    (b"caff", "a Core Audio (CAF) file"),
    (b"riff", "a Sony Wave64 file"),
    (b".snd", "a Sun/NeXT audio file"),
    (b"NIST", "a NIST SPHERE file"),
    (b"fLaC", "a FLAC file"),
    (b"OggS", "an Ogg file"),
    (b"wvpk", "a WavPack file"),
    (b"MAC ", "a Monkey's Audio file"),
    (b"ID3", "an MP3 file"),
    *((bytes([0xFF, second]), "an MP3 file") for second in b"\xe2\xe3\xf2\xf3\xfa\xfb"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM file"),
    (b"\x00\x05\x16\x07", "a macOS AppleDouble file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"version https://git-lfs", "a git-lfs pointer (run 'git lfs pull')"),
    (b"<", "an HTML or XML page"),
    (b"{", "a JSON text"),
)

_KNOWN_IDS = frozenset(
    b"fmt |data|fact|LIST|JUNK|junk|bext|ds64|cue |smpl|inst|PEAK|PAD |FLLR|iXML|axml|chna|id3 |"
    b"ID3 |afsp|cart|levl|link|plst|wavl|slnt|acid|strc|_PMX|minf|elm1|regn|umid|DGDA|LGWV".split(
        b"|"
    )
)


class WavError(ValueError):
    """Why a file is skipped, without its path; never raised beyond the scan."""


class RiffChunks(NamedTuple):
    """The RIFF chunks that matter; None where the file ends before one.

    Attributes:
      fmt: the first 40 bytes, or fewer, of what 'fmt ' holds.
      data: where the content of 'data' begins in the file, and its declared size, in bytes.
      riff_size: declared bytes of the file after its first 8.
      fmt_is_first: 'fmt ' comes before 'data', as the standard requires.
    """

    fmt: bytes | None
    data: tuple[int, int] | None
    riff_size: int
    fmt_is_first: bool


def walk_riff(read_at: ReadAt, file_size: int) -> RiffChunks:
    """Walks over RIFF chunks until 'fmt ' and 'data' are found, in any order, or the file ends.

    Args:
      read_at: reads bytes of the file; called once for most files.
      file_size: bytes in the file.

    Raises:
      WavError: not a RIFF, RF64 or BW64 file of type WAVE, or no samples in _MAX_RIFF_CHUNKS.
    """
    read = _buffered(read_at, file_size)
    riff_size = _check_magic(read(0, 24), file_size)
    fmt: bytes | None = None
    data: tuple[int, int] | None = None
    data_size_64: int | None = None  # of RF64 and BW64
    fmt_is_first = False
    position = 12
    for _ in range(_MAX_RIFF_CHUNKS):
        header = read(position, 8)
        if len(header) < 8 or (fmt is not None and data):
            return RiffChunks(fmt, data, riff_size, fmt_is_first)
        riff_id, size = struct.unpack("<4sI", header)
        body = position + 8
        if riff_id == b"ds64":
            sizes = read(body, min(size, 16))
            if len(sizes) < 16:
                raise WavError(f"the 'ds64' chunk is truncated: {len(sizes)} of 16 bytes")
            riff_size, data_size_64 = struct.unpack("<QQ", sizes)
        elif riff_id == b"fmt " and fmt is None:
            fmt = read(body, min(size, 40))
            fmt_is_first = data is None
        elif riff_id == b"data" and data is None:
            if size == UNKNOWN_SIZE and data_size_64 is not None:
                size = data_size_64
            data = body, size
        position = _next_riff_chunk(read, body + size) if size % 2 else body + size
    raise WavError(f"there are no samples in its first {_MAX_RIFF_CHUNKS} RIFF chunks")


def _buffered(read_at: ReadAt, file_size: int) -> ReadAt:
    """Serves small reads from the last block fetched, so that a header costs one read.

    Never reads beyond the end of the file: the sizes in a damaged header may be anything.
    """
    start, block = 0, b""

    def read(offset: int, size: int) -> bytes:
        nonlocal start, block
        size = max(min(size, file_size - offset), 0)
        if size and not start <= offset <= offset + size <= start + len(block):
            start, block = offset, read_at(offset, min(_BLOCK_BYTES, file_size - offset))
        return block[offset - start : offset - start + size] if size else b""

    return read


def _check_magic(head: bytes, file_size: int) -> int:
    """Returns the size that the RIFF header declares."""
    if file_size == 0:
        raise WavError("the file is empty")
    for magic, description in _FOREIGN_MAGICS:
        if head.lstrip().startswith(magic):
            raise WavError(f"it is {description}, not a WAV")
    if not any(head):
        raise WavError("it begins with zeros: the recording or download was never completed")
    if head[:4] not in (b"RIFF", b"RF64", b"BW64"):
        raise WavError(f"it is not a WAV: it begins with {head[:4]!r} in place of b'RIFF'")
    if len(head) < 12:
        raise WavError(f"the header is truncated: the file has only {file_size} bytes")
    if head[8:12] != b"WAVE":
        raise WavError(f"it is a RIFF file of type {head[8:12]!r}, not b'WAVE'")
    return int.from_bytes(head[4:8], "little")


def _next_riff_chunk(read: ReadAt, end: int) -> int:
    """Returns where the next RIFF chunk begins, after one of odd size that ends at `end`.

    A pad byte belongs there, but some programs omit it: a known id shows where the chunk begins.
    """
    peek = read(end, 5)
    padded = peek[1:5] in _KNOWN_IDS or peek[:4] not in _KNOWN_IDS
    return end + padded
