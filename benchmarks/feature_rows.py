"""Features of adaptive predictors in a file, to try networks on; see `networks.py`.

L samples in a row, N rows in all.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from models.adaptive import AdaptiveModel
from models.config import AdaptiveModelConfig
from pipeline.config import PipelineConfig
from pipeline.corpus import open_corpus
from pipeline.dataset import make_dataset
from pipeline.iterate import iterate

ROW = 1024
DRAWN = 4096
"""Samples of a step."""
_PIPELINE = PipelineConfig(
    chunk_size=32768, batch_size=4, depth=24, downmix=False, stereo_blocking_n=16384
)

Rows = Mapping[str, np.ndarray]
"""What `AdaptiveModel.prepare` returns, [N, ROW, ...] each; features in float16."""


def make_features(folders: Sequence[str], path: str, batches: tuple[int, int]) -> None:
    """Writes the features of chunks that are trained on, and that are held out, to a file."""
    corpus = open_corpus(folders, _PIPELINE, valid_fraction=0.2)
    model = AdaptiveModel(AdaptiveModelConfig(depth=_PIPELINE.depth))
    held_out = make_dataset(
        corpus.valid, one_pass=True, shuffle=False, max_chunks=batches[1] * _PIPELINE.batch_size
    )
    arrays: dict[str, Any] = {}
    for split, dataset in (("train", make_dataset(corpus.train)), ("valid", held_out)):
        parts = [
            _whole_rows(model.prepare(batch), batch["stop"])
            for batch in itertools.islice(iterate(dataset), batches[split == "valid"])
        ]
        for name in parts[0]:
            arrays[f"{split}/{name}"] = np.concatenate([part[name] for part in parts])
    with open(path, "wb") as file:
        np.savez(file, **arrays)


def _whole_rows(inputs: Rows, stop: np.ndarray) -> dict[str, np.ndarray]:
    pieces = _PIPELINE.chunk_size // ROW
    is_whole = (np.arange(1, pieces + 1) * ROW <= stop.reshape(-1, 1)).ravel()
    result = {}
    for name, array in inputs.items():
        rows = array.reshape(-1, ROW, *array.shape[3:])[is_whole]
        result[name] = rows.astype(np.float16) if name == "features" else rows
    return result


def draws(rows: Rows, seed: int, in_rows: bool) -> Iterator[dict[str, np.ndarray]]:
    """Yields what steps train on: [DRAWN, 1, ...], or [DRAWN / ROW, ROW, ...]."""
    rng = np.random.default_rng(seed)
    size = 1 if not in_rows else ROW
    flat = {name: x.reshape(-1, size, *x.shape[2:]) for name, x in rows.items()}
    while True:
        index = rng.integers(0, len(flat["scale"]), DRAWN // size)
        yield as_float(flat, index)


def as_float(rows: Rows, index: Any) -> dict[str, np.ndarray]:
    """Returns some rows, in float32."""
    return {name: x[index].astype(np.float32) for name, x in rows.items()}


def read_features(path: str) -> tuple[Rows, Rows]:
    """Returns what is trained on, and what is held out."""
    arrays = np.load(path)

    def split(name: str) -> Rows:
        return {key.split("/")[1]: arrays[key] for key in arrays.files if key.startswith(name)}

    return split("train"), split("valid")
