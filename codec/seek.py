"""Any frames of a compressed file, without those before them."""

import functools
from collections.abc import Iterator
from typing import NamedTuple

from codec.beginning import Beginning, intact_bytes, read_beginning
from codec.block_index import Index, index_blocks
from codec.blocks import SEGMENT_KINDS, Block, Kind, read_block, skim_blocks
from codec.canonical import wav_header
from codec.decoder import Opened, decode_block, where
from codec.header import Format
from codec.values import little_endian
from pipeline.wav.header import read_header
from pipeline.wav.riff import WavError
from runtime.errors import ConfigError, DataError
from runtime.formatting import format_timestamp
from runtime.threads import map_in_threads, threads_each

_MOST_WAV_BYTES = 2**32 - 2**10


class _Found(NamedTuple):
    """A segment, or what there is of it.

    Attributes:
      block: its block, or the beginning of a damaged one.
      problem: what is wrong with it; empty if nothing is.
    """

    block: Block | Beginning
    problem: str = ""


class SeekableFile:
    """A compressed file whose segments can be decoded one by one."""

    def __init__(self, opened: Opened) -> None:
        """Looks for the segments, by the heads of the blocks alone where these are intact.

        Args:
          opened: a file that can seek, behind its header.

        Raises:
          DataError: it is no WAV, or its blocks are not in order: spliced.
        """
        self._opened = opened
        self._start = opened.file.tell()
        self.format: Format = opened.format or _format_without_frames(opened)
        self._offsets = _segment_offsets(opened)
        if len(self._offsets) < self.format.num_segments:
            disorder = self._index.disorder
            if disorder is not None:
                raise DataError(f"{where(self.format, disorder)} is not where it should be")

    def payload(
        self, first: int, count: int, *, ahead: int = 0, num_threads: int = 1
    ) -> Iterator[bytes]:
        """Yields the bytes of some frames as the source stores them, one part after the other.

        Args:
          first: frame to begin with.
          count: of frames; all of them are there.
          ahead: frames behind them that are yielded, too, if they are intact, of the last segment.
          num_threads: for segments at once, and their channels.

        Raises:
          DataError: they are not all intact.
        """
        segment, size = self.format.segment, self.format.frame_bytes
        end = first + count
        numbers = range(first // segment, -(-end // segment)) if count else range(0)
        each = threads_each(num_threads, len(numbers))

        def decode(found: _Found) -> bytes:
            frames = end + ahead - found.block.segment * segment
            if isinstance(found.block, Beginning):
                data = intact_bytes(self._opened, found.block, frames=frames, num_threads=each)
                self._require(found, data, end)
                return data
            return decode_block(self._opened, found.block, frames=frames, num_threads=each)

        decoded = map_in_threads(decode, map(self._find, numbers), num_threads, ahead=num_threads)
        for number, data in zip(numbers, decoded, strict=True):
            begin = number * segment
            yield data[max(first - begin, 0) * size : (end + ahead - begin) * size]

    @functools.cached_property
    def _index(self) -> Index:
        """Where everything is in a damaged file, by its checksums."""
        self._opened.file.seek(self._start)
        return index_blocks(self._opened, lambda _: None)

    def _find(self, number: int) -> _Found:
        """Returns a segment, or what there is of it, which may be nothing."""
        file, place = self._opened.file, where(self.format, number)
        problem = f"no intact block holds {place}"
        if number in self._offsets:
            file.seek(self._offsets[number])
            try:
                return _Found(read_block(file, self.format))
            except DataError as error:
                problem = f"{error} ({place})"
        if number in self._index.segments:
            return _Found(self._index.segments[number].read(file))
        places = self._index.damaged.get(number, ())
        return _Found(read_beginning(file, number, places), problem)

    def _require(self, found: _Found, data: bytes, end: int) -> None:
        """Raises DataError unless what is intact of a segment goes to a frame, or to its end."""
        begin, last = self.format.span_of(found.block.segment)
        intact = begin + len(data) // self.format.frame_bytes
        if intact < min(end, last):
            # Down to a millisecond, so that a part that ends there is intact.
            time = format_timestamp(1000 * intact // self.format.sample_rate / 1000)
            advice = f"; intact up to {time}: a part that ends there can be read" if data else ""
            raise DataError(found.problem + advice)


def slice_parts(
    opened: Opened, start: float, duration: float | None, *, num_threads: int = 1
) -> Iterator[bytes]:
    """Yields the bytes of a WAV that holds a part of the source's frames.

    Its samples have the source's encoding, as RIFF stores it; other chunks stay behind.

    Args:
      opened: a file that can seek, behind its header.
      start: of the part, in seconds.
      duration: of the part, in seconds, cut at the end; None: to the end.
      num_threads: segments that are decoded at once.

    Raises:
      ConfigError: there is nothing at this time, or more than a WAV can hold.
      DataError: as `SeekableFile`.
    """
    file = SeekableFile(opened)
    format_ = file.format
    first, end = slice_bounds(format_, start, duration)
    if (end - first) * format_.frame_bytes > _MOST_WAV_BYTES:
        raise ConfigError("a WAV holds at most 4 GiB: expected a shorter --duration")
    _, encoding = little_endian(b"", format_.encoding)
    yield wav_header(format_, encoding, end - first)
    size = 0
    for part in file.payload(first, end - first, num_threads=num_threads):
        yield little_endian(part, format_.encoding)[0]
        size += len(part)
    yield b"\0" * (size & 1)  # RIFF aligns chunks.


def slice_bounds(format_: Format, start: float, duration: float | None) -> tuple[int, int]:
    """Returns the first frame of a part, and the one after its last. Raises ConfigError."""
    rate = format_.sample_rate
    first = round(start * rate)
    end = format_.frames if duration is None else first + round(duration * rate)
    end = min(end, format_.frames)
    if not 0 <= first < end:
        length = format_.frames / rate
        given = f"--start={start:g}" + (f" --duration={duration:g}" if duration is not None else "")
        raise ConfigError(f"{given}: no frames there, the file is {length:.3f} s long")
    return first, end


def _format_without_frames(opened: Opened) -> Format:
    """Returns the format of a WAV of 0 frames, which is coded as any bytes. Raises DataError."""
    found = read_block(opened.file)
    data = decode_block(opened, found) if found.kind is Kind.BYTES else b""
    try:
        wav = read_header(lambda at, count: data[at : at + count], len(data), allow_empty=True)
        if wav.frames:
            raise WavError("it is too damaged for the encoder")
    except WavError as error:
        raise DataError("it is no WAV that could be read: there are no frames in it") from error
    return Format(
        fingerprint=b"",
        encoding=wav.encoding,
        channels=wav.channels,
        sample_rate=wav.sample_rate,
        frames=0,
        segment=1,
    )


def _segment_offsets(opened: Opened) -> dict[int, int]:
    """Returns where the block of each segment begins; empty where heads are damaged.

    Those that are out of order are, too: by a check byte alone, a damaged one may look intact.
    """
    offsets: dict[int, int] = {}
    last = -1
    try:
        for found in skim_blocks(opened.file, opened.format):
            if found.kind in SEGMENT_KINDS:
                if found.segment <= last:
                    return {}
                last = found.segment
                offsets[last] = found.offset
    except DataError:
        if opened.format is None:
            raise
        return {}
    return offsets
