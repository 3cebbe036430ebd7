"""One host of several, around a model that compiles in no time; a process of its own.

    python -m tests.several_hosts RECORDS [flags of main.py]

Writes a line into the file RECORDS.N, N the number of the host, for each batch that it reads: the
hashes of its rows.
"""

import hashlib
import json
import sys
from collections.abc import Sequence

import jax
from absl.flags import FlagValues

from commands import parser, shared, train
from commands.interface import Command
from models.interface import Batch
from runtime import distributed
from runtime.logging import start_logging
from tests.toy_model import Unigram
from training.run import run as run_training


def digests(batch: Batch) -> list[str]:
    """Returns a hash of each row: of its samples, and where they are in their file."""
    samples, position = batch["samples"], batch["position"].ravel()
    rows = zip(samples.reshape(-1, samples.shape[-1]), position, strict=True)
    contents = (row.tobytes() + where.tobytes() for row, where in rows)
    return [hashlib.blake2b(content, digest_size=8).hexdigest() for content in contents]


def run(values: FlagValues, arguments: Sequence[str]) -> int | None:
    """Trains as the command does, but another model."""
    records = arguments[0]
    config = train.run_config(values)
    start_logging(None)
    distributed.initialize(config.distributed)
    shared.check_audio_dirs(config.audio_dirs)

    def record(batch: Batch) -> None:
        with open(f"{records}.{jax.process_index()}", "a") as file:
            print(json.dumps(digests(batch)), file=file)

    model = Unigram(config.pipeline.depth, on_prepare=record)
    result = run_training(config, model, train.as_flagfile(values))
    return None if result.signal is None else 128 + result.signal


COMMAND = Command(doc="Trains.", groups=train.GROUPS, run=run, arguments="RECORDS")

if __name__ == "__main__":
    sys.argv.insert(1, "host")
    parser.run({"host": "tests.several_hosts"})
