"""What a compressed file says of itself."""

import collections
import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

from codec.blocks import Kind, skim_blocks
from codec.header import FINGERPRINT_BYTES, HASH_BYTES, Format, read_header
from codec.model import find_paths, promise
from codec.values import subtype_of
from models.model_file import load_model
from runtime.formatting import format_number, format_timestamp


class Info(NamedTuple):
    """What a compressed file says of itself.

    Attributes:
      path: of the file; empty if it has none.
      format: of its samples; None: its bytes are kept by LZMA.
      model: the file of its model; empty if it was not found, or none is needed.
      size: its bytes, up to its end.
      before: bytes of its header.
      counts: its blocks by kind.
      sizes: their bytes.
      digest: the hash of its source, BLAKE2b, 16 bytes.
      problem: what is wrong with it; empty if nothing is.
    """

    path: str
    format: Format | None
    model: str
    size: int
    before: int
    counts: Mapping[Kind, int]
    sizes: Mapping[Kind, int]
    digest: bytes
    problem: str

    @property
    def samplerate(self) -> int:
        """In Hz; 0 if there are no samples, as all of the following."""
        return self.format.sample_rate if self.format else 0

    @property
    def channels(self) -> int:
        """Samples in a frame."""
        return self.format.channels if self.format else 0

    @property
    def frames(self) -> int:
        """In the whole file."""
        return self.format.frames if self.format else 0

    @property
    def duration(self) -> float:
        """In seconds."""
        return self.format.frames / self.format.sample_rate if self.format else 0.0

    @property
    def subtype(self) -> str:
        """Of the samples, such as PCM_16; empty if there are none."""
        return subtype_of(self.format.encoding) if self.format else ""

    @property
    def fingerprint(self) -> str:
        """Of the model, in hexadecimal; empty if none is needed."""
        return self.format.fingerprint.hex()[: 2 * FINGERPRINT_BYTES] if self.format else ""

    @property
    def sample_bytes(self) -> int:
        """Bytes of the source's samples."""
        return self.format.frames * self.format.frame_bytes if self.format else 0

    @property
    def samples(self) -> int:
        """How many samples there are, of all channels."""
        return self.frames * self.channels

    @property
    def ratio(self) -> float:
        """Of its bytes to those of the samples; 0 if there are none."""
        return self.size / self.sample_bytes if self.sample_bytes else 0.0

    @property
    def bits_per_sample(self) -> float:
        """Of the whole file."""
        return 8 * self.size / self.samples if self.samples else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Returns all of it as JSON values; null for what a file without samples does not have."""
        names = (
            *("samplerate", "channels", "frames", "duration", "subtype", "fingerprint", "model"),
            *("sample_bytes", "ratio", "bits_per_sample"),
        )
        known = {name: getattr(self, name) if self.format else None for name in names}
        return {
            "path": self.path,
            "size": self.size,
            **known,
            "source_hash": self.digest.hex(),
            "problem": self.problem or None,
        }

    def rows(self) -> list[tuple[str, str]]:
        """Returns all of it, as rows of label and text."""
        format_, counts, sizes = self.format, self.counts, self.sizes
        rows = [("file", self.path)]
        if format_ is None:
            rows.append(("format", "no WAV that could be read: its bytes are kept by LZMA"))
        else:
            rows += _describe_format(format_, self.duration, self.model)
            plain = counts[Kind.FRAMES_AS_BYTES]
            coded = counts[Kind.FRAMES] + plain
            text = f"{coded:,} of at most {format_.segment:,} frames"
            rows.append(("segments", text + (f", {plain:,} without the model" if plain else "")))
        samples = sizes[Kind.FRAMES] + sizes[Kind.FRAMES_AS_BYTES]
        rows.append(
            (
                "size",
                f"{self.size:,} bytes: segments {samples:,}, other bytes {sizes[Kind.BYTES]:,}, "
                f"header and end {self.before + sizes[Kind.END]:,}"
                + (f"; {self.problem}" if self.problem else ""),
            )
        )
        if format_ is not None:
            rows.append(
                (
                    "ratio",
                    f"{self.ratio:.4f} of the {self.sample_bytes:,} bytes of the source's samples",
                )
            )
            rows.append(
                ("bits per sample", f"{self.bits_per_sample:.3f}, of {format_.encoding.depth} bits")
            )
        digest = self.digest
        rows.append(("source hash", f"{digest.hex()} (BLAKE2b, {8 * len(digest)} bits)"))
        return rows


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
    format_ = read_header(file)
    counts: collections.Counter[Kind] = collections.Counter()
    sizes: collections.Counter[Kind] = collections.Counter()
    position = start = file.tell()
    digest = b""
    for found in skim_blocks(file):
        counts[found.kind] += 1
        sizes[found.kind] += file.tell() - position
        position = file.tell()
        digest = found.payload[:HASH_BYTES]  # The END's, in the end.
    size = position  # What follows the end is not of this file.
    problem = f"{format_number(file_size - size, 'byte')} after the end" if file_size > size else ""
    model = "" if format_ is None else _model_of(format_.fingerprint, tuple(folders))
    path = file.name if isinstance(getattr(file, "name", None), str) else ""
    return Info(path, format_, model, size, start, counts, sizes, digest, problem)


@functools.lru_cache
def _model_of(fingerprint: bytes, folders: tuple[str, ...]) -> str:
    """Returns the file of a model, or an empty text; all models are read to find it."""
    return next(iter(find_paths(fingerprint, folders)), "")


def _describe_format(format_: Format, seconds: float, model: str) -> list[tuple[str, str]]:
    channels = f"{format_.channels} channel{'s' if format_.channels > 1 else ''}"
    where = model or "which was not found (--model_dir names folders to look in)"
    rows = [
        ("format", f"{format_.encoding.label}, {channels}, {format_.sample_rate:,} Hz"),
        ("length", f"{format_number(format_.frames, 'frame')}, {format_timestamp(seconds)}"),
        ("model", f"{format_.fingerprint.hex()[: 2 * FINGERPRINT_BYTES]}, {where}"),
    ]
    if model and (initial := load_model(model).training.get("init_from")):
        rows.append(("initial model", f"{initial['name']} ({initial['fingerprint']})"))
    return [*rows, ("decodes", promise(format_.probe, format_.made_with))]
