"""Files of `tests/golden`, which must be read forever, and written byte for byte as they are.

Where one changes, the format's version does: `python -m tests.golden.make` makes them anew.
"""

import hashlib
import io
import os
import subprocess
import sys

import pytest

from codec.blocks import Kind, read_block
from codec.checksums import CHECKSUM_BYTES, count_checksums
from codec.header import read_header
from tests.golden.check import MANIFEST, compress, decompress, digest, golden_digest, read
from tests.models.other_processor import ROOT, digest_elsewhere


@pytest.mark.both_stacks
@pytest.mark.parametrize("name", MANIFEST)
def test_golden_files(name):
    source = decompress(read(name))
    assert hashlib.sha256(source).hexdigest() == MANIFEST[name]["sha256"]
    assert compress(source, MANIFEST[name]["segment"]) == read(name)


def test_all_ways_to_tell_a_segment_are_there():
    flags, depths, variants, counts, kinds = 0, set(), set(), set(), set[Kind]()
    for name in MANIFEST:
        file = io.BytesIO(read(name))
        format_ = read_header(file)
        is_float = format_ is not None and format_.encoding.is_float
        kind = None
        while kind is not Kind.END:
            kind, number, payload, _ = read_block(file)
            kinds.add(kind)
            if kind is Kind.FRAMES:
                count = count_checksums(len(payload), format_, number)
                counts.add(count)
                payload = payload[CHECKSUM_BYTES * count :]
                flags |= payload[is_float] & 63
                depths.add(payload[is_float] >> 6)
                variants |= {payload[0]} if is_float else set()
    assert kinds == set(Kind) and counts == {0, 1}
    assert depths == variants == {0, 1, 2}
    assert flags == 1 | 2 | 4 | 8 | 16  # 32, verbatim, is never smaller than its bytes.


def test_the_same_bytes_from_many_threads():
    assert digest(max(4, os.cpu_count() or 1)) == golden_digest()


def test_files_are_coded_without_tensorflow_and_jax():
    """They take most of the time that a short file takes, and are missing on small machines."""
    code = (
        "import sys; from tests.golden import check; check.compress(check.decompress("
        "check.read('s16_2')), 300); import commands.compress, commands.decompress, codec.api; "
        "assert not {'tensorflow', 'jax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.slow
def test_the_same_bytes_on_another_processor(tmp_path):
    found = digest_elsewhere("tests.golden.check", {"NUMBA_CPU_NAME": "generic"}, tmp_path)
    assert found == golden_digest()
