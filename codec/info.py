"""What a compressed file says of itself."""

import collections
import os
from collections.abc import Sequence
from typing import NamedTuple

from codec.blocks import Kind, skim_blocks
from codec.header import FINGERPRINT_BYTES, HASH_BYTES, Format, read_header
from codec.model import find_paths, promise
from models.model_file import load_model
from runtime.formatting import format_number, format_timestamp


class Description(NamedTuple):
    """What a compressed file says of itself.

    Attributes:
      rows: label and text.
      problem: what is wrong with it; empty if nothing is.
    """

    rows: list[tuple[str, str]]
    problem: str


def describe_file(path: str, folders: Sequence[str] = ()) -> Description:
    """Returns what a file says of itself, by the heads of its blocks.

    Args:
      path: of a compressed file.
      folders: where its model is looked for, to name it.

    Raises:
      DataError: the header, or the head of a block, is damaged.
      OSError: it cannot be read.
    """
    file_size = os.stat(path).st_size
    with open(path, "rb") as file:
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
    rows = [("file", path)]
    if format_ is None:
        rows.append(("format", "no WAV that could be read: its bytes are kept by LZMA"))
    else:
        rows += _describe_format(format_, folders)
    coded = counts[Kind.FRAMES] + counts[Kind.FRAMES_AS_BYTES]
    if format_ is not None:
        plain = counts[Kind.FRAMES_AS_BYTES]
        text = f"{coded:,} of at most {format_.segment:,} frames"
        rows.append(("segments", text + (f", {plain:,} without the model" if plain else "")))
    samples = sizes[Kind.FRAMES] + sizes[Kind.FRAMES_AS_BYTES]
    around = sizes[Kind.BYTES]
    rows.append(
        (
            "size",
            f"{size:,} bytes: segments {samples:,}, other bytes {around:,}, "
            f"header and end {start + sizes[Kind.END]:,}" + (f"; {problem}" if problem else ""),
        )
    )
    if format_ is not None:
        raw = format_.frames * format_.frame_bytes
        ratio, per_sample = size / max(raw, 1), 8 * size / max(format_.frames * format_.channels, 1)
        rows.append(("ratio", f"{ratio:.4f} of the {raw:,} bytes of the source's samples"))
        rows.append(("bits per sample", f"{per_sample:.3f}, of {format_.encoding.depth} bits"))
    rows.append(("source hash", f"{digest.hex()} (BLAKE2b, {8 * len(digest)} bits)"))
    return Description(rows, problem)


def _describe_format(format_: Format, folders: Sequence[str]) -> list[tuple[str, str]]:
    at_hand = find_paths(format_.fingerprint, folders)
    seconds = format_.frames / format_.sample_rate
    channels = f"{format_.channels} channel{'s' if format_.channels > 1 else ''}"
    rows = [
        ("format", f"{format_.encoding.label}, {channels}, {format_.sample_rate:,} Hz"),
        ("length", f"{format_.frames:,} frames, {format_timestamp(seconds)}"),
        (
            "model",
            f"{format_.fingerprint.hex()[: 2 * FINGERPRINT_BYTES]}"
            + (
                f", {at_hand[0]}"
                if at_hand
                else ", which was not found (--model_dir names folders to look in)"
            ),
        ),
    ]
    if at_hand and (initial := load_model(at_hand[0]).training.get("init_from")):
        rows.append(("initial model", f"{initial['name']} ({initial['fingerprint']})"))
    return [*rows, ("decodes", promise(format_.probe, format_.made_with))]
