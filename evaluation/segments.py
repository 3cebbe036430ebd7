"""Scores whole files in segments, as a codec codes them.

C channels, n frames of a segment.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from evaluation.aggregate import Rows
from models.interface import SegmentModel
from pipeline.catalogue.catalogue import Catalogue
from pipeline.config import PipelineConfig
from pipeline.error_budget import ErrorBudget
from pipeline.reading.read_samples import read_samples
from runtime.devices import available_cores
from runtime.progress import Progress
from runtime.threads import map_in_threads


class _Segment(NamedTuple):
    file: int
    frames: np.ndarray | None  # int32 [n, C]; None: the file cannot be read any further.


def score_segments(
    model: SegmentModel,
    params: Any,
    catalogue: Catalogue,
    config: PipelineConfig,
    segment: int,
    error_budget: ErrorBudget,
    progress: Progress,
) -> Iterator[Rows]:
    """Yields the segments of all files in order, a row a channel, scored on all cores.

    Args:
      model: the model.
      params: its parameters.
      catalogue: the files.
      config: how they become samples.
      segment: frames of a segment.
      error_budget: is given the files that cannot be read.
      progress: shows the segments done.
    """
    cores = available_cores()
    count = int((-(-catalogue.frames // segment)).sum())
    segments = _read_segments(catalogue, config, segment, error_budget)

    def score(part: _Segment) -> Rows:
        frames = np.zeros((0, 1), np.int32) if part.frames is None else part.frames
        nats = model.segment_costs(params, frames) if len(frames) else {}
        return Rows(
            file=part.file,
            samples=frames.T,
            mask=np.ones(frames.T.shape, bool),
            is_readable=part.frames is not None,
            nats={name: cost.T for name, cost in nats.items()},
        )

    yield from progress(map_in_threads(score, segments, cores, ahead=2 * cores), count)


def _read_segments(
    catalogue: Catalogue, config: PipelineConfig, segment: int, error_budget: ErrorBudget
) -> Iterator[_Segment]:
    for file, path in enumerate(catalogue.paths):
        try:
            for frames in _rejoin(read_samples(catalogue, file, config), segment):
                yield _Segment(file, frames)
        except OSError as error:
            error_budget.add(path, str(error))
            yield _Segment(file, None)


def _rejoin(blocks: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Yields the same frames in blocks of `size`, the last one maybe shorter."""
    held: list[np.ndarray] = []
    count = 0
    for block in blocks:
        while len(block):
            part, block = block[: size - count], block[size - count :]
            held.append(part)
            count += len(part)
            if count == size:
                yield np.concatenate(held)
                held, count = [], 0
    if held:
        yield np.concatenate(held)
