"""What a compressed file says of itself."""

import collections
import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from codec.blocks import MAX_BYTES, Kind, read_block, skim_blocks
from codec.canonical import canonical_header
from codec.header import FINGERPRINT_BYTES, HASH_BYTES, Format, read_header
from codec.model import find_paths
from codec.plain_bytes import unpack_bytes
from codec.values import subtype_of
from models.shipped import model_name
from runtime.errors import DataError
from runtime.formatting import format_number


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Info:
    """What a compressed file says of itself, in the words of `soundfile.info` and more.

    Attributes:
      path: of the file; empty if it has none.
      size: its bytes, up to its end.
      original_size: bytes of the file that was compressed; 0 if a problem hides them.
      model: that decodes it, to be given as `model`: its name if it ships, else its file; empty if
        it was not found, or none is needed.
      source_hash: of the file that was compressed: BLAKE2b, 16 bytes, in hexadecimal.
      problem: what is wrong with it, as far as is seen without decoding; empty if nothing is.
      header: the format of its samples; None: its bytes are kept by LZMA.
      start: bytes of its header.
      counts: its blocks by kind.
      sizes: their bytes.
    """

    path: str
    size: int
    original_size: int
    model: str
    source_hash: str
    problem: str
    header: Format | None
    start: int
    counts: Mapping[Kind, int]
    sizes: Mapping[Kind, int]

    @property
    def format(self) -> str:
        """As that of `SoundFile`: "WVST"."""
        return "WVST"

    @property
    def samplerate(self) -> int:
        """In Hz; 0 if there are no samples, as all of the following."""
        return self.header.sample_rate if self.header else 0

    @property
    def channels(self) -> int:
        """Samples in a frame."""
        return self.header.channels if self.header else 0

    @property
    def frames(self) -> int:
        """In the whole file."""
        return self.header.frames if self.header else 0

    @property
    def duration(self) -> float:
        """In seconds."""
        return self.header.frames / self.header.sample_rate if self.header else 0.0

    @property
    def subtype(self) -> str:
        """Of the samples, such as PCM_16; empty if there are none."""
        return subtype_of(self.header.encoding) if self.header else ""

    @property
    def segment(self) -> int:
        """Most frames of a segment."""
        return self.header.segment if self.header else 0

    @property
    def fingerprint(self) -> str:
        """Of the model, in hexadecimal; empty if none is needed."""
        return self.header.fingerprint.hex()[: 2 * FINGERPRINT_BYTES] if self.header else ""

    @property
    def samples(self) -> int:
        """How many samples there are, of all channels."""
        return self.frames * self.channels

    @property
    def ratio(self) -> float:
        """Compressed over original size; 0 where that is."""
        return self.size / self.original_size if self.original_size else 0.0

    @property
    def bits_per_sample(self) -> float:
        """Of the whole file."""
        return 8 * self.size / self.samples if self.samples else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Returns all of it as JSON values; null for what it does not have."""
        of_samples = (
            *("samplerate", "channels", "frames", "duration", "subtype", "bits_per_sample"),
            *("segment", "fingerprint"),
        )
        return {
            "path": self.path or None,
            "size": self.size,
            "original_size": self.original_size,
            "ratio": self.ratio if self.original_size else None,
            **{name: getattr(self, name) if self.header else None for name in of_samples},
            "model": self.model or None,
            "source_hash": self.source_hash,
            "problem": self.problem or None,
        }

    def __repr__(self) -> str:
        """Returns the names and values that it has, in one line."""
        known = (f"{name}={value!r}" for name, value in self.as_dict().items() if value is not None)
        return f"Info({', '.join(known)})"


def read_info(file: BinaryIO, folders: Sequence[str] = ()) -> Info:
    """Returns what a file says of itself, by the heads of its blocks.

    Args:
      file: a compressed file, from its beginning; it can seek.
      folders: where its model is looked for, to name it.

    Raises:
      DataError: the header, or the head of a block, is damaged.
      OSError: it cannot be read.
    """
    file_size = file.seek(0, os.SEEK_END)
    file.seek(0)
    header = read_header(file)
    counts: collections.Counter[Kind] = collections.Counter()
    sizes: collections.Counter[Kind] = collections.Counter()
    others = collections.defaultdict(list)  # Where bytes are, before and behind the frames.
    position = start = file.tell()
    digest = b""
    for found in skim_blocks(file, header):
        counts[found.kind] += 1
        sizes[found.kind] += file.tell() - position
        position = file.tell()
        if found.kind is Kind.BYTES:
            others[found.segment].append(found.offset)
        digest = found.payload[:HASH_BYTES]  # The END's, in the end.
    problems = []
    if file_size > position:  # What follows the end is not of this file.
        problems.append(f"{format_number(file_size - position, 'byte')} after the end")
    segments = counts[Kind.FRAMES] + counts[Kind.FRAMES_AS_BYTES]
    if header is not None and segments != header.num_segments:
        problems.append(f"{segments:,} segments, expected {header.num_segments:,}")
    original_size = 0
    try:
        original_size = _original_size(file, header, others)
    except DataError as error:
        problems.append(str(error))
    return Info(
        path=file.name if isinstance(getattr(file, "name", None), str) else "",
        size=position,
        original_size=original_size,
        model="" if header is None else _model_of(header.fingerprint, tuple(folders)),
        source_hash=digest.hex(),
        problem="; ".join(problems),
        header=header,
        start=start,
        counts=counts,
        sizes=sizes,
    )


def _original_size(
    file: BinaryIO, header: Format | None, others: Mapping[int, Sequence[int]]
) -> int:
    """Returns the bytes of what was compressed: of frames, and of others, which lie at `others`."""
    size = 0
    if header is not None:
        size = header.frames * header.frame_bytes
        size += len(canonical_header(header)) if header.has_plain_header else 0
    for places in others.values():  # All but the last have as many as there may be.
        file.seek(places[-1])
        last = unpack_bytes(read_block(file, header).payload, MAX_BYTES)
        size += MAX_BYTES * (len(places) - 1) + len(last)
    return size


@functools.lru_cache
def _model_of(fingerprint: bytes, folders: tuple[str, ...]) -> str:
    """Returns the name of a model, or an empty text; all models are read to find it."""
    return next(map(model_name, find_paths(fingerprint, folders)), "")
