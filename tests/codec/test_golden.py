"""Files of `tests/golden`, which must be read forever, and written byte for byte as they are.

Where one changes, the format's version does: `python -m tests.golden.make` makes them anew.
"""

import hashlib
import io
import json
import os
import pathlib

import pytest

from codec.compress import compress_parts
from codec.container import Kind, read_block, read_header
from codec.decompress import decompress_parts, open_compressed
from codec.model import load_codec_model
from tests.models.other_processor import digest_elsewhere

FOLDER = pathlib.Path(__file__).parents[1] / "golden"
MANIFEST = json.loads((FOLDER / "manifest.json").read_text())
MODEL = str(FOLDER / "model.npz")


def read(name: str) -> bytes:
    return (FOLDER / f"{name}.wvst").read_bytes()


def decompress(data: bytes) -> bytes:
    opened = open_compressed(io.BytesIO(data), [load_codec_model(MODEL)])
    return b"".join(decompress_parts(opened))


def compress(data: bytes, segment: int, num_threads: int = 1) -> bytes:
    models = [load_codec_model(MODEL)]
    parts = compress_parts(
        io.BytesIO(data), len(data), models, segment=segment, num_threads=num_threads
    )
    return b"".join(parts)


def digest(num_threads: int = 1) -> str:
    """Of all files, compressed again from what they hold."""
    total = hashlib.sha256()
    for name, about in MANIFEST.items():
        total.update(compress(decompress(read(name)), about["segment"], num_threads))
    return total.hexdigest()


def golden_digest() -> str:
    return hashlib.sha256(b"".join(map(read, MANIFEST))).hexdigest()


@pytest.mark.both_stacks
@pytest.mark.parametrize("name", MANIFEST)
def test_golden_files(name):
    source = decompress(read(name))
    assert hashlib.sha256(source).hexdigest() == MANIFEST[name]["sha256"]
    assert compress(source, MANIFEST[name]["segment"]) == read(name)


def test_all_ways_to_tell_a_segment_are_there():
    flags, depths, variants, kinds = 0, set(), set(), set[Kind]()
    for name in MANIFEST:
        file = io.BytesIO(read(name))
        format_ = read_header(file)
        is_float = format_ is not None and format_.encoding.is_float
        kind = None
        while kind is not Kind.END:
            kind, _, payload, _ = read_block(file)
            kinds.add(kind)
            if kind is Kind.FRAMES:
                flags |= payload[is_float] & 63
                depths.add(payload[is_float] >> 6)
                variants |= {payload[0]} if is_float else set()
    assert kinds == set(Kind)
    assert depths == variants == {0, 1, 2}
    assert flags == 1 | 2 | 4 | 8 | 16  # 32, verbatim, is never smaller than its bytes.


def test_the_same_bytes_from_many_threads():
    assert digest(os.cpu_count() or 2) == golden_digest()


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"NUMBA_CPU_NAME": "generic"}, {"NUMBA_OPT": "1"}])
def test_the_same_bytes_on_another_processor(settings, tmp_path):
    found = digest_elsewhere("tests.codec.test_golden", settings, tmp_path)
    assert found == golden_digest()
