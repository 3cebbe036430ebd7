"""What is intact of a damaged segment: its beginning, as far as checksums within it show."""

import contextlib
import itertools
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from codec.checksums import count_checksums
from codec.decoder import Opened
from codec.frames import decode_frames
from codec.search import Damaged
from runtime.errors import DataError


class Beginning(NamedTuple):
    """What there is of the payload of a damaged segment.

    Attributes:
      segment: its number.
      payload: the bytes that are there.
      missing: how many follow that are not.
    """

    segment: int
    payload: bytes
    missing: int


def read_beginning(file: BinaryIO, found: Damaged) -> Beginning:
    """Returns what there is of a damaged segment."""
    file.seek(found.offset)
    payload = file.read(found.end - found.offset)
    return Beginning(found.segment, payload, found.size - len(payload))


def intact_parts(opened: Opened, found: Beginning, num_threads: int = 1) -> Iterator[bytes]:
    """Yields the bytes of the source that are right, one part after the other.

    Args:
      opened: the file.
      found: what there is of the segment.
      num_threads: that its channels share.
    """
    format_, model, number = opened.format, opened.model, found.segment
    if format_ is None or model is None:
        return
    count = count_checksums(len(found.payload) + found.missing, format_, number)
    parts = decode_frames(
        model, format_, number, found.payload, missing=found.missing, num_threads=num_threads
    )
    with contextlib.suppress(DataError):  # The damage.
        yield from itertools.islice(parts, count)
