"""Decodes and compresses the golden files once more: `python -m tests.golden.check`.

It needs no more than the codec does, and so runs where little is installed.
"""

import hashlib
import io
import json
import os
import pathlib
import sys

from codec.decoder import decompress_parts, open_compressed
from codec.encoder import compress_parts
from codec.model import CodecModel, load_codec_model

FOLDER = pathlib.Path(__file__).parent
MANIFEST = json.loads((FOLDER / "manifest.json").read_text())


def model() -> CodecModel:
    """The one that they are coded with."""
    return load_codec_model(str(FOLDER / "model.npz"))


def read(name: str) -> bytes:
    """A compressed file."""
    return (FOLDER / f"{name}.wav.wvst").read_bytes()


def decompress(data: bytes) -> bytes:
    """The source."""
    return b"".join(decompress_parts(open_compressed(io.BytesIO(data), [model()])))


def compress(data: bytes, segment: int, num_threads: int = 1) -> bytes:
    """The compressed file."""
    parts = compress_parts(
        io.BytesIO(data), len(data), [model()], segment=segment, num_threads=num_threads
    )
    return b"".join(parts)


def digest(num_threads: int = 1) -> str:
    """Of all files, compressed again from what they hold."""
    total = hashlib.sha256()
    for name, about in MANIFEST.items():
        total.update(compress(decompress(read(name)), about["segment"], num_threads))
    return total.hexdigest()


def golden_digest() -> str:
    """Of all files."""
    return hashlib.sha256(b"".join(map(read, MANIFEST))).hexdigest()


def main() -> None:
    """Compares, and ends with status 1 if anything differs."""
    wrong = []
    for name, about in MANIFEST.items():
        source = decompress(read(name))
        if hashlib.sha256(source).hexdigest() != about["sha256"]:
            wrong.append(f"{name}: decoded to another source")
        elif compress(source, about["segment"], os.cpu_count() or 1) != read(name):
            wrong.append(f"{name}: compressed to other bytes")
    print("\n".join(wrong) or f"{len(MANIFEST)} golden files: the same bytes")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
