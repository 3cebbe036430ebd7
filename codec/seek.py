"""Any frames of a compressed file, without those before them."""

from collections.abc import Iterator

from codec.blocks import Block, Kind, read_block, skim_blocks
from codec.canonical import wav_header
from codec.decoder import Opened, decode_block, where
from codec.header import Format
from codec.search import intact_blocks
from codec.values import little_endian
from pipeline.wav.header import read_header
from pipeline.wav.riff import WavError
from runtime.errors import ConfigError, DataError
from runtime.threads import map_in_threads, threads_each

_FRAMES = (Kind.FRAMES, Kind.FRAMES_AS_BYTES)
_MOST_WAV_BYTES = 2**32 - 2**10


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
        self.format: Format = opened.format or _format_without_frames(opened)
        self._offsets = _segment_offsets(opened)

    def payload(self, first: int, count: int, *, num_threads: int = 1) -> Iterator[bytes]:
        """Yields the bytes of some frames as the source stores them, one part after the other.

        Args:
          first: frame to begin with.
          count: of frames; all of them are there.
          num_threads: for segments at once, and their channels.

        Raises:
          DataError: one of their segments is damaged or missing.
        """
        segment, size = self.format.segment, self.format.frame_bytes
        end = first + count
        numbers = range(first // segment, -(-end // segment)) if count else range(0)
        each = threads_each(num_threads, len(numbers))
        decoded = map_in_threads(
            lambda block: decode_block(self._opened, block, num_threads=each),
            map(self._block, numbers),
            num_threads,
            ahead=num_threads,
        )
        for number, data in zip(numbers, decoded, strict=True):
            begin = number * segment
            yield data[max(first - begin, 0) * size : (end - begin) * size]

    def _block(self, number: int) -> Block:
        file = self._opened.file
        if number not in self._offsets:
            raise DataError(f"no intact block holds {where(self.format, number)}")
        file.seek(self._offsets[number])
        try:
            return read_block(file, self.format)
        except DataError as error:
            raise DataError(f"{error} ({where(self.format, number)})") from error


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
    """Returns where the block of each segment begins, of those that are there."""
    start = opened.file.tell()
    try:
        offsets = _offsets_of(opened, skim_blocks(opened.file, opened.format))
        if opened.format is None or len(offsets) == opened.format.num_segments:
            return offsets
    except DataError:
        if opened.format is None:
            raise
    # A head is damaged, or the end is missing: what is intact is found by its checksums.
    blocks = intact_blocks(opened.file, start, opened.format, lambda *_: None)
    return _offsets_of(opened, blocks)


def _offsets_of(opened: Opened, blocks: Iterator[Block]) -> dict[int, int]:
    offsets: dict[int, int] = {}
    last = -1
    for found in blocks:
        if found.kind is Kind.END:
            break  # What follows is not of this file, though it may look so.
        if found.kind in _FRAMES:
            if found.segment <= last:
                raise DataError(f"{where(opened.format, found.segment)} is not where it should be")
            last = found.segment
            offsets[last] = found.offset
    return offsets
