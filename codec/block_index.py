"""Where the intact blocks of a damaged file are, and what there is of the others."""

import dataclasses
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from codec.blocks import CRC_BYTES, SEGMENT_KINDS, Block, Kind, head_numbers, most_payload
from codec.checksums import count_checksums
from codec.decoder import Opened
from codec.fields import read_exactly
from codec.header import Format
from codec.progress import Report
from codec.search import Damaged, damaged_segments, intact_blocks
from runtime.errors import DataError

_MOST_HEAD = 21  # Bytes of two numbers, and one more.
_MOST_PLACES = 4  # Of one damaged segment, each of which costs the time to decode it.


class Place(NamedTuple):
    """A block whose payload is intact.

    Attributes:
      kind: of the block.
      segment: see `Block`.
      offset: where the payload begins in the file.
      size: of the payload.
    """

    kind: Kind
    segment: int
    offset: int
    size: int

    def read(self, file: BinaryIO) -> Block:
        """Returns the block."""
        file.seek(self.offset)
        return Block(self.kind, self.segment, file.read(self.size), self.offset)


@dataclasses.dataclass
class Index:
    """The blocks of a file that are intact, its END, and segments that are intact in part.

    Attributes:
      before: blocks of BYTES before the frames.
      segments: the first block of each segment.
      damaged: where segments may be of which no block is intact, but that have checksums: by a
        head, which may be right by chance alone, or by the blocks around them.
      behind: blocks of BYTES behind the frames.
      end: the payload of END.
      disorder: the first segment that is not behind the one before it; None: all are in order.
    """

    before: list[Place] = dataclasses.field(default_factory=list)
    segments: dict[int, Place] = dataclasses.field(default_factory=dict)
    damaged: dict[int, list[Damaged]] = dataclasses.field(default_factory=dict)
    behind: list[Place] = dataclasses.field(default_factory=list)
    end: bytes | None = None
    disorder: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no block holds anything of the source."""
        return not (self.before or self.segments or self.behind)

    def add(self, place: Place) -> None:
        """Adds a block of BYTES, or of a segment, of which the first counts."""
        if place.kind is Kind.BYTES:
            (self.behind if place.segment else self.before).append(place)
        else:
            self.segments.setdefault(place.segment, place)
            self.damaged.pop(place.segment, None)

    def add_damaged(self, found: Damaged, format_: Format) -> None:
        """Adds a place of a damaged segment, if there may be anything in it."""
        if found.segment in self.segments or not count_checksums(
            found.size, format_, found.segment
        ):
            return
        places = self.damaged.setdefault(found.segment, [])
        if found not in places and len(places) < _MOST_PLACES:
            places.append(found)


class _Gap(NamedTuple):
    """Bytes that are no intact block, and the segments on both sides.

    Attributes:
      start, end: the bytes.
      previous: the last segment before them; -1: there is none.
      following: the first segment behind them; the number of all where there is none, -1 where
        bytes before the frames follow.
      is_last: whether no intact block follows.
    """

    start: int
    end: int
    previous: int
    following: int
    is_last: bool = False

    def blocks(self, count: int) -> list[tuple[Kind, int]]:
        """Returns the kinds and segments that a block which fills it may have.

        Args:
          count: of segments in the file.
        """
        number = self.previous + 1
        if self.following - self.previous > 1:
            return (
                [(kind, number) for kind in SEGMENT_KINDS] if self.following == number + 1 else []
            )
        kinds = []
        if number == 0:
            kinds.append((Kind.BYTES, 0))
        if number == count:
            kinds.append((Kind.BYTES, 1))
        return [*kinds, (Kind.END, 0)] if self.is_last else kinds


def index_blocks(opened: Opened, report: Report) -> Index:
    """Looks for the blocks of a file, from where it stands; what is no intact one is reported."""
    format_, file = opened.format, opened.file
    count = format_.num_segments if format_ else 0
    index, previous, problem = Index(), -1, ""
    gaps: list[_Gap] = []
    damage: list[tuple[int, int]] = []
    try:
        for found in intact_blocks(file, file.tell(), format_, lambda *x: damage.append(x)):
            following = count
            if found.kind in SEGMENT_KINDS:
                following = found.segment
            elif found.kind is Kind.BYTES and not found.segment:
                following = -1
            gaps += [_Gap(*span, previous, following) for span in damage]
            damage.clear()
            if found.kind is Kind.END:
                index.end = found.payload
                break  # What follows is not of this file, though it may look so.
            if found.kind in SEGMENT_KINDS:
                if found.segment <= previous and index.disorder is None:
                    index.disorder = found.segment
                previous = found.segment
            size = len(found.payload)
            index.add(Place(found.kind, found.segment, file.tell() - size, size))
    except DataError as error:
        problem = str(error)
    end, size = file.tell(), file.seek(0, 2)
    gaps += [_Gap(*span, previous, count, is_last=True) for span in damage]
    for gap in gaps:
        _fill(index, opened, gap, report)
    if problem:
        report(problem)
    if index.end is not None and size > end and not damage:
        report(f"bytes {end:,} to {size:,} of the file, after its end: ignored")
    for places in (index.before, index.behind):
        places.sort(key=lambda place: place.offset)
    return index


def lost_segments(opened: Opened, index: Index) -> list[int]:
    """Returns the numbers of the segments of which no block is intact."""
    count = opened.format.num_segments if opened.format else 0
    return [number for number in range(count) if number not in index.segments]


def _fill(index: Index, opened: Opened, gap: _Gap, report: Report) -> None:
    """Adds to an index what there is in a gap, and reports what is wrong with it."""
    rest, is_whole = gap, _add_whole(index, opened, gap)
    if not is_whole and opened.format is not None:
        rest = _add_damaged(index, opened.file, gap, opened.format)
        is_whole = rest != gap and _add_whole(index, opened, rest)
    lost = rest.start if is_whole else gap.end
    if lost > gap.start:
        report(f"bytes {gap.start:,} to {lost:,} of the file: no intact block")
    if is_whole:
        report(
            f"bytes {rest.start:,} to {rest.end:,} of the file: only the head of a block is "
            "damaged, what it holds is intact"
        )


def _add_whole(index: Index, opened: Opened, gap: _Gap) -> bool:
    """Adds the block that fills a gap, if its CRC is right; returns whether it is."""
    format_, file = opened.format, opened.file
    for kind, segment in gap.blocks(format_.num_segments if format_ else 0):
        for place in _places(gap, kind, segment, format_):
            if _has_crc(file, place):
                if kind is Kind.END:
                    index.end = place.read(file).payload
                else:
                    index.add(place)
                return True
    return False


def _add_damaged(index: Index, file: BinaryIO, gap: _Gap, format_: Format) -> _Gap:
    """Adds where damaged segments may be; returns what of the gap is behind the intact heads.

    Damage that goes over the end of a block leaves such a head, and the next block without one.
    """
    rest = gap
    for found in damaged_segments(file, gap.start, gap.end, format_):
        index.add_damaged(found, format_)
        if found.segment > gap.previous:
            rest = gap._replace(start=found.end, previous=found.segment)
    if not gap.is_last:  # Where the last block ends, if it was cut off, is not known.
        for part in (gap, rest):
            for kind, segment in part.blocks(format_.num_segments):
                if kind is Kind.FRAMES:
                    for place in _places(part, kind, segment, format_):
                        found = Damaged(segment, place.size, place.offset, gap.end)
                        index.add_damaged(found, format_)
    return rest


def _places(gap: _Gap, kind: Kind, segment: int, format_: Format | None) -> Iterator[Place]:
    """Yields the block that fills a gap, if there may be one: the length of its head depends on it.

    Where lengths are about to need a byte more, there may be two.
    """
    for length in range(1, _MOST_HEAD):
        size = gap.end - gap.start - length - 1 - CRC_BYTES
        is_possible = 0 <= size <= most_payload(kind, format_)
        if is_possible and len(head_numbers(kind, segment, size)) == length:
            yield Place(kind, segment, gap.end - size, size)


def _has_crc(file: BinaryIO, place: Place) -> bool:
    """Whether the CRC before a payload is that of the block."""
    file.seek(place.offset - CRC_BYTES)
    stated = struct.unpack("<I", read_exactly(file, CRC_BYTES, "a block"))[0]
    crc, left = zlib.crc32(head_numbers(place.kind, place.segment, place.size)), place.size
    while left:
        part = read_exactly(file, min(left, 2**20), "a block")
        crc = zlib.crc32(part, crc)
        left -= len(part)
    return bool(crc == stated)
