"""Whether a run may go on from a checkpoint: the same data, model and optimizer."""

import dataclasses
import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pipeline.chunks import Chunks
from training.config import RunConfig
from training.meter import TrainingError

_FREE = frozenset({"log_every", "eval_every", "eval_steps", "profile"})
"""Settings that change nothing of what is trained."""


def identity(config: RunConfig, train: Chunks) -> dict[str, Any]:
    """Returns what makes a run the run it is, by flag; `audio` stands for the files."""
    return {
        **dataclasses.asdict(config.pipeline),
        **dataclasses.asdict(config.model),
        **{k: v for k, v in dataclasses.asdict(config.training).items() if k not in _FREE},
        "valid_fraction": config.valid_fraction,
        "num_chunks": config.num_chunks,
        "audio": _fingerprint(train),
    }


def check_same(saved: Mapping[str, Any], now: Mapping[str, Any], allowed: Collection[str]) -> None:
    """Raises TrainingError, telling old and new of each setting that differs and may not."""
    if unknown := sorted(set(allowed) - now.keys()):
        raise TrainingError(
            f"--allow_change={','.join(unknown)}: expected some of {', '.join(sorted(now))}"
        )
    differing = different(saved, now, allowed)
    if differing:
        told = "; ".join(f"{name} was {saved.get(name)}, is {now.get(name)}" for name in differing)
        raise TrainingError(
            f"there is an unfinished run here, with other settings: {told}. Expected the same ones "
            f"to go on with it, or --allow_change={','.join(differing)}; or --fresh, another "
            "--output_dir or another --model_name to begin anew"
        )


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


def _fingerprint(chunks: Chunks) -> str:
    """What the files are: their names, lengths and formats, and not where they lie or how old."""
    catalogue = chunks.catalogue
    digest = hashlib.blake2b(digest_size=6)
    digest.update("\0".join(catalogue.names).encode("utf-8", "surrogateescape"))
    for column in (catalogue.sizes, catalogue.offsets, catalogue.frames, catalogue.encodings):
        digest.update(column.tobytes())
    return (
        f"{len(catalogue):,} files with {chunks.num_samples:,} samples to train on "
        f"({digest.hexdigest()})"
    )
