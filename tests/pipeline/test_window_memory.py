"""Shuffle windows take no more memory than `check_memory` counts."""

import pathlib
import subprocess
import sys

import pytest

from pipeline.wav.encoding import Encoding
from tests.wav_files import random_frames, write_wav

ROOT = pathlib.Path(__file__).parents[2]

_READ = """
import itertools, resource, sys
from pipeline.catalogue.catalogue import build_catalogue
from pipeline.config import PipelineConfig
from pipeline.dataset import make_dataset
from pipeline.reading.chunk_index import Chunks

def peak_after(window_chunks, steps):
    config = PipelineConfig(
        chunk_size=2**16, batch_size=8, shuffle_window=window_chunks, chunks_per_read=1
    )
    chunks = Chunks(catalogue=build_catalogue([sys.argv[1]]), config=config)
    for _ in itertools.islice(make_dataset(chunks), steps):
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

before = peak_after(1024, 1)
print(peak_after(4096, 1200) - before)
"""


@pytest.mark.slow
def test_reading_takes_less_than_four_windows(tmp_path):
    write_wav(tmp_path / "a.wav", random_frames(Encoding.S16, 2**22, 1), Encoding.S16)
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout.splitlines()[-1]) < 4 * 256  # MiB
