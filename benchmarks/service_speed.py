"""Reading through the tf.data service on this machine, beside reading without it.

    python benchmarks/service_speed.py

The corpus is `input_speed.py`'s of long files. Dispatcher, workers and trainer share the cores
here, so nothing is gained but what the service is for: the trainer's CPU time a chunk. The ways
take turns: read the ratios.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

_ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(_ROOT))

from benchmarks.input_speed import write_corpus  # noqa: E402

_BATCH = 128
_WORKERS = (0, 1, 2)
_WARM_UP = 100  # Batches: the service fills its buffers first.


def measure(folder: str, address: str | None, num_chunks: int) -> dict[str, float]:
    """Reads chunks as a trainer does; called in a process of its own."""
    from pipeline.catalogue.catalogue import build_catalogue
    from pipeline.config import PipelineConfig
    from pipeline.data_service.client import distributed_batches
    from pipeline.dataset import make_dataset
    from pipeline.iterate import iterate
    from pipeline.reading.chunk_index import Chunks

    config = PipelineConfig(batch_size=_BATCH)
    chunks = Chunks(catalogue=build_catalogue([folder]), config=config)
    start = time.perf_counter()
    batches = (
        distributed_batches(chunks, service=address) if address else iterate(make_dataset(chunks))
    )
    next(batches)
    first = time.perf_counter() - start
    for _ in range(_WARM_UP):
        next(batches)
    start, cpu = time.perf_counter(), time.process_time()
    for _ in range(num_chunks // _BATCH):
        next(batches)
    return {
        "chunks_per_second": num_chunks / (time.perf_counter() - start),
        "cpu": (time.process_time() - cpu) / num_chunks * 1e6,
        "first": first,
    }


def run(folder: str, chunks: int, workers: int) -> dict[str, float]:
    """`measure` in a process of its own, and its servers in theirs."""
    with _servers(workers) as address:
        command = [sys.executable, __file__, f"--data={folder}", f"--chunks={chunks}"]
        done = subprocess.run(
            [*command, f"--service={address or ''}"], stdout=subprocess.PIPE, text=True, check=True
        )
    return json.loads(done.stdout.splitlines()[-1])


@contextlib.contextmanager
def _servers(workers: int) -> Iterator[str | None]:
    if not workers:
        yield None
        return
    with contextlib.ExitStack() as servers:
        address = f"grpc://localhost:{_start(servers, '--role=dispatcher')}"
        for _ in range(workers):
            _start(servers, "--role=worker", f"--dispatcher={address}")
        yield address


def _start(servers: contextlib.ExitStack, *args: str) -> str:
    """Starts a server, to be killed at the end; returns its port."""
    command = [sys.executable, "main.py", "serve_input", *args]
    server = servers.enter_context(
        subprocess.Popen(command, cwd=_ROOT, stderr=subprocess.PIPE, text=True)
    )
    servers.callback(server.kill)
    assert server.stderr is not None
    line = server.stderr.readline()
    ready = re.search(r"ready at .*?(\d+)[;,]", line)
    if ready is None:
        raise RuntimeError(line + server.stderr.read())
    return ready[1]


def main() -> None:
    """Parses arguments, writes the corpus, runs and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each way has its turn")
    parser.add_argument("--chunks", type=int, default=128_000, help="read in each turn")
    parser.add_argument("--data", help="a folder to keep the corpus in; a temporary one if none")
    parser.add_argument("--service", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    if arguments.service is not None:
        print(json.dumps(measure(arguments.data, arguments.service, arguments.chunks)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = f"{arguments.data or temporary}/long"
        write_corpus(folder, 64, 60.0)
        results: dict[int, list[dict[str, float]]] = {workers: [] for workers in _WORKERS}
        for _ in range(arguments.rounds):
            for workers in _WORKERS:
                results[workers].append(run(folder, arguments.chunks, workers))
    print(f"{'way':12}{'chunks/s':>10}{'ratio':>8}{'trainer CPU us/chunk':>23}{'first batch':>14}")
    speed = "chunks_per_second"
    for workers, measured in results.items():
        median = {key: statistics.median(row[key] for row in measured) for key in measured[0]}
        pairs = zip(measured, results[0], strict=True)
        ratio = statistics.median(row[speed] / base[speed] for row, base in pairs)
        way = f"{workers} worker{'s' * (workers > 1)}" if workers else "here"
        print(
            f"{way:12}{median[speed]:10,.0f}{ratio:8.2f}{median['cpu']:23.1f}"
            f"{median['first']:12.2f} s"
        )


if __name__ == "__main__":
    main()
