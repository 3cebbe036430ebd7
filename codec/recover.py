"""From a damaged file what is intact."""

import hashlib
import itertools
from collections.abc import Iterator

import numpy as np

from codec import packing
from codec.blocks import Block, Kind, read_block
from codec.canonical import wav_header
from codec.damage import Findings, Index, index_blocks, is_all_lost, lost_segments, ranges
from codec.decoder import Opened, decode_block, plain_header, where
from codec.header import HASH_BYTES, Format, end_payload
from runtime.errors import DataError
from runtime.threads import map_in_threads


def recover_parts(opened: Opened, findings: Findings, *, num_threads: int = 1) -> Iterator[bytes]:
    """Yields what is intact, and silence for the segments that are not.

    Args:
      opened: the file, from `open_damaged`.
      findings: all that is wrong is added to it, and in the end the verdict.
      num_threads: segments at once.

    Raises:
      DataError: no block is intact; `findings` are empty then.
    """
    format_ = opened.format
    report = findings.damage.append
    index = index_blocks(opened, report)
    if is_all_lost(opened, index):
        findings.damage.clear()
        raise DataError("no block is intact: nothing could be recovered")
    lost = {*lost_segments(opened, index)}
    for first, last in ranges(sorted(lost)):
        report(f"{where(format_, first, last)}: silence in its place")
    header = plain_header(opened)
    if format_ and not header and not index.before:
        report("the header of the WAV: a plain one in its place")
        header = wav_header(format_, format_.encoding, format_.frames)

    def decode(found: Block) -> bytes:
        if found.kind is Kind.END:
            return _silence(format_, found.segment)
        try:
            return decode_block(opened, found)
        except DataError as error:
            report(str(error))
            if found.kind is Kind.BYTES:
                return b""
            lost.add(found.segment)
            return _silence(format_, found.segment)

    digest = hashlib.blake2b(digest_size=HASH_BYTES)
    blocks = _blocks_in_order(opened, index)
    parts = map_in_threads(decode, blocks, num_threads, ahead=num_threads)
    for part in itertools.chain([header], parts):
        digest.update(part)
        yield part
    if index.end is None:
        report("the end, with the hash of the source: not found")
    state = None if index.end is None else end_payload(digest.digest(), format_) == index.end
    findings.verdict, findings.is_whole = _verdict(format_, len(lost), state), bool(state)


def _verdict(format_: Format | None, lost: int, matches: bool | None) -> str:
    """Returns whether anything is lost.

    Args:
      format_: of the file.
      lost: segments of it.
      matches: whether the result has the hash of the source; None: that is not known.
    """
    if matches:
        return "nothing is lost: the hash of the source matches"
    count = format_.num_segments if format_ else 0
    if lost:
        return f"{lost} of {count} segments lost"
    intact = f"all {count} segments are intact; " if count else ""
    around = " around them" if count else ""
    if matches is None:
        unknown = "is not known: the hash of the source is damaged"
        return f"{intact}whether bytes{around} are lost {unknown}"
    differs = "the hash of the source differs"
    return f"{intact}{differs}: bytes{around} are lost, or blocks are of another file"


def _blocks_in_order(opened: Opened, index: Index) -> Iterator[Block]:
    """Yields blocks as in an undamaged file, an empty END for each segment that is lost."""

    def read(offset: int) -> Block:
        opened.file.seek(offset)
        return read_block(opened.file, opened.format)

    yield from map(read, index.before)
    for number in range(opened.format.num_segments if opened.format else 0):
        offset = index.segments.get(number)
        yield Block(Kind.END, number, b"", 0) if offset is None else read(offset)
    yield from map(read, index.behind)


def _silence(format_: Format | None, segment: int) -> bytes:
    if format_ is None:
        return b""
    zeros = np.zeros((format_.frames_of(segment), format_.channels), np.int32)
    return packing.pack(zeros, format_.encoding, 0)
