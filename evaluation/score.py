"""Bits per sample of a model on files: every sample is scored exactly once.

Nats are computed in float32 on the devices and summed in float64 on the host, chunk by chunk in the
order of the corpus, so that the sums do not depend on batch size or devices.

D devices, B batch, L chunk size.
"""

import dataclasses
import functools
import itertools
import time
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np

from evaluation.aggregate import Aggregator, Rows
from evaluation.results import Evaluation
from evaluation.segments import score_segments
from models.interface import Inputs, Model, SegmentModel
from models.microbatches import map_microbatches
from pipeline.catalogue.catalogue import Catalogue
from pipeline.config import PipelineConfig
from pipeline.dataset import make_dataset
from pipeline.error_budget import ErrorBudget
from pipeline.iterate import iterate
from pipeline.reading.chunk_index import Chunks
from pipeline.reading.read_chunks import is_scored
from runtime import parallel
from runtime.errors import DataError
from runtime.progress import Progress, no_progress

Scored = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]
"""A batch, [B, ...] each, and the parts of each sample's cost in nats, [B, L] each, by name."""


def evaluate(
    model: Model,
    params: Any,
    catalogue: Catalogue,
    config: PipelineConfig,
    *,
    segment: int | None = None,
    error_budget: ErrorBudget | None = None,
    progress: Progress = no_progress,
) -> Evaluation:
    """Computes how many bits a model needs for the files of a catalogue.

    Args:
      model: the model.
      params: its parameters, as `load_model` returns them.
      catalogue: the files.
      config: how they become samples, as in training. Its `batch_size` is rounded up to a multiple
        of the local devices; the results do not depend on it.
      segment: frames of a segment; the model is a `SegmentModel`, and files are coded in segments.
        None: in chunks.
      error_budget: how many files may be unreadable; None: all but one.
      progress: shows the batches, or the segments, done.

    Returns:
      The evaluation, without other codecs. A file that cannot be read to its end is in `skipped`,
      and no part of it in any figure.

    Raises:
      DataError: the catalogue is empty, too many files could not be read, or a file's cost is not
        finite.
    """
    begin = time.perf_counter()
    if not len(catalogue):
        raise DataError("there is nothing to evaluate: the catalogue is empty")
    if error_budget is None:
        error_budget = ErrorBudget(len(catalogue), (), strict=False, max_fraction=1.0)
    if segment:
        if not isinstance(model, SegmentModel):
            raise TypeError(f"{type(model).__name__} codes no segments")
        length = min(segment, int(catalogue.frames.max()))
        rows = score_segments(model, params, catalogue, config, segment, error_budget, progress)
    else:
        length = config.chunk_size
        rows = _score_chunks(model, params, catalogue, config, error_budget, progress)
    aggregator = Aggregator(catalogue, config, length)
    for file, of_file in itertools.groupby(rows, lambda rows: rows.file):
        aggregator.add_file(file, of_file)
        # After each file, not at the end: an evaluation may take hours.
        if problem := error_budget.exceeded():
            raise DataError(problem)
    return aggregator.results(dict(error_budget.skipped), time.perf_counter() - begin)


def _score_chunks(
    model: Model,
    params: Any,
    catalogue: Catalogue,
    config: PipelineConfig,
    error_budget: ErrorBudget,
    progress: Progress,
) -> Iterator[Rows]:
    devices = jax.local_device_count()
    # pmap needs as many chunks on each device; the last batch is filled up with padding.
    batch_size = -(-config.batch_size // devices) * devices
    chunks = Chunks(catalogue=catalogue, config=dataclasses.replace(config, batch_size=batch_size))
    batches = iterate(
        make_dataset(
            chunks,
            one_pass=True,
            shuffle=False,
            num_devices=devices,
            on_unreadable=error_budget.add,
        )
    )
    return _by_file(_score(model, params, batches), chunks, progress)


def _score(model: Model, params: Any, batches: Iterable[dict]) -> Iterator[Scored]:
    """Yields batches and their nats, one batch behind: JAX computes the next one meanwhile."""

    def cost_parts(params: Any, inputs: Inputs) -> dict[str, jax.Array]:
        of_inputs = functools.partial(model.cost_parts, params)
        return map_microbatches(of_inputs, inputs, model.microbatch_size(inputs))

    compiled = parallel.pmap(cost_parts)
    replicated = parallel.replicate(params)
    scored = ((batch, compiled(replicated, model.prepare(batch))) for batch in batches)
    for (batch, parts), _ in itertools.pairwise(itertools.chain(scored, [({}, {})])):
        yield _flat(batch), _flat(parts)


def _flat(arrays: dict[str, Any]) -> dict[str, np.ndarray]:
    """[D, B / D, ...] -> [B, ...], on the host."""
    return {name: np.asarray(x).reshape(-1, *x.shape[2:]) for name, x in arrays.items()}


def _by_file(scored: Iterable[Scored], chunks: Chunks, progress: Progress) -> Iterator[Rows]:
    """Splits batches at the ends of files, whose chunks are consecutive: nothing is shuffled."""
    size = chunks.config.batch_size
    steps = -(-len(chunks) // size)
    for step, (batch, parts) in enumerate(progress(scored, steps)):
        mask = is_scored(batch)
        chunk = np.arange(step * size, min((step + 1) * size, len(chunks)))
        file = chunks.files_of(chunk)
        starts = np.flatnonzero(np.diff(file, prepend=-1))
        for start, end in zip(starts, [*starts[1:], len(chunk)], strict=True):
            rows = slice(start, end)
            yield Rows(
                file=int(file[start]),
                samples=batch["samples"][rows],
                mask=mask[rows],
                is_readable=bool((batch["stop"][rows] >= 0).all()),
                nats={name: nats[rows] for name, nats in parts.items()},
            )
