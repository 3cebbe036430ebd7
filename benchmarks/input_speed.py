"""Input speed and memory beside other ways of reading chunks of audio in random order.

    python benchmarks/input_speed.py                       # both corpora, then memory
    python benchmarks/input_speed.py --rounds=5 --data=/big/disk

It writes 1.8 GB of noise, as 44.1 kHz stereo 16-bit WAVs, and reads it back from the page cache.
All ways make batches of 128 chunks of 2048 samples, downmixed to mono and requantized to 8 bits.
Each runs in a process of its own, so that its peak memory is its own, and the ways take turns, so
that a busy machine slows all of them alike: read the ratios. The time to the first batch counts
from the names of the files on; wavestream's includes the scan of all headers. Grain and torch run
where they are installed.
"""

import argparse
import glob
import importlib.util
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

_CHUNK = 2048
_BATCH = 128
_FRAME_BYTES = 4
_CHUNK_BYTES = _CHUNK * _FRAME_BYTES
_HEADER_BYTES = 44
_SAMPLE_RATE = 44100
_SHUFFLE = 4096
_MAX_SECONDS = 10.0  # The slow ways read no more than this lets them.

# Files, and seconds of each.
_CORPORA = {"long": (64, 60.0), "short": (5000, 0.5), "minute": (6, 60.0), "tenfold": (6, 600.0)}


def decode_wav(paths: list[str]) -> Iterator[Any]:
    """Whole files through tf.audio, and a shuffle buffer."""
    import tensorflow as tf

    def chunks(path: tf.Tensor) -> tf.data.Dataset:
        audio, _ = tf.audio.decode_wav(tf.io.read_file(path))
        samples = tf.cast(tf.floor(tf.reduce_mean(audio, axis=1) * 128), tf.int8)
        whole = tf.size(samples) // _CHUNK * _CHUNK
        return tf.data.Dataset.from_tensor_slices(tf.reshape(samples[:whole], [-1, _CHUNK]))

    files = tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths)).repeat()
    dataset = files.interleave(chunks, cycle_length=16, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.shuffle(_SHUFFLE).batch(_BATCH).prefetch(2).as_numpy_iterator()


def fixed_length_records(paths: list[str]) -> Iterator[Any]:
    """Each file streamed as records of a chunk, and a shuffle buffer."""
    import tensorflow as tf

    footer = (os.path.getsize(paths[0]) - _HEADER_BYTES) % _CHUNK_BYTES  # All are of one length.

    def records(path: tf.Tensor) -> tf.data.Dataset:
        return tf.data.FixedLengthRecordDataset(path, _CHUNK_BYTES, _HEADER_BYTES, footer)

    def decode(records: tf.Tensor) -> tf.Tensor:
        frames = tf.reshape(tf.io.decode_raw(records, tf.int16), [-1, _CHUNK, 2])
        frames = tf.cast(frames, tf.int32)
        mono = tf.bitwise.right_shift(frames[..., 0] + frames[..., 1], 1)
        return tf.cast(tf.bitwise.right_shift(mono, 8), tf.int8)

    files = tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths)).repeat()
    dataset = files.interleave(records, cycle_length=16, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.shuffle(_SHUFFLE).batch(_BATCH)
    return dataset.map(decode, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2).as_numpy_iterator()


def wavestream(paths: list[str]) -> Iterator[Any]:
    """This project."""
    from pipeline.catalogue.catalogue import build_catalogue
    from pipeline.config import PipelineConfig
    from pipeline.dataset import make_dataset
    from pipeline.iterate import iterate
    from pipeline.reading.chunk_index import Chunks

    catalogue = build_catalogue([os.path.dirname(paths[0])])
    config = PipelineConfig(chunk_size=_CHUNK, batch_size=_BATCH)
    return iterate(make_dataset(Chunks(catalogue=catalogue, config=config)))


class RandomChunks:
    """Chunk i of the corpus, read alone: what map-style loaders want."""

    def __init__(self, paths: list[str]):
        frames = (os.path.getsize(paths[0]) - _HEADER_BYTES) // _FRAME_BYTES
        self._paths = paths
        self._chunks_a_file = frames // _CHUNK

    def __len__(self) -> int:
        return len(self._paths) * self._chunks_a_file

    def __getitem__(self, index: int) -> np.ndarray:
        import soundfile

        file, chunk = divmod(int(index), self._chunks_a_file)
        frames, _ = soundfile.read(
            self._paths[file], frames=_CHUNK, start=chunk * _CHUNK, dtype="int16"
        )
        mono = (frames[:, 0].astype(np.int32) + frames[:, 1]) >> 1
        return (mono >> 8).astype(np.int8)


def grain(paths: list[str]) -> Iterator[Any]:
    """Grain over random chunks, with its default of 16 threads."""
    import grain.python

    dataset = grain.python.MapDataset.source(RandomChunks(paths)).seed(0).shuffle().repeat()
    return iter(dataset.to_iter_dataset().batch(_BATCH))


def torch(paths: list[str]) -> Iterator[Any]:
    """Torch's DataLoader over random chunks, a worker a core."""
    from torch.utils.data import DataLoader

    while True:
        yield from DataLoader(
            RandomChunks(paths),
            batch_size=_BATCH,
            shuffle=True,
            num_workers=os.cpu_count() or 1,
            drop_last=True,
        )


def limit(paths: list[str]) -> Iterator[Any]:
    """The same bytes in pieces of a run from random places, by preadv and nothing else."""
    payload = os.path.getsize(paths[0]) - _HEADER_BYTES
    piece = min(64 * _CHUNK_BYTES, payload // _CHUNK_BYTES * _CHUNK_BYTES)
    buffer = bytearray(piece)
    rng = np.random.default_rng(0)
    read = 0
    while True:
        descriptor = os.open(paths[rng.integers(len(paths))], os.O_RDONLY)
        os.preadv(descriptor, [buffer], int(rng.integers(payload - piece + 1)) + _HEADER_BYTES)
        os.close(descriptor)
        read += piece
        while read >= _BATCH * _CHUNK_BYTES:
            read -= _BATCH * _CHUNK_BYTES
            yield None


_WAYS: dict[str, Callable[[list[str]], Iterator[Any]]] = {
    "decode_wav": decode_wav,
    "fixed_length_records": fixed_length_records,
    "wavestream": wavestream,
    "grain": grain,
    "torch": torch,
    "limit": limit,
}
_IMPORTS = {
    "decode_wav": "tensorflow",
    "fixed_length_records": "tensorflow",
    "wavestream": "pipeline.dataset",
    "grain": "grain",
    "torch": "torch",
}


def measure(way: str, folder: str, chunks: int) -> dict[str, float]:
    """Reads chunks one way; called in a process of its own."""
    if way in _IMPORTS:
        importlib.import_module(_IMPORTS[way])
    imports = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    batches = _WAYS[way](sorted(glob.glob(f"{folder}/*.wav")))
    next(batches)
    first = time.perf_counter()
    cpu = time.process_time()
    count = 0
    while count < chunks and time.perf_counter() < first + _MAX_SECONDS:
        next(batches)
        count += _BATCH
    end = time.perf_counter()
    return {
        "steady": count / (end - first),
        "overall": (count + _BATCH) / (end - start),
        "first": first - start,
        "cpu": (time.process_time() - cpu) / count * 1e6,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "imports": imports / 1024,
    }


def run(way: str, folder: str, chunks: int) -> dict[str, float]:
    """`measure` in a process of its own."""
    command = [sys.executable, __file__, "--way", way, "--data", folder, "--chunks", str(chunks)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{way} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(ways: list[str], folder: str, chunks: int, rounds: int) -> None:
    """Prints a table of the medians over rounds in which the ways take turns."""
    results: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            results[way].append(run(way, folder, chunks))
    print(
        f"{'way':22}{'chunks/s':>10}{'ratio':>8}{'lowest':>8}{'with start':>12}{'ratio':>8}"
        f"{'first batch':>13}{'CPU us/chunk':>14}{'peak MiB':>10}{'imports':>9}"
    )
    first = results[ways[0]]
    for way, measured in results.items():
        median = {key: statistics.median(row[key] for row in measured) for key in measured[0]}
        ratios = {
            key: [row[key] / base[key] for row, base in zip(measured, first, strict=True)]
            for key in ("steady", "overall")
        }
        print(
            f"{way:22}{median['steady']:10,.0f}{statistics.median(ratios['steady']):8.2f}"
            f"{min(ratios['steady']):8.2f}{median['overall']:12,.0f}"
            f"{statistics.median(ratios['overall']):8.2f}{median['first']:11.2f} s"
            f"{median['cpu']:14.1f}{median['peak']:10,.0f}{median['imports']:9,.0f}",
            flush=True,
        )


def write_corpus(folder: str, files: int, seconds: float) -> None:
    """Writes stereo 16-bit noise, unless it is there already."""
    if os.path.isdir(folder):
        return
    os.makedirs(folder)
    frames = round(seconds * _SAMPLE_RATE)
    block = min(frames, 60 * _SAMPLE_RATE)
    rng = np.random.default_rng(0)
    for number in range(files):
        with wave.open(f"{folder}/{number:04}.wav", "wb") as file:
            file.setparams((2, 2, _SAMPLE_RATE, 0, "NONE", ""))
            noise = rng.integers(-(2**15), 2**15, (block, 2), np.int16).tobytes()
            for _ in range(frames // block):
                file.writeframes(noise)


def main() -> None:
    """Parses arguments, writes the corpora, runs and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each way has its turn")
    # Many: wavestream reads up to four windows of 32,768 ahead, which count where it ends, too.
    parser.add_argument("--chunks", type=int, default=400_000, help="read in each turn")
    parser.add_argument("--data", help="a folder to keep the corpora in; a temporary one if none")
    parser.add_argument("--way", choices=_WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(measure(arguments.way, arguments.data, arguments.chunks)))
        return

    ways = list(_WAYS)
    for way in ("grain", "torch"):
        if not importlib.util.find_spec(way) or not importlib.util.find_spec("soundfile"):
            print(f"{way} is left out: {way} and soundfile are not both installed")
            ways.remove(way)
    with tempfile.TemporaryDirectory() as temporary:
        data = arguments.data or temporary
        for name, (files, seconds) in _CORPORA.items():
            write_corpus(f"{data}/{name}", files, seconds)
        for name in ("long", "short"):
            files, seconds = _CORPORA[name]
            print(f"\n{files:,} files of {seconds:g} s")
            compare(ways, f"{data}/{name}", arguments.chunks, arguments.rounds)
        print("\npeak memory in MiB while files grow tenfold, the number of chunks being the same")
        for way in ("decode_wav", "fixed_length_records", "wavestream"):
            peaks = [
                run(way, f"{data}/{name}", arguments.chunks)["peak"]
                for name in ("minute", "tenfold")
            ]
            print(f"{way:22}6 files of 60 s: {peaks[0]:6,.0f}   of 600 s: {peaks[1]:6,.0f}")


if __name__ == "__main__":
    main()
