"""A petabyte's catalogue: memory, disk, and the time until a resumed run has its first batch.

    python benchmarks/catalogue_scale.py --files=1000000      # half a minute
    python benchmarks/catalogue_scale.py --files=100000000    # 10 minutes, 12 GB of disk and memory

It makes up the catalogue of so many files of 10.6 MB (a minute of 44.1 kHz stereo in 16 bits), each
with a name of its own. That a batch can be read from any of them costs one real file and 4,096
links to it: "x//.//a.wav" and "x/././a.wav" are two names of one file, so dots and slashes number
the files. Then a new process does what each host does when a run is resumed, and
reads its share of a batch. `docs/how_to/petabyte.md` says what follows from the figures.
"""

import argparse
import dataclasses
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from typing import Any

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from pipeline.catalogue.catalogue import find_and_scan
from pipeline.catalogue.catalogue_file import open_catalogue
from pipeline.catalogue.column_file import allocate, downcast
from pipeline.catalogue.string_array import join
from pipeline.catalogue.table import FileTable
from pipeline.config import PipelineConfig
from pipeline.split import hash_to_unit, split_catalogue
from runtime import filesystem

_SECONDS, _SAMPLE_RATE, _CHANNELS = 60, 44100, 2
_LINKS = 4096
_NUMBER_BITS = (
    15  # of the number of a file, written in dots and slashes; the rest is the link's name
)
_VALID_FRACTION = 0.01
_SEED = 42
_BLOCK = 2**20
_REQUEST_BYTES = 2**19  # what `tf.io.gfile` asks a bucket for, see `pipeline/__init__.py`.
_SCANNED = 50_000  # files that are really listed and scanned


class Clock:
    """Prints the wall time of steps, and what is in memory after them."""

    def __init__(self, num_files: int) -> None:
        self._num_files = num_files
        self._before = _resident_bytes()

    def run(self, label: str, step: Callable[[], Any]) -> Any:
        """Runs a step, prints its figures and returns its result."""
        start = time.perf_counter()
        result = step()
        seconds = time.perf_counter() - start
        self._print(label, seconds, _resident_bytes())
        return result

    def end(self) -> None:
        """Prints the most that was in memory."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self._print("peak of the process", None, peak)

    def _print(self, label: str, seconds: float | None, resident: int) -> None:
        took = (
            "" if seconds is None else f"{seconds:8.2f} s {seconds / self._num_files * 1e6:8.2f} us"
        )
        grown = (resident - self._before) / self._num_files
        print(f"{label:38}{took:22}{resident / 2**30:8.2f} GiB{grown:9.0f} B", flush=True)


def make(folder: str, path: str, num_files: int) -> None:
    """Writes the catalogue and the file that all its paths lead to."""
    clock = Clock(num_files)
    with wave.open(f"{folder}/000.wav", "wb") as file:
        file.setparams((_CHANNELS, 2, _SAMPLE_RATE, 0, "NONE", ""))
        rng = np.random.default_rng(0)
        frames = rng.integers(-(2**15), 2**15, (_SECONDS * _SAMPLE_RATE, _CHANNELS), np.int16)
        file.writeframes(frames.tobytes())
    for number in range(1, _LINKS):
        os.link(f"{folder}/000.wav", f"{folder}/{number:03x}.wav")
    files = clock.run("make it up", lambda: _make_up(folder, num_files))
    hashes = clock.run("hashes of the split", lambda: hash_to_unit(files.names, _SEED))
    files = dataclasses.replace(files, split_hashes={_SEED: hashes})
    clock.run("save", lambda: files.save(path, {"audio_dirs": [folder]}))
    clock.end()
    size = os.path.getsize(path)
    print(f"on disk: {size / 2**30:.2f} GiB, {size / num_files:.0f} B a file")


def _make_up(folder: str, num_files: int) -> FileTable:
    size, mtime_ns = filesystem.stat(f"{folder}/000.wav")
    root = f"{folder}/".encode()
    width = len(root) + 2 * _NUMBER_BITS + len("000.wav")
    path_blob = allocate(num_files * width, np.dtype(np.uint8))
    paths = path_blob.reshape(num_files, width)
    link_names = np.array([list(b"%03x.wav" % link) for link in range(_LINKS)], np.uint8)
    for start in range(0, num_files, _BLOCK):
        number = np.arange(start, min(start + _BLOCK, num_files))
        high, link = number // _LINKS, number % _LINKS
        bits = high[:, np.newaxis] >> np.arange(_NUMBER_BITS - 1, -1, -1) & 1
        block = paths[start : start + _BLOCK]
        block[:, : len(root)] = list(root)
        block[:, len(root) : -7 : 2] = np.where(bits, ord("."), ord("/"))
        block[:, len(root) + 1 : -7 : 2] = ord("/")
        block[:, -7:] = link_names[link]

    def all_the_same(value: int) -> np.ndarray:
        return np.full(num_files, value, downcast(np.array([value])).dtype)

    note_blob, _ = join([])
    return FileTable(
        path_blob=path_blob,
        path_bounds=downcast(np.arange(num_files + 1) * width),
        name_starts=all_the_same(len(root)),
        note_blob=note_blob,
        note_bounds=np.zeros(num_files + 1, np.uint8),
        sizes=all_the_same(size),
        mtimes_ns=all_the_same(mtime_ns),
        offsets=all_the_same(44),
        frames=all_the_same(_SECONDS * _SAMPLE_RATE),
        channels=all_the_same(_CHANNELS),
        sample_rates=all_the_same(_SAMPLE_RATE),
        encodings=all_the_same(1),
    )


def resume(
    folder: str, path: str, num_files: int, step: int, hosts: int, config: PipelineConfig
) -> None:
    """Does what the first of so many hosts does when a run is resumed."""
    from pipeline.corpus import Corpus
    from pipeline.dataset import make_dataset
    from pipeline.inspect import describe_files
    from pipeline.iterate import iterate
    from pipeline.reading.chunk_index import Chunks
    from training.checkpoints.compatibility import fingerprint

    clock = Clock(num_files)
    catalogue = clock.run("load", lambda: open_catalogue(path, [folder], seed=_SEED))
    train, valid = clock.run(
        "split", lambda: split_catalogue(catalogue, valid_fraction=_VALID_FRACTION, seed=_SEED)
    )
    chunks = Chunks(catalogue=train, config=config)
    clock.run("number the chunks", lambda: chunks.first)
    corpus = Corpus(
        catalogue=catalogue,
        train=chunks,
        valid=Chunks(catalogue=valid, config=config),
        all_train=chunks,
        valid_fraction=_VALID_FRACTION,
    )
    clock.run("describe the files", lambda: describe_files(corpus))
    clock.run("compare with the checkpoint's files", lambda: fingerprint(chunks))
    rows = (0, config.batch_size // hosts)

    def first_batch() -> Any:
        batches = make_dataset(chunks, first_step=step, rows=rows, on_unreadable=_fail)
        return next(iterate(batches))

    batch = clock.run(f"first batch, of step {step:,}", first_batch)
    assert (batch["stop"] > 0).all()
    clock.end()
    print(f"\n{len(chunks):,} chunks to train on; {batch['stop'].size} of a batch for this host")
    count_reads(chunks, rows, step)


def count_reads(chunks: Any, rows: tuple[int, int], step: int, windows: int = 10) -> None:
    """Prints what some windows, from that of a step on, make a host read."""
    from pipeline.dataset import make_order
    from pipeline.reading.read_plan import file_columns, plan_reads

    order, columns = make_order(chunks), file_columns(chunks)
    lengths = []
    for window in range(step // order.window, step // order.window + windows):
        steps = window * order.window, (window + 1) * order.window
        occurrences = np.sort(order.batch_occurrences(steps, rows))
        lengths.append(plan_reads(columns, occurrences, chunks.config).reads["length"])
    sizes = np.concatenate(lengths)
    requests = -(-sizes // _REQUEST_BYTES)
    print(
        f"a window of {order.window} steps: {len(sizes) / windows:.1f} reads of "
        f"{sizes.mean() / 1024:.0f} KiB, {sizes.min() / 1024:.0f} to {sizes.max() / 1024:.0f}; "
        f"from gs:// in {requests.sum() / windows:.1f} requests, "
        f"{requests.sum() * _REQUEST_BYTES / sizes.sum():.2f} times the bytes"
    )


def scan(folder: str) -> None:
    """Lists and scans real files, to measure processor and memory."""
    clock = Clock(_SCANNED)
    os.makedirs(folder)
    with wave.open(f"{folder}/{0:020}.wav", "wb") as file:
        file.setparams((_CHANNELS, 2, _SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(bytes(4))
    for number in range(1, _SCANNED):
        os.link(f"{folder}/{0:020}.wav", f"{folder}/{number:020}.wav")
    clock.run(f"list and scan {_SCANNED:,} real files", lambda: find_and_scan([folder]))
    clock.end()


def _fail(path: str, reason: str) -> None:
    raise AssertionError(f"{path}: {reason}")


def _resident_bytes() -> int:
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Parses arguments and runs each part in a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=10**6, help="in the catalogue")
    parser.add_argument("--hosts", type=int, default=256, help="that share a batch")
    parser.add_argument("--batch_size", type=int, default=8192, help="chunks, over all hosts")
    parser.add_argument("--step", type=int, default=10**9, help="to resume at")
    parser.add_argument("--data", help="a folder for the files; a temporary one if none")
    parser.add_argument("--part", choices=("scan", "make", "resume"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.part:
        with tempfile.TemporaryDirectory(dir=arguments.data) as data:
            for part in ("scan", "make", "resume"):
                print(f"\n{part:38}{'':11}{'a file':>11}{'in memory':>12}{'a file':>11}")
                again = [sys.executable, *sys.argv, f"--data={data}", f"--part={part}"]
                subprocess.run(again, check=True)
        return
    if arguments.files > 2**_NUMBER_BITS * _LINKS:
        parser.error(f"--files={arguments.files}: expected at most {2**_NUMBER_BITS * _LINKS}")
    folder, path = arguments.data, f"{arguments.data}/the.catalogue"
    if arguments.part == "scan":
        scan(f"{arguments.data}/scanned")
    elif arguments.part == "make":
        make(folder, path, arguments.files)
    else:
        config = PipelineConfig(
            batch_size=arguments.batch_size, shuffle_window=65536, chunks_per_read=64
        )
        resume(folder, path, arguments.files, arguments.step, arguments.hosts, config)


if __name__ == "__main__":
    main()
