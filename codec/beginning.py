"""What is intact of a damaged segment: its beginning, as far as checksums within it show."""

import contextlib
import itertools
import sys
from collections.abc import Generator, Iterable
from typing import BinaryIO, NamedTuple

from codec.checksums import count_checksums
from codec.decoder import Opened
from codec.frames import decode_frames, join_first
from codec.search import Damaged
from runtime.errors import DataError


class Beginning(NamedTuple):
    """What there is of a damaged segment.

    Attributes:
      segment: its number.
      payloads: what may be its payload: the bytes that are there, and how many follow that are not.
    """

    segment: int
    payloads: list[tuple[bytes, int]]


def read_beginning(file: BinaryIO, segment: int, places: Iterable[Damaged]) -> Beginning:
    """Returns what there is of a damaged segment.

    Args:
      file: the file.
      segment: its number.
      places: where it may be.
    """
    payloads = []
    for place in places:
        file.seek(place.offset)
        payload = file.read(place.end - place.offset)
        payloads.append((payload, place.size - len(payload)))
    return Beginning(segment, payloads)


def intact_bytes(
    opened: Opened, found: Beginning, *, frames: int | None = None, num_threads: int = 1
) -> bytes:
    """Returns the bytes of the source, from the segment's first on, that are right.

    Args:
      opened: the file.
      found: what there is of the segment.
      frames: that are enough: the result may end behind them; None: all.
      num_threads: that its channels share.
    """
    size = sys.maxsize
    if opened.format is not None and frames is not None:
        size = frames * opened.format.frame_bytes
    parts = (
        join_first(_intact_parts(opened, found.segment, *payload, num_threads), size)
        for payload in found.payloads
    )
    return max(parts, key=len, default=b"")


def is_any_intact(opened: Opened, found: Beginning) -> bool:
    """Whether of a damaged segment there is anything."""
    return any(any(_intact_parts(opened, found.segment, *x, 1)) for x in found.payloads)


def _intact_parts(
    opened: Opened, number: int, payload: bytes, missing: int, num_threads: int
) -> Generator[bytes]:
    """Yields the bytes of the source that are right, one part after the other."""
    format_, model = opened.format, opened.model
    if format_ is None or model is None:
        return
    count = count_checksums(len(payload) + missing, format_, number)
    parts = decode_frames(model, format_, number, payload, missing=missing, num_threads=num_threads)
    with contextlib.suppress(DataError):  # The damage.
        yield from itertools.islice(parts, count)
