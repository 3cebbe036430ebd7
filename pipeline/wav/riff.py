"""The RIFF chunks of a WAV file, read until the two that matter are found.

A RIFF chunk is a four-letter id, a size in 32 bits and as many bytes; it has nothing to do with the
chunks that a model is trained on. RF64 (EBU Tech 3306) and BW64 (ITU-R BS.2088) keep sizes beyond
4 GiB in a RIFF chunk of their own, 'ds64'.
"""

import struct
from typing import Literal, NamedTuple

from runtime.filesystem import ReadAt

ByteOrder = Literal["<", ">"]
"""Of the numbers in a file, as in `struct`: little-endian, or big-endian in RIFX."""

BLOCK_BYTES = 4096
"""One read: enough for the whole header of nearly every file."""

_MAX_RIFF_CHUNKS = 1000  # real files have a handful; bounds the work on a malicious one

_FOREIGN_MAGICS = (
    (b"FFIR", "a WAV of another byte order (FFIR)"),
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

WAV_MAGICS = frozenset((b"RIFF", b"RIFX", b"RF64", b"BW64"))
"""What a WAV file begins with."""

WAV_SUFFIXES = (".wav", ".wave", ".bwf", ".rf64")
"""What its name ends with, in lower case."""

KNOWN_IDS = WAV_MAGICS | frozenset(
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
      data_size_64: the same size according to 'ds64'.
      magic: the first four bytes of the file, one of WAV_MAGICS.
    """

    fmt: bytes | None
    data: tuple[int, int] | None
    data_size_64: int | None
    magic: bytes

    @property
    def byte_order(self) -> ByteOrder:
        """Of sizes and samples."""
        return ">" if self.magic == b"RIFX" else "<"


def walk_riff(read: ReadAt, file_size: int) -> RiffChunks:
    """Walks over RIFF chunks until 'fmt ' and 'data' are found, in any order, or the file ends.

    Args:
      read: see `buffered`.
      file_size: bytes in the file.

    Raises:
      WavError: not a RIFF, RIFX, RF64 or BW64 file of type WAVE, or no samples in
        _MAX_RIFF_CHUNKS.
    """
    found = RiffChunks(None, None, None, _check_magic(read(0, 24), file_size))
    position = 12
    for _ in range(_MAX_RIFF_CHUNKS):
        header = read(position, 8)
        if len(header) < 8 or (found.fmt is not None and found.data):
            return found
        riff_id, size = struct.unpack(f"{found.byte_order}4sI", header)
        body = position + 8
        if riff_id == b"ds64":
            sizes = read(body, min(size, 16))
            if len(sizes) < 16:
                raise WavError(f"the 'ds64' chunk is truncated: {len(sizes)} of 16 bytes")
            found = found._replace(data_size_64=struct.unpack("<QQ", sizes)[1])
        elif riff_id == b"fmt " and found.fmt is None:
            found = found._replace(fmt=read(body, min(size, 40)))
        elif riff_id == b"data" and found.data is None:
            found = found._replace(data=(body, size))
            size = found.data_size_64 or size
        position = next_riff_chunk(read, body + size, size, file_size, found.byte_order)
    raise WavError(f"there are no samples in its first {_MAX_RIFF_CHUNKS} RIFF chunks")


def buffered(read_at: ReadAt, file_size: int) -> ReadAt:
    """Serves small reads from the last block fetched, so that a header costs one read.

    Never reads beyond the end of the file: the sizes in a damaged header may be anything.
    """
    start, block = 0, b""

    def read(offset: int, size: int) -> bytes:
        nonlocal start, block
        size = max(min(size, file_size - offset), 0)
        if size and not start <= offset <= offset + size <= start + len(block):
            start, block = offset, read_at(offset, min(BLOCK_BYTES, file_size - offset))
        return block[offset - start : offset - start + size] if size else b""

    return read


def _check_magic(head: bytes, file_size: int) -> bytes:
    """Returns the first four bytes."""
    if file_size == 0:
        raise WavError("the file is empty")
    for magic, description in _FOREIGN_MAGICS:
        if head.lstrip().startswith(magic):
            raise WavError(f"it is {description}, not a WAV")
    if not any(head):
        raise WavError("it begins with zeros: the recording or download was never completed")
    if head[:4] not in WAV_MAGICS:
        raise WavError(f"it is not a WAV: it begins with {head[:4]!r} in place of b'RIFF'")
    if len(head) < 12:
        raise WavError(f"the header is truncated: the file has only {file_size} bytes")
    if head[8:12] != b"WAVE":
        raise WavError(f"it is a RIFF file of type {head[8:12]!r}, not b'WAVE'")
    return head[:4]


def next_riff_chunk(
    read: ReadAt, end: int, size: int, file_size: int, byte_order: ByteOrder
) -> int:
    """Returns where the next RIFF chunk begins, after one of `size` bytes that ends at `end`.

    A pad byte belongs behind an odd size, but some programs omit it: a known id, or a chunk that
    leads to one, shows where the next one begins.
    """
    if size % 2 == 0:
        return end
    peek = read(end, 5)
    if peek[1:5] in KNOWN_IDS or peek[:4] in KNOWN_IDS:
        return end + (peek[1:5] in KNOWN_IDS)
    starts = (end + 1, end)
    return next((it for it in starts if _leads_on(read, it, file_size, byte_order)), end + 1)


def _leads_on(read: ReadAt, position: int, file_size: int, byte_order: ByteOrder) -> bool:
    """Whether a RIFF chunk at a position ends with the file, or where one of a known id begins."""
    header = read(position, 8)
    if len(header) < 8 or not is_text(header[:4]):
        return False
    (size,) = struct.unpack(f"{byte_order}I", header[4:])
    end = position + 8 + size
    peek = read(end, 5)
    return file_size in (end, end + size % 2) or not KNOWN_IDS.isdisjoint(
        (peek[:4], peek[1:5] if size % 2 else b"")
    )


def is_text(riff_id: bytes) -> bool:
    """Whether an id is of printable characters, as the standard requires."""
    return all(0x20 <= code < 0x7F for code in riff_id)
