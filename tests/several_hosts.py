"""One host of several, around a model that compiles in no time; a process of its own.

    python -m tests.several_hosts RECORDS [flags of main.py]

Writes a line into the file RECORDS for each row of each batch that it reads: the number of the
batch, the row of the global batch and a hash of the chunk.
"""

import dataclasses
import hashlib
import json
import sys

import jax

import main
from tests import toy_model
from training import loop, run


def _recorded(batches, step, first_row, path):
    """Says what is read."""
    with open(path, "a") as file:
        for number, batch in enumerate(batches, step):
            rows = batch["symbols"].reshape(-1, batch["symbols"].shape[-1])
            for row, symbols in enumerate(rows, first_row):
                digest = hashlib.blake2b(symbols.tobytes(), digest_size=8).hexdigest()
                file.write(json.dumps([number, row, digest]) + "\n")
            file.flush()
            yield batch


def _host(records):
    make_job = run._job

    def recording(config, *args):
        job = make_job(config, *args)
        first_row = config.pipeline.batch_size // jax.process_count() * jax.process_index()
        path = f"{records}.{jax.process_index()}"
        return dataclasses.replace(
            job, train_data=lambda step: _recorded(job.train_data(step), step, first_row, path)
        )

    run._job = recording
    loop.Transformer, loop.init_params = toy_model.Unigram, toy_model.init_params
    main.run()


if __name__ == "__main__":
    _host(sys.argv.pop(1))
