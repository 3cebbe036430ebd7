"""A corpus: the catalogue of some folders, split, and cut into chunks."""

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

from pipeline.catalogue.catalogue import Catalogue, Progress, Skipped, build_catalogue
from pipeline.catalogue.catalogue_file import open_catalogue
from pipeline.config import PipelineConfig
from pipeline.reading.chunks import Chunks
from pipeline.split import split_catalogue

_NAMED = 5  # Skipped files that an error names.


class NoAudioError(ValueError):
    """There is nothing to train on."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Corpus:
    """What there is to train on and to validate on."""

    catalogue: Catalogue
    train: Chunks
    valid: Chunks

    @property
    def steps_per_epoch(self) -> float:
        """Batches after which every training chunk came once."""
        return len(self.train) / self.train.config.batch_size


def open_corpus(
    audio_dirs: Sequence[str],
    config: PipelineConfig,
    *,
    valid_fraction: float,
    num_chunks: int | None = None,
    cache_path: str | None = None,
    catalogue_path: str | None = None,
    progress: Progress | None = None,
    num_threads: int = 16,
) -> Corpus:
    """Finds the files, holds some of them out, and numbers the chunks.

    Args:
      audio_dirs: see `build_catalogue`.
      config: how files are cut.
      valid_fraction: the share of files held out.
      num_chunks: the most chunks to train on.
      cache_path: see `build_catalogue`.
      catalogue_path: in place of a cache, see `open_catalogue`.
      progress: see `build_catalogue`.
      num_threads: see `build_catalogue`.

    Raises:
      NoAudioError: no file can be used; names what was skipped, and why.
      OSError, ImportError, ValueError: a folder cannot be reached.
    """
    scan: dict[str, Any] = {"progress": progress, "num_threads": num_threads}
    if catalogue_path:
        catalogue = open_catalogue(catalogue_path, audio_dirs, seed=config.seed, **scan)
    else:
        catalogue = build_catalogue(audio_dirs, cache_path=cache_path, **scan)
    if not len(catalogue):
        folders = ", ".join(audio_dirs)
        if not catalogue.skipped:
            raise NoAudioError(f"no .wav file in {folders} or the folders below")
        raise NoAudioError(
            f"none of the {len(catalogue.skipped)} .wav files in {folders} can be used: "
            + describe_skipped(catalogue.skipped)
        )
    train, valid = split_catalogue(catalogue, valid_fraction=valid_fraction, seed=config.seed)
    return Corpus(
        catalogue=catalogue,
        train=Chunks(catalogue=train, config=config, limit=num_chunks),
        valid=Chunks(catalogue=valid, config=config),
    )


def describe_skipped(skipped: Sequence[Skipped], limit: int = _NAMED) -> str:
    """Names some skipped files, one of each reason first."""
    by_reason: dict[str, list[str]] = collections.defaultdict(list)
    for path, reason in skipped:
        by_reason[reason].append(path)
    texts = []
    for reason, paths in list(by_reason.items())[:limit]:
        others = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        texts.append(f"{paths[0]!r}{others} ({reason})")
    rest = len(by_reason) - limit
    return "; ".join(texts) + (f"; and {rest} other reasons" if rest > 0 else "")
