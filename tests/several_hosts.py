"""One host of several, around a model that compiles in no time; a process of its own.

    python -m tests.several_hosts RECORDS SHIFT [flags of main.py]

Writes a line into the file RECORDS.N, N the number of the host for JAX, for each batch that it
reads: the hashes of its rows. This number is SHIFT more than --process_id, as on a TPU slice, where
JAX numbers the hosts by their place in it.
"""

import hashlib
import json
import os
import sys
from collections.abc import Sequence

import jax
from absl.flags import FlagValues
from jax._src.distributed import global_state

from commands import parser, shared, train
from commands.interface import Command
from commands.run_flag_file import as_flagfile
from models.interface import Batch
from runtime import distributed
from runtime.logging import start_logging
from tests.fork_server import python
from tests.ports import free_port
from tests.toy_model import Unigram
from training.compile_ahead import compile_ahead
from training.run import run as run_training


def command_lines(
    records: str | os.PathLike, hosts: int, *args: str, others: Sequence[str] = (), shift: int = 0
) -> list[list[str]]:
    """Returns the command of each host of a run.

    Args:
      records: see above.
      hosts: their number.
      *args: flags of all of them.
      others: flags of all but the first.
      shift: see above.
    """
    address = f"127.0.0.1:{free_port()}"
    where = (f"--coordinator_address={address}", f"--num_processes={hosts}") if hosts > 1 else ()
    return [
        [
            *python("-m", "tests.several_hosts", records, str(shift)),
            *(*args, *where, *(others if index else ())),
            *((f"--process_id={index}",) if hosts > 1 else ()),
        ]
        for index in range(hosts)
    ]


def variables(devices: int) -> dict[str, str]:
    """Returns the variables by which a host has that many devices."""
    return {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}


def digests(batch: Batch) -> list[str]:
    """Returns a hash of each row: of its samples, and where they are in their file."""
    samples, position = batch["samples"], batch["position"].ravel()
    rows = zip(samples.reshape(-1, samples.shape[-1]), position, strict=True)
    contents = (row.tobytes() + where.tobytes() for row, where in rows)
    return [hashlib.blake2b(content, digest_size=8).hexdigest() for content in contents]


def run(values: FlagValues, arguments: Sequence[str]) -> int | None:
    """Trains as the command does, but another model."""
    records, shift = arguments[0], int(arguments[1])
    config = train.run_config(values)
    start_logging(None)

    def renumber(num_hosts: int) -> None:
        global_state.process_id = (global_state.process_id + shift) % num_hosts

    distributed.initialize(config.distributed, renumber)
    shared.check_audio_dirs(config.audio_dirs)

    def record(batch: Batch) -> None:
        if not batch["stop"].any():  # Made up, to compile ahead.
            return
        with open(f"{records}.{jax.process_index()}", "a") as file:
            print(json.dumps(digests(batch)), file=file)

    model = Unigram(config.pipeline.depth, on_prepare=record)
    steps = compile_ahead(model, config)
    result = run_training(config, model, as_flagfile(values), steps=steps)
    return None if result.signal is None else 128 + result.signal


COMMAND = Command(doc="Trains.", groups=train.GROUPS, run=run, arguments="RECORDS SHIFT")

if __name__ == "__main__":
    sys.argv.insert(1, "host")
    parser.run({"host": "tests.several_hosts"})
