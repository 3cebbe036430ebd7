"""Which files are trained on, and which are held out to validate."""

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np

from pipeline.catalogue import Catalogue
from pipeline.wav import Encoding


def split_catalogue(
    catalogue: Catalogue, *, valid_fraction: float, seed: int
) -> tuple[Catalogue, Catalogue]:
    """Splits a corpus by file into (train, valid), each in the order of the catalogue.

    The side of a file depends on its relative name and the seed alone, so no file changes side
    because others came or went (files of the same name in two folders share a side). The exception:
    of two files or more each side gets at least one, so where the hash leaves a side empty, the
    file nearest the threshold crosses. A single file is split in time and its tail held out.

    Args:
      catalogue: the corpus; may be empty.
      valid_fraction: share of the files to hold out, 0 <= valid_fraction < 1. At 0, `valid` is
        empty.
      seed: another seed holds out other files.

    Raises:
      ValueError: `valid_fraction` is out of range.
    """
    if not 0 <= valid_fraction < 1:
        raise ValueError(f"valid_fraction is {valid_fraction}, expected 0 <= valid_fraction < 1")
    if valid_fraction and len(catalogue) == 1:
        return _split_in_time(catalogue, valid_fraction)
    places = np.array([_place(name, seed) for name in catalogue.names], np.float64)
    is_valid = places < valid_fraction
    if valid_fraction and len(catalogue) > 1:
        if not is_valid.any():
            is_valid[places.argmin()] = True
        elif is_valid.all():
            is_valid[places.argmax()] = False
    return catalogue.select(np.flatnonzero(~is_valid)), catalogue.select(np.flatnonzero(is_valid))


def draw_files(catalogue: Catalogue, count: int, *, seed: int) -> Catalogue:
    """Returns at most `count` files, the same whatever other files there are, in their order."""
    if count >= len(catalogue):
        return catalogue
    # Not the places of the split: there a held-out file's is low, and a training file's high.
    places = [_place(f"draw\0{name}", seed) for name in catalogue.names]
    return catalogue.select(np.sort(np.argsort(places, kind="stable")[:count]))


def is_trained_on(names: Sequence[str], *, valid_fraction: float, seed: int) -> list[bool]:
    """Returns whether the hash puts files of these relative names on the training side."""
    return [_place(name, seed) >= valid_fraction for name in names]


def _place(name: str, seed: int) -> float:
    """A place in [0, 1) for a name, uniform over names and the same on every machine."""
    key = f"{seed}\0{name}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(key, digest_size=6).digest(), "big") / 2**48


def _split_in_time(catalogue: Catalogue, valid_fraction: float) -> tuple[Catalogue, Catalogue]:
    """Holds out the last frames of a single file: one at least, if that leaves one."""
    frames = int(catalogue.frames[0])
    held_out = min(max(round(frames * valid_fraction), 1), frames - 1)
    if held_out == 0:
        return catalogue, catalogue.select([])
    frame_bytes = int(catalogue.channels[0]) * Encoding(catalogue.encodings[0]).bytes_per_sample
    kept = catalogue.frames - held_out
    train = dataclasses.replace(catalogue, frames=kept)
    valid = dataclasses.replace(
        catalogue,
        offsets=catalogue.offsets + kept * frame_bytes,
        frames=catalogue.frames - kept,
    )
    return train, valid
