"""A program ends although the graph still reads."""

import signal
import subprocess
import sys

import pytest

from pipeline.wav.encoding import Encoding
from tests.wav_files import random_frames, write_wav

pytestmark = pytest.mark.both_stacks

PROGRAM = """
import os, sys, time
from pipeline.reading.chunk_index import Chunks
from pipeline.catalogue.catalogue import build_catalogue
from pipeline.config import PipelineConfig
from pipeline.dataset import make_dataset
from pipeline.iterate import iterate

preadv = os.preadv
def slow_preadv(*arguments):
    time.sleep(0.05)  # So that the program ends while a thread of the graph is in Python.
    return preadv(*arguments)
os.preadv = slow_preadv
catalogue = build_catalogue([sys.argv[1]])
chunks = Chunks(catalogue=catalogue, config=PipelineConfig(chunk_size=64, batch_size=2))
iterator = iterate(make_dataset(chunks))  # Lives until the interpreter is taken down.
next(iterator)
"""
# A traceback refers to the iterator, too.
INTERRUPTED = """
import os, signal, threading

threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
for _ in iterator:
    pass
"""


@pytest.mark.parametrize(
    ("program", "status"), [(PROGRAM, 0), (PROGRAM + INTERRUPTED, -signal.SIGINT)]
)
def test_a_program_with_a_living_iterator_ends(tmp_path, program, status):
    for number in range(20):
        frames = random_frames(Encoding.S16, 5000, 1, seed=number)
        write_wav(tmp_path / f"{number}.wav", frames, Encoding.S16)
    command = [sys.executable, "-c", program, str(tmp_path)]
    assert subprocess.run(command, check=False, timeout=60).returncode == status
