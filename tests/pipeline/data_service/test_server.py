"""Reading through a tf.data service, its workers processes of their own that may be killed."""

import collections
import itertools
import logging
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from pipeline.catalogue.catalogue import build_catalogue
from pipeline.config import PipelineConfig
from pipeline.data_service.client import distributed_batches
from pipeline.dataset import make_dataset
from pipeline.iterate import iterate
from pipeline.reading.chunk_index import Chunks
from pipeline.reading.read_plan import file_columns
from pipeline.wav.encoding import Encoding
from runtime.errors import DataError
from tests.command_line import ROOT
from tests.input_servers import end, servers
from tests.wav_files import random_frames, write_wav

L, B = 16, 8


@pytest.fixture(scope="module")
def service():
    with servers(num_workers=2) as (address, _, _):
        yield address


@pytest.fixture(autouse=True)
def _logged(caplog):
    caplog.set_level(logging.INFO, logger="wavestream")


@pytest.fixture(scope="module")
def stereo(tmp_path_factory):
    """Seven 16-bit stereo files: 89 chunks of mono."""
    folder = tmp_path_factory.mktemp("stereo")
    for number in range(7):
        frames = random_frames(Encoding.S16, 191 + number, 2, number)
        write_wav(folder / f"{number}.wav", frames, Encoding.S16)
    return folder


def make_chunks(folder, **changes):
    """Windows are 8 batches."""
    window = {"shuffle_window": 8 * B, "chunks_per_read": 4}
    settings = {"chunk_size": L, "batch_size": B, **window, **changes}
    return Chunks(catalogue=build_catalogue([str(folder)]), config=PipelineConfig(**settings))


def assert_same(there, chunks, count, **options):
    """Takes `count` batches and compares them, byte for byte, with those that are read locally."""
    here = iterate(make_dataset(chunks, **options))
    taken = 0
    for one, other in zip(itertools.islice(there, count), here, strict=False):
        assert one.keys() == other.keys() >= {"samples", "first", "stop"}
        for name in one:
            assert (one[name].dtype, one[name].shape) == (other[name].dtype, other[name].shape)
            assert one[name].tobytes() == other[name].tobytes()
        taken += 1
    assert taken == count


@pytest.mark.both_stacks
@pytest.mark.parametrize(
    "changes",
    [{}, {"depth": 16, "downmix": False, "stereo_blocking_n": 5, "seed": 7}],
)
def test_the_batches_are_those_that_are_read_locally(service, stereo, caplog, changes):
    chunks = make_chunks(stereo, **changes)
    there = distributed_batches(chunks, service=service)
    assert_same(there, chunks, count=3 * len(chunks) // B)
    assert caplog.messages == []


def test_every_chunk_comes_once_an_epoch(service, stereo):
    chunks = make_chunks(stereo)
    there = distributed_batches(chunks, service=service)
    batches = list(itertools.islice(there, -(-3 * len(chunks) // B)))
    rows = np.concatenate([batch["samples"].reshape(B, L) for batch in batches])
    epochs = [rows[start : start + 89] for start in (0, 89, 178)]
    counts = [collections.Counter(row.tobytes() for row in epoch) for epoch in epochs]
    assert len(counts[0]) == len(chunks) == 89
    assert counts[0] == counts[1] == counts[2]


@pytest.mark.parametrize("first_step", [3, 8, 10**12 + 5])
def test_a_run_goes_on_at_any_step(service, stereo, caplog, first_step):
    chunks = make_chunks(stereo)
    there = distributed_batches(chunks, service=service, first_step=first_step)
    assert_same(there, chunks, 30, first_step=first_step)
    assert caplog.messages == []


def test_a_host_reads_its_rows_for_its_devices(service, stereo):
    chunks, options = make_chunks(stereo), {"rows": (2, 6), "num_devices": 2}
    there = distributed_batches(chunks, service=service, **options)
    assert_same(there, chunks, 30, **options)


@pytest.mark.both_stacks
def test_a_file_that_a_worker_cannot_read_is_reported(service, tmp_path):
    for number in range(7):
        frames = random_frames(Encoding.S16, 200, 1, number)
        write_wav(tmp_path / f"{number}.wav", frames, Encoding.S16)
    chunks = make_chunks(tmp_path)
    os.remove(tmp_path / "3.wav")
    reports = set()
    options = {"rows": (4, 8), "num_devices": 2}
    there = distributed_batches(
        chunks, service=service, on_unreadable=lambda *report: reports.add(report), **options
    )
    assert_same(there, chunks, 2 * len(chunks) // B, **options)
    reason = "the input service could not read it: see the worker's log"
    assert reports == {(str(tmp_path / "3.wav"), reason)}


def test_a_worker_of_another_version(stereo, caplog):
    servers = tf.data.experimental.service
    dispatcher = servers.DispatchServer()
    address = dispatcher.target.removeprefix("grpc://")
    worker = servers.WorkerServer(servers.WorkerConfig(dispatcher_address=address))
    assert worker  # It knows no function by the name that the graph asks for.
    chunks = make_chunks(stereo)
    there = distributed_batches(chunks, service=dispatcher.target, timeout_s=20)
    assert_same(there, chunks, 10)
    assert "a worker runs another version of wavestream" in caplog.messages[0]


def test_more_files_than_a_graph_holds(stereo):
    chunks = make_chunks(stereo)
    size = sum(len(column.tobytes()) for column in file_columns(chunks).values())
    assert size > 7 * 20 + sum(len(path) for path in chunks.catalogue.paths)
    with pytest.raises(DataError, match=f"catalogue of 7 files is {size} bytes, and no more than"):
        distributed_batches(chunks, service="grpc://localhost:1", max_column_bytes=size - 1)


@pytest.mark.slow
def test_workers_are_killed_one_after_the_other(stereo, caplog):
    chunks = make_chunks(stereo)
    with servers(num_workers=2) as (address, workers, dispatcher):
        there = distributed_batches(chunks, service=address, timeout_s=2)
        here = iterate(make_dataset(chunks))

        def take(until, most=50_000):
            for _ in range(most):
                one, other = next(there), next(here)
                assert all(one[name].tobytes() == other[name].tobytes() for name in other)
                if until():
                    return
            raise AssertionError(caplog.messages)

        # A worker hears of a job with its heartbeat, and the trainer of the worker with its own.
        both_read = time.monotonic() + 8
        take(lambda: time.monotonic() > both_read, most=10**6)
        end(workers[0])  # Windows that it was given are lost, the others go on.
        take(lambda: any("; has a worker died?" in text for text in caplog.messages))
        take(lambda: "were read locally" in caplog.messages[-1])
        end(workers[1])
        take(lambda: "those after it locally" in caplog.messages[-1])
        end(dispatcher)
        for _ in range(20):
            take(lambda: True)


PROGRAM = """
import sys
from pipeline.catalogue.catalogue import build_catalogue
from pipeline.reading.chunk_index import Chunks
from pipeline.config import PipelineConfig
from pipeline.data_service.client import distributed_batches

config = PipelineConfig(chunk_size=16, batch_size=8, shuffle_window=8)
chunks = Chunks(catalogue=build_catalogue([sys.argv[1]]), config=config)
batches = distributed_batches(chunks, service=sys.argv[2], timeout_s=float(sys.argv[3]))
for _ in range(3):
    next(batches)
"""


@pytest.mark.both_stacks
@pytest.mark.parametrize("alive", [True, False])
def test_a_program_ends_although_it_waits_for_the_service(service, stereo, alive):
    idle = tf.data.experimental.service.DispatchServer()  # Without workers.
    address, timeout_s = (service, "20") if alive else (idle.target, "0.5")
    command = [sys.executable, "-c", PROGRAM, str(stereo), address, timeout_s]
    done = subprocess.run(command, cwd=ROOT, timeout=60, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert ("are its dispatcher and workers running?" in done.stderr) != alive
