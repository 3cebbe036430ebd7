"""The table of the files of a corpus, and how it is stored.

N files.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from pipeline.catalogue import column_file
from pipeline.catalogue.column_file import ColumnFileError
from pipeline.catalogue.string_array import StringArray

_VERSION = 5  # of the columns; `column_file` has its own for the container
_SPLIT_HASHES = "split hashes of seed "


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FileTable:
    """Columns over N files: first the usable ones, then the others.

    Integers are of the narrowest type that holds them; see `catalogue.Catalogue`.

    Attributes:
      path_blob: uint8, the concatenated paths; see `string_array.StringArray`.
      path_bounds: [N + 1], byte offset in there where each begins, and where the last one ends.
      name_starts: [N], bytes of each path before the name, relative to its folder.
      note_blob: uint8, likewise what is wrong with each file; mostly empty.
      note_bounds: [N + 1], likewise.
      sizes: [N], bytes in each file, -1 where it cannot be read.
      mtimes_ns: [N], modification times in nanoseconds; -1 likewise.
      offsets: [N], where the samples begin in each file, in bytes.
      frames: [N], per file.
      channels: [N], per file.
      sample_rates: [N], in Hz.
      encodings: [N], values of `wav.encoding.Encoding`, -1 where a file cannot be used.
      split_hashes: float64 [N] by seed: `split.hash_to_unit` of the names, where they are stored.
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
    sample_rates: np.ndarray
    encodings: np.ndarray
    split_hashes: Mapping[int, np.ndarray] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.encodings)

    @property
    def num_usable(self) -> int:
        """Files that can be used."""
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
        """Whether all columns but the split hashes are the same."""
        names = (field.name for field in dataclasses.fields(self) if field.name != "split_hashes")
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)

    def save(self, path: str, metadata: Mapping[str, Any]) -> None:
        """Writes the table and JSON metadata to a file, replaced as a whole. Raises OSError."""
        arrays = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for seed, hashes in arrays.pop("split_hashes").items():
            arrays[f"{_SPLIT_HASHES}{seed}"] = hashes
        column_file.save(path, {**metadata, "version": _VERSION}, arrays)

    @classmethod
    def load(cls, path: str) -> tuple[Self, dict[str, Any]]:
        """Returns the table and the metadata that `save` wrote.

        Raises:
          OSError: the file cannot be read.
          ColumnFileError: it has another format or version, or is damaged.
        """
        metadata, arrays = column_file.load(path)
        version = metadata.get("version")
        if version != _VERSION:
            raise ColumnFileError(f"it is of version {version}, expected {_VERSION}")
        hashes = {
            int(name.removeprefix(_SPLIT_HASHES)): arrays.pop(name)
            for name in list(arrays)
            if name.startswith(_SPLIT_HASHES)
        }
        return cls(**arrays, split_hashes=hashes), metadata
