"""Whether a run may resume from a checkpoint: the same data, model and optimizer."""

import collections
import dataclasses
import hashlib
import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict

from models.predictors.sets import set_of_chains
from pipeline.reading.chunk_index import Chunks
from runtime.errors import TrainingError
from training.checkpoints.checkpoint_file import Checkpoint
from training.config import RunConfig
from training.initial_model import InitialModel

_NOT_COMPARED = frozenset({"log_every", "eval_every", "eval_steps", "profile"})
"""Settings of training that do not affect the parameters: a resumed run may have others."""

_LONGEST_SHOWN = 60  # Characters of a list.
_NAMES_AT_ONCE = 2**16  # Bounds the memory of their digest.


def run_settings(
    config: RunConfig, model_config: Any, train: Chunks, initial: InitialModel | None = None
) -> dict[str, Any]:
    """Returns the settings that a resumed run must share with its checkpoint, by name of flag.

    Args:
      config: the run.
      model_config: a dataclass, see `Model.config`.
      train: the training chunks; the setting `audio` is a fingerprint of their files.
      initial: the model that training starts from, known by its fingerprint: its file may move.
    """
    training = dataclasses.asdict(config.training)
    return {
        **dataclasses.asdict(config.pipeline),
        **model_settings(model_config),
        **{name: value for name, value in training.items() if name not in _NOT_COMPARED},
        **(dataclasses.asdict(config.pool) if config.pool else {}),
        **dataclasses.asdict(config.augmentation),
        "valid_fraction": config.valid_fraction,
        "num_chunks": config.num_chunks,
        "audio": fingerprint(train),
        "init_from": initial.fingerprint if initial else None,
    }


def model_settings(model_config: Any) -> dict[str, Any]:
    """Returns the settings of a model without nesting; `network` is the kind of its network.

    A name that two parts of the model have is preceded by that of the part.
    """
    # As they come back from a checkpoint: its metadata are JSON, which has no tuples.
    values = json.loads(json.dumps(dataclasses.asdict(model_config)))
    leaves = {
        path[:-1] if path[-1] == "kind" else path: value
        for path, value in flatten_dict({"model": values}).items()
    }
    counts = collections.Counter(path[-1] for path in leaves)
    return {
        path[-1] if counts[path[-1]] == 1 else ".".join(path[-2:]): value
        for path, value in leaves.items()
    }


def is_same_run(start: Checkpoint, now: Mapping[str, Any], allowed: Collection[str]) -> bool:
    """Whether to go on with a run, and not to begin another in its place.

    A finished run makes place for one with other settings. It goes on if it is asked for more
    steps; then, as in an unfinished one, settings that differ are for `check_resumable` to refuse.

    Args:
      start: its last checkpoint.
      now: the `run_settings` of this run.
      allowed: names of settings that may differ.
    """
    saved = start.metadata["run"]["settings"]
    is_asked_for_more = now["training_steps"] > start.step
    others = set(differing_settings(saved, now, allowed)) - {"training_steps"}
    return not _is_finished(start) or is_asked_for_more or not others


def check_resumable(
    start: Checkpoint, now: Mapping[str, Any], allowed: Collection[str], model_config: Any
) -> None:
    """Raises TrainingError if settings differ that must not, with the old and new value of each.

    A finished run may have more steps now, but no run fewer than it has done.

    Args:
      start: the last checkpoint of the run.
      now: the `run_settings` of this run.
      allowed: names of settings that may differ. Of the model only `dtype` may: the others decide
        the shapes of its parameters, or what they mean.
      model_config: the model's config in this run.
    """
    saved = start.metadata["run"]["settings"]
    if unknown := sorted(set(allowed) - now.keys()):
        raise TrainingError(
            f"--allow_change={','.join(unknown)}: expected some of {', '.join(sorted(now))}"
        )
    fixed = model_settings(model_config).keys() - {"dtype"}
    may_differ = {*allowed, "training_steps"} if _is_finished(start) else set(allowed)
    differing = differing_settings(saved, now, may_differ - fixed)
    if differing:
        hint = "" if fixed & {*differing} else f", or --allow_change={','.join(differing)}"
        changes = "; ".join(
            f"{name} was {_shown(saved.get(name))}, is {_shown(now.get(name))}"
            for name in differing
        )
        raise TrainingError(
            f"there is a run here, with other settings: {changes}. Expected the same settings to "
            f"resume it{hint}; or --fresh, another --output_dir or another --model_name for a new "
            "run"
        )
    if start.step > now["training_steps"]:
        raise TrainingError(
            f"--training_steps={now['training_steps']}: the run here has done {start.step} steps "
            "already: expected as many to leave it as it is, or more to go on; or --fresh, another "
            "--output_dir or another --model_name for a new run"
        )


def _is_finished(start: Checkpoint) -> bool:
    return start.step >= start.metadata["run"]["settings"]["training_steps"]


def host_settings(config: RunConfig, settings: Mapping[str, Any], held_out: str) -> dict[str, Any]:
    """Returns the settings that must be equal on all hosts, or they would wait for each other.

    Args:
      config: the run.
      settings: its `run_settings`.
      held_out: the `fingerprint` of its held-out chunks.
    """
    checkpoint = dataclasses.asdict(config.checkpoint)
    for primary_only in ("fresh", "allow_change"):
        del checkpoint[primary_only]
    return {
        **settings,
        **dataclasses.asdict(config.training),
        **checkpoint,
        "held-out audio": held_out,
    }


def check_hosts_agree(settings: Sequence[Mapping[str, Any]]) -> None:
    """Raises TrainingError if the settings of the hosts, one mapping each, differ."""
    first = settings[0]
    for number, other in enumerate(settings):
        if differing := differing_settings(first, other):
            values = "; ".join(
                f"{name} is {_shown(first[name])} and {_shown(other[name])}" for name in differing
            )
            raise TrainingError(
                f"hosts 0 and {number} differ: {values}. Expected the same command and the same "
                "files on all of them"
            )


def _shown(value: Any) -> str:
    """Returns a value in a few words: a set of predictors by its name."""
    if isinstance(value, list) and len(text := str(value)) > _LONGEST_SHOWN:
        digest = hashlib.blake2b(text.encode(), digest_size=3).hexdigest()
        return set_of_chains(value) or f"{len(value)} others ({digest})"
    return str(value)


def differing_settings(
    saved: Mapping[str, Any], now: Mapping[str, Any], allowed: Collection[str] = ()
) -> list[str]:
    """Returns the names of the settings that differ, without those that may."""
    return sorted(
        name
        for name in saved.keys() | now.keys()
        if saved.get(name) != now.get(name) and name not in allowed
    )


def fingerprint(chunks: Chunks) -> str:
    """Returns a digest of the names, lengths and formats of files, not of folders or times.

    So a run may resume after its audio has moved to another folder.
    """
    catalogue, files = chunks.catalogue.without_cached_columns(), chunks.catalogue.files
    digest = hashlib.blake2b(digest_size=6)
    names, separator = catalogue.names.encoded(), b""
    while block := list(itertools.islice(names, _NAMES_AT_ONCE)):
        digest.update(separator + b"\0".join(block))
        separator = b"\0"
    # Cast, so that the digest does not depend on how a catalogue stores its columns.
    for column in (files.sizes, files.offsets, files.frames):
        digest.update(catalogue.take(column).astype(np.int64).data)
    digest.update(catalogue.take(files.encodings).astype(np.int8).data)
    return f"{len(catalogue):,} files with {chunks.num_samples:,} samples ({digest.hexdigest()})"
