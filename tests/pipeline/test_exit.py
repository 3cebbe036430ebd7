"""A program ends although the graph still reads."""

import subprocess
import sys

from pipeline.wav.encoding import Encoding
from tests.wav_files import random_frames, write_wav

PROGRAM = """
import sys, time
from pipeline.reading import read_chunks as read
from pipeline.reading.chunks import Chunks
from pipeline.catalogue.catalogue import build_catalogue
from pipeline.config import PipelineConfig
from pipeline.dataset import make_dataset

read_ranges = read.read_ranges
def slowly(*arguments, **keywords):
    result = read_ranges(*arguments, **keywords)
    time.sleep(0.05)  # So that the program's end finds a thread in here.
    return result
read.read_ranges = slowly
catalogue = build_catalogue([sys.argv[1]])
chunks = Chunks(catalogue=catalogue, config=PipelineConfig(chunk_size=64, batch_size=2))
iterator = make_dataset(chunks).as_numpy_iterator()  # Lives until the interpreter is taken down.
next(iterator)
"""


def test_a_program_with_a_living_iterator_ends(tmp_path):
    for number in range(20):
        frames = random_frames(Encoding.S16, 5000, 1, seed=number)
        write_wav(tmp_path / f"{number}.wav", frames, Encoding.S16)
    subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], check=True, timeout=60)
