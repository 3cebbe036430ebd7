"""Whether a run may go on from a checkpoint: the same data, model and optimizer."""

import dataclasses
import hashlib
import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from models.config import ModelConfig
from pipeline.reading.chunks import Chunks
from training.config import RunConfig
from training.metrics.accumulator import TrainingError

_FREE = frozenset({"log_every", "eval_every", "eval_steps", "profile"})
"""Settings that change nothing of what is trained."""

_SHAPE = frozenset(field.name for field in dataclasses.fields(ModelConfig)) - {"dtype"}
"""Settings that a trained model cannot change."""

_BLOCK = 2**16  # Names in memory at a time.


def identity(config: RunConfig, train: Chunks) -> dict[str, Any]:
    """Returns what makes a run the run it is, by flag; `audio` stands for the files."""
    return {
        **dataclasses.asdict(config.pipeline),
        **dataclasses.asdict(config.model),
        **{k: v for k, v in dataclasses.asdict(config.training).items() if k not in _FREE},
        "valid_fraction": config.valid_fraction,
        "num_chunks": config.num_chunks,
        "audio": fingerprint(train),
    }


def check_same(saved: Mapping[str, Any], now: Mapping[str, Any], allowed: Collection[str]) -> None:
    """Raises TrainingError, telling old and new of each setting that differs and may not."""
    if unknown := sorted(set(allowed) - now.keys()):
        raise TrainingError(
            f"--allow_change={','.join(unknown)}: expected some of {', '.join(sorted(now))}"
        )
    differing = different(saved, now, set(allowed) - _SHAPE)
    if differing:
        fixed = sorted(_SHAPE & {*differing})
        way = "" if fixed else f", or --allow_change={','.join(differing)}"
        told = "; ".join(f"{name} was {saved.get(name)}, is {now.get(name)}" for name in differing)
        raise TrainingError(
            f"there is an unfinished run here, with other settings: {told}. Expected the same ones "
            f"to go on with it{way}; or --fresh, another "
            "--output_dir or another --model_name to begin anew"
        )


def settings_of_all(config: RunConfig, who: Mapping[str, Any], valid: Chunks) -> dict[str, Any]:
    """Returns what all hosts of a run must agree upon, or they would wait for each other.

    Args:
      config: the run.
      who: its `identity`.
      valid: the held-out chunks.
    """
    of_a_start = ("fresh", "allow_change")
    checkpoint = dataclasses.asdict(config.checkpoint)
    return {
        **who,
        **dataclasses.asdict(config.training),
        **{name: value for name, value in checkpoint.items() if name not in of_a_start},
        "held-out audio": fingerprint(valid),
    }


def check_alike(identities: Sequence[Mapping[str, Any]]) -> None:
    """Raises TrainingError where the hosts of a run, one identity each, do not agree."""
    first = identities[0]
    for number, other in enumerate(identities):
        if differing := different(first, other):
            told = "; ".join(f"{name} is {first[name]} and {other[name]}" for name in differing)
            raise TrainingError(
                f"hosts 0 and {number} differ: {told}. Expected the same command and the same "
                "files on all of them"
            )


def different(
    saved: Mapping[str, Any], now: Mapping[str, Any], allowed: Collection[str] = ()
) -> list[str]:
    """Returns the names of the settings that differ."""
    return sorted(
        name
        for name in saved.keys() | now.keys()
        if saved.get(name) != now.get(name) and name not in allowed
    )


def fingerprint(chunks: Chunks) -> str:
    """What the files are: their names, lengths and formats, and not where they lie or how old."""
    catalogue, files = chunks.catalogue.without_cached_columns(), chunks.catalogue.files
    digest = hashlib.blake2b(digest_size=6)
    names, separator = catalogue.names.encoded(), b""
    while block := list(itertools.islice(names, _BLOCK)):
        digest.update(separator + b"\0".join(block))
        separator = b"\0"
    for column in (files.sizes, files.offsets, files.frames):
        digest.update(catalogue.take(column).astype(np.int64).data)
    digest.update(catalogue.take(files.encodings).astype(np.int8).data)
    return f"{len(catalogue):,} files with {chunks.num_samples:,} samples ({digest.hexdigest()})"
