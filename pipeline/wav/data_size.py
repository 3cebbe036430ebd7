"""How many bytes of samples a WAV file holds, where its header may be wrong about it.

Sizes are written when a recording begins, and corrected, if at all, at its end; a plain WAV has 32
bits for them. What can be checked is whether a size leads to the end of the file, or to RIFF chunks
that do.
"""

import re
import struct
from typing import NamedTuple

from pipeline.wav.riff import (
    BLOCK_BYTES,
    KNOWN_IDS,
    WAV_MAGICS,
    ByteOrder,
    RiffChunks,
    is_text,
    next_riff_chunk,
)
from runtime.filesystem import ReadAt

_MAX_TAIL_CHUNKS = 100  # bounds the work on a malicious file
_UNKNOWN = 0xFFFFFFFF  # in RF64, where the real size is in 'ds64'
# What programs write that stream, or whose counters end: 0, and these rounded down to whole frames
# or without the header.
_PLACEHOLDERS = (range(1), range(0x7FFF0000, 0x80000001), range(0xFFFF0000, 2**32))
_MAX_SIZE_64 = 2**62  # in 'ds64': more is a placeholder, too
_TAIL_ID = re.compile(b"|".join(sorted(KNOWN_IDS - WAV_MAGICS - {b"data", b"fmt ", b"ds64"})))


class _Tail(NamedTuple):
    """What lies behind samples.

    Attributes:
      end: where the last of the RIFF chunks ends; they are `whole` if that is the end of the file.
      whole: nothing else lies there.
      has_data: one of them is a 'data' chunk that is not empty.
      has_wav: another WAV follows.
    """

    end: int
    whole: bool
    has_data: bool = False
    has_wav: bool = False


def measure_data(read: ReadAt, riff: RiffChunks, file_size: int) -> tuple[int, list[str]]:
    """Returns the bytes of samples in a file whose 'data' chunk is known, and what was guessed.

    Args:
      read: see `riff.buffered`.
      riff: its RIFF chunks.
      file_size: bytes in the file.
    """
    assert riff.data
    offset, declared = riff.data
    available = max(file_size - offset, 0)
    in_ds64 = riff.data_size_64
    notes = []
    if in_ds64 is None and riff.magic in (b"RF64", b"BW64"):
        notes.append(f"{riff.magic.decode()} without its 'ds64' chunk")
    if in_ds64 is None:
        sizes = [declared]
        if (wraps := (available - declared) // 2**32) > 0:
            sizes.append(declared + wraps * 2**32)
    else:
        sizes = [in_ds64] if declared == _UNKNOWN else [in_ds64, declared]

    size = sizes[0]
    for candidate in sizes:
        tail = _walk_tail(read, offset + candidate, candidate, file_size, riff.byte_order)
        if tail.whole:
            notes += _note_choice(candidate, declared, in_ds64)
            if tail.has_data:
                notes.append("another 'data' chunk behind the samples is not used")
            return candidate, notes

    if in_ds64 is not None and declared not in (_UNKNOWN, in_ds64):
        notes += _note_choice(size, declared, in_ds64)
    if _is_placeholder(size, in_ds64 is not None):
        notes.append(f"the header gives no size ({size:#x}): all up to the end of the file is used")
        return _trailing_chunks(read, offset, file_size, riff.byte_order) - offset, notes
    if size > available:
        return available, [*notes, f"truncated: {available} of {size} bytes of samples are there"]
    tail = _walk_tail(read, offset + size, size, file_size, riff.byte_order)
    if tail.has_wav:
        return size, [*notes, "another WAV follows in the same file: it is not used"]
    if in_ds64 is None and file_size > 2**32 + 8:
        notes.append("larger than the 32-bit sizes in its header: all up to its end is used")
        return _trailing_chunks(read, offset, file_size, riff.byte_order) - offset, notes
    rest = file_size - tail.end
    return size, [*notes, f"{rest} bytes behind the samples are no RIFF chunks: they are not used"]


def _note_choice(size: int, declared: int, in_ds64: int | None) -> list[str]:
    """Returns a note where not the size was taken that the format says."""
    if in_ds64 is None:
        if size == declared:
            return []
        return ["larger than the 32-bit sizes in its header: they are taken modulo 4 GiB"]
    if declared in (_UNKNOWN, in_ds64):
        return []
    used = "'ds64' is" if size == in_ds64 else "the 32-bit one is"
    return [f"its data size is {in_ds64} in 'ds64' but {declared} in 32 bits: {used} used"]


def _is_placeholder(size: int, is_64: bool) -> bool:
    return any(size in values for values in _PLACEHOLDERS) or (is_64 and size > _MAX_SIZE_64)


def _walk_tail(read: ReadAt, end: int, size: int, file_size: int, byte_order: ByteOrder) -> _Tail:
    """Steps over the RIFF chunks behind a chunk of `size` bytes that ends at `end`."""
    if end > file_size:
        return _Tail(file_size, whole=False)
    position = next_riff_chunk(read, end, size, file_size, byte_order)
    has_data = False
    for _ in range(_MAX_TAIL_CHUNKS):
        header = read(position, 12)
        if len(header) < 8:
            break
        riff_id, size = struct.unpack(f"{byte_order}4sI", header[:8])
        body = position + 8
        if riff_id in WAV_MAGICS and header[8:] == b"WAVE":
            return _Tail(position, whole=False, has_wav=True)
        # One that is known may be cut off; any other is a chunk only if it fits, and one whose id
        # is no text if it fits exactly.
        fits = body + size <= file_size if is_text(riff_id) else body + size == file_size
        if riff_id not in KNOWN_IDS and not (fits and any(riff_id)):
            break
        has_data |= riff_id == b"data" and size > 0
        end = body + size
        position = next_riff_chunk(read, end, size, file_size, byte_order)
    # One more byte is padding, needed or not.
    return _Tail(position, end >= file_size - 1, has_data)


def _trailing_chunks(read: ReadAt, begin: int, file_size: int, byte_order: ByteOrder) -> int:
    """Returns where RIFF chunks begin that end with the file; its end where there are none.

    Only those in its last block are found: no size leads to them.
    """
    start = max(begin, file_size - BLOCK_BYTES)
    for match in _TAIL_ID.finditer(read(start, BLOCK_BYTES)):
        position = start + match.start()
        if file_size <= _walk_tail(read, position, 0, file_size, byte_order).end <= file_size + 1:
            return position
    return file_size
