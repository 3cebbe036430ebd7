"""What is known of the files of a corpus, in columns, and the file that keeps it.

N files.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from pipeline.catalogue import column_file as columns
from pipeline.catalogue.column_file import ColumnFileError
from pipeline.catalogue.string_array import StringArray

_VERSION = 3
_PLACES = "places of seed "


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FileTable:
    """Columns over N files: first those that can be used, then those that cannot.

    Integers are of any type that holds them; see `catalogue.Catalogue` for what they mean.

    Attributes:
      path_blob: uint8, the paths, one after the other; see `texts.StringArray`.
      path_bounds: [N + 1], where each begins in there, and where the last one ends.
      name_starts: [N], bytes of each path before the name, relative to its folder.
      note_blob: uint8, what is wrong with each file, mostly nothing.
      note_bounds: [N + 1].
      sizes: [N], -1 where a file cannot be read.
      mtimes_ns: [N], likewise.
      offsets: [N].
      frames: [N].
      channels: [N].
      rates: [N].
      encodings: [N], -1 where a file cannot be used.
      places: float64 [N] by seed, see `split.places`: those that were worked out once.
    """

    path_blob: np.ndarray
    path_bounds: np.ndarray
    name_starts: np.ndarray
    note_blob: np.ndarray
    note_bounds: np.ndarray
    sizes: np.ndarray
    mtimes_ns: np.ndarray
    offsets: np.ndarray
    frames: np.ndarray
    channels: np.ndarray
    rates: np.ndarray
    encodings: np.ndarray
    places: Mapping[int, np.ndarray] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.encodings)

    @property
    def num_usable(self) -> int:
        """How many can be used."""
        return int(np.count_nonzero(self.encodings >= 0))

    @property
    def paths(self) -> StringArray:
        """The paths to open."""
        return StringArray(self.path_blob, self.path_bounds[:-1], self.path_bounds[1:])

    @property
    def names(self) -> StringArray:
        """The paths relative to their folders."""
        starts = self.path_bounds[:-1] + self.name_starts.astype(self.path_bounds.dtype)
        return StringArray(self.path_blob, starts, self.path_bounds[1:])

    @property
    def notes(self) -> StringArray:
        """What is wrong with each, or empty."""
        return StringArray(self.note_blob, self.note_bounds[:-1], self.note_bounds[1:])

    def equals(self, other: "FileTable") -> bool:
        """Whether all columns but the places are the same."""
        names = (field.name for field in dataclasses.fields(self) if field.name != "places")
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)

    def save(self, path: str, about: Mapping[str, Any]) -> None:
        """Replaces a file with these and JSON values about them. Raises OSError."""
        arrays = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for seed, places in arrays.pop("places").items():
            arrays[f"{_PLACES}{seed}"] = places
        columns.save(path, {**about, "version": _VERSION}, arrays)

    @classmethod
    def load(cls, path: str) -> tuple[Self, dict[str, Any]]:
        """Returns what was saved.

        Raises:
          OSError: the file cannot be read.
          ColumnFileError: it is something else, damaged, or of another version; does not name it.
        """
        about, arrays = columns.load(path)
        if about.get("version") != _VERSION:
            raise ColumnFileError(f"it is of version {about.get('version')}, expected {_VERSION}")
        places = {
            int(name.removeprefix(_PLACES)): arrays.pop(name)
            for name in list(arrays)
            if name.startswith(_PLACES)
        }
        return cls(**arrays, places=places), about
