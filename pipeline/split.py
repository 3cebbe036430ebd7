"""Splits a corpus into files to train on and files held out for validation."""

import itertools
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from pipeline.catalogue.catalogue import Catalogue
from pipeline.catalogue.string_array import StringArray
from runtime.errors import ConfigError

_HASH_BYTES = 6  # a float64 holds them exactly
_BLOCK = 2**16  # names hashed at a time, to bound the Python objects alive


def split_catalogue(
    catalogue: Catalogue, *, valid_fraction: float, seed: int
) -> tuple[Catalogue, Catalogue]:
    """Splits a corpus by file into (train, valid), each in the order of the catalogue.

    The side of a file depends on its relative name and the seed alone, so no file changes side
    because others are added or removed (files of the same name in two folders share a side). The
    exception: of two files or more each side gets at least one, so if the hash leaves a side empty,
    the file nearest the threshold changes side. A single file is split in time and its tail held
    out.

    Args:
      catalogue: the corpus; may be empty.
      valid_fraction: share of the files to hold out, 0 <= valid_fraction < 1. At 0, `valid` is
        empty.
      seed: random seed of the split.

    Raises:
      ConfigError: `valid_fraction` is out of range.
    """
    if not 0 <= valid_fraction < 1:
        raise ConfigError(f"valid_fraction is {valid_fraction}, expected 0 <= valid_fraction < 1")
    if not (valid_fraction and len(catalogue)):
        return catalogue, catalogue.select([])
    if len(catalogue) == 1:
        return _split_in_time(catalogue, valid_fraction)
    stored = catalogue.files.split_hashes.get(seed)
    hashes = hash_to_unit(catalogue.names, seed) if stored is None else catalogue.take(stored)
    is_valid = hashes < valid_fraction
    if not is_valid.any():
        is_valid[hashes.argmin()] = True
    elif is_valid.all():
        is_valid[hashes.argmax()] = False
    return catalogue.select(np.flatnonzero(~is_valid)), catalogue.select(np.flatnonzero(is_valid))


def draw_files(catalogue: Catalogue, count: int, *, seed: int) -> Catalogue:
    """Returns at most `count` files, drawn by a hash of their names, in their order.

    Which of two files is drawn first does not depend on the others.
    """
    if count >= len(catalogue):
        return catalogue
    # Not the hashes of the split: they are low for held-out files and high for training files.
    hashes = hash_to_unit(catalogue.names, seed, "draw\0")
    return catalogue.select(np.sort(np.argsort(hashes, kind="stable")[:count]))


def is_trained_on(names: Sequence[str], *, valid_fraction: float, seed: int) -> list[bool]:
    """Returns whether the hash puts files of these relative names on the training side."""
    return (hash_to_unit(StringArray.from_strings(names), seed) >= valid_fraction).tolist()


def hash_to_unit(
    names: StringArray,  # [N]
    seed: int,
    prefix: str = "",
) -> np.ndarray:  # float64 [N]
    """Returns a number in [0, 1) for each name: uniform, and the same on every machine.

    The 48-bit BLAKE2b digest (RFC 7693) of seed, prefix and name; 1 to 2 us a name.

    Args:
      names: relative names of files.
      seed: random seed; another one gives independent numbers.
      prefix: what the numbers are for; another one gives independent numbers, too.
    """
    key = f"{seed}\0{prefix}".encode()
    hashes = np.empty(len(names))
    digests = (blake2b(key + name, digest_size=_HASH_BYTES).digest() for name in names.encoded())
    for start in range(0, len(names), _BLOCK):
        block = np.frombuffer(b"".join(itertools.islice(digests, _BLOCK)), np.uint8)
        digits = block.reshape(-1, _HASH_BYTES).astype(np.float64)
        hashes[start : start + _BLOCK] = digits @ 256.0 ** -np.arange(1, _HASH_BYTES + 1)
    return hashes


def _split_in_time(catalogue: Catalogue, valid_fraction: float) -> tuple[Catalogue, Catalogue]:
    """Holds out the last frames of a single file: at least one frame for each side, if possible."""
    frames = int(catalogue.frames[0])
    held_out = min(max(round(frames * valid_fraction), 1), frames - 1)
    if held_out == 0:
        return catalogue, catalogue.select([])

    def part(begin: int, end: int) -> Catalogue:
        return catalogue.stretches(np.array([begin]), np.array([end - begin]))

    return part(0, frames - held_out), part(frames - held_out, frames)
