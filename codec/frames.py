"""The payload of a segment that a model codes: checksums, variant and segment; and back.

n frames of a segment, m that follow each other, C channels.
"""

import contextlib
from collections.abc import Generator

import numpy as np

from codec import packing
from codec.checksums import CHECKSUM_BYTES, add_checksums, checked, count_checksums
from codec.fields import Fields
from codec.header import Format
from codec.model import CodecModel
from codec.segments import decode_segment
from models.interface import Advance, no_advance
from runtime.errors import DataError


def frames_payload(
    segment: bytes, variant: int, source: bytes, format_: Format, number: int
) -> bytes:
    """Returns the payload of a block of FRAMES.

    Args:
      segment: what `encode_segment` has made of it.
      variant: see `packing`.
      source: the bytes of its frames.
      format_: of the file.
      number: of the segment.
    """
    payload = packing.pack_variant(variant, format_.encoding) + segment
    return add_checksums(payload, source, format_, number)


def decode_frames(
    model: CodecModel,
    format_: Format,
    number: int,
    payload: bytes,
    *,
    missing: int = 0,
    num_threads: int = 1,
    advance: Advance = no_advance,
) -> Generator[bytes]:
    """Yields the bytes of a segment's frames: a part for each checksum, and the rest.

    Args:
      model: that has coded them.
      format_: of the file.
      number: of the segment.
      payload: of its block, which may be damaged.
      missing: bytes that should follow it.
      num_threads: that its channels share.
      advance: is told what has been decoded.

    Raises:
      DataError: the payload is damaged; all parts but the last that were yielded are right.
    """
    count = count_checksums(len(payload) + missing, format_, number)
    fields = Fields(payload, missing)
    checksums = fields.take(CHECKSUM_BYTES * count)
    variant = sum(fields.take(len(packing.pack_variant(0, format_.encoding))))
    if variant >= packing.NUM_VARIANTS:
        raise DataError(f"samples are packed by the unknown way {variant}")
    pieces = decode_segment(
        model.coder,
        fields,
        format_.frames_of(number),
        format_.channels,
        num_threads=num_threads,
        advance=advance,
    )
    parts = (_pack(frames, format_, variant) for frames in pieces)
    yield from checked(parts, checksums, format_, number)


def join_first(parts: Generator[bytes], size: int) -> bytes:
    """Returns the first parts of a segment, up to so many bytes or more; others are not decoded."""
    data = bytearray()
    with contextlib.closing(parts) as open_parts:  # It may hold threads.
        while len(data) < size and (part := next(open_parts, b"")):
            data += part
    return bytes(data)


def _pack(frames: np.ndarray, format_: Format, variant: int) -> bytes:  # frames: int32 [m, C]
    half = 2 ** (packing.depth_of(format_.encoding) - 1)
    if not -half <= frames.min(initial=0) <= frames.max(initial=0) < half:
        raise DataError(f"samples have more bits than {format_.encoding.label} samples may have")
    return packing.pack(frames, format_.encoding, variant)
