"""A corpus: the catalogue of some folders, split by file, and divided into chunks."""

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

from pipeline.catalogue.catalogue import Catalogue, Skipped, build_catalogue
from pipeline.catalogue.catalogue_file import open_catalogue
from pipeline.config import PipelineConfig
from pipeline.reading.chunk_index import Chunks
from pipeline.split import split_catalogue
from pipeline.subset import draw_chunks
from pipeline.wav.other_audio import OTHER_AUDIO_SUFFIXES, how_to_convert
from runtime.errors import DataError
from runtime.find_files import find_files
from runtime.gfile import is_remote
from runtime.progress import Progress, no_progress


class NoAudioError(DataError):
    """No file of the folders can be used."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Corpus:
    """The files of some folders, and the chunks of both sides.

    Attributes:
      catalogue: all files, and those skipped.
      train: the chunks to train on, drawn from those of the files that are not held out.
      valid: the chunks of the files held out; may be empty.
      all_train: the chunks of all files that are not held out.
      valid_fraction: the share of the files that was to be held out.
    """

    catalogue: Catalogue
    train: Chunks
    valid: Chunks
    all_train: Chunks
    valid_fraction: float

    @property
    def held_out(self) -> float:
        """The share of the samples that are held out."""
        valid = self.valid.num_samples
        return valid / max(valid + self.all_train.num_samples, 1)

    @property
    def batches_per_epoch(self) -> float:
        """Batches in which every training chunk comes once."""
        return len(self.train) / self.train.config.batch_size

    def warnings(self) -> list[str]:
        """Returns what a user should know before training: too little is used, or held out."""
        used, there = len(self.train), len(self.all_train)
        texts = []
        if used < there:
            texts.append(
                f"--num_chunks={used:,} uses {used / there:.1%} of the {there:,} training chunks: "
                f"a stretch of each file, of {len(self.train.catalogue):,} of "
                f"{len(self.all_train.catalogue):,} files; --num_chunks={there} uses all"
            )
        files, all_files = len(self.valid.catalogue), len(self.catalogue)
        share, wanted = self.held_out, files / all_files
        # Of few files the hash may hold out many: `describe_chunks` says so. A single one is
        # split in time.
        is_uneven = share < wanted / 2 or share > 2 * wanted or 1 - share < (1 - wanted) / 2
        if 0 < files < all_files and is_uneven:
            texts.append(
                f"{share:.1%} of the samples are held out, in {files:,} of {all_files:,} files: "
                "the files differ much in length; expected another --valid_fraction or --seed, or "
                "long files cut into shorter ones"
            )
        return texts


def open_corpus(
    audio_dirs: Sequence[str],
    config: PipelineConfig,
    *,
    valid_fraction: float,
    num_chunks: int | None = None,
    cache_path: str | None = None,
    catalogue_path: str | None = None,
    progress: Progress = no_progress,
    num_threads: int = 16,
) -> Corpus:
    """Finds the files, holds some of them out, and divides both sides into chunks.

    Args:
      audio_dirs: see `build_catalogue`.
      config: of the chunks; its seed decides which files are held out.
      valid_fraction: the share of files held out.
      num_chunks: limit on the chunks to train on, see `draw_chunks`; None: all.
      cache_path: see `build_catalogue`.
      catalogue_path: file that holds the catalogue, see `open_catalogue`; replaces the cache.
      progress: see `build_catalogue`.
      num_threads: see `build_catalogue`.

    Raises:
      NoAudioError: no file can be used; names what was skipped, and why.
      CatalogueError: see `open_catalogue`.
      FileNotFoundError, OSError: a folder does not exist or cannot be reached.
      MissingDependencyError, DataError: see `gfile.require_filesystem`.
    """
    scan: dict[str, Any] = {"progress": progress, "num_threads": num_threads}
    if catalogue_path:
        catalogue = open_catalogue(catalogue_path, audio_dirs, seed=config.seed, **scan)
    else:
        catalogue = build_catalogue(audio_dirs, cache_path=cache_path, **scan)
    if not len(catalogue):
        folders = ", ".join(audio_dirs)
        if not catalogue.skipped:
            raise NoAudioError(
                f"no .wav file in {folders} or the folders below (hidden names are left out)"
                + how_to_convert(_other_audio(audio_dirs))
            )
        raise NoAudioError(
            f"none of the {len(catalogue.skipped)} .wav files in {folders} can be used: "
            + describe_skipped(catalogue.skipped)
        )
    train, valid = split_catalogue(catalogue, valid_fraction=valid_fraction, seed=config.seed)
    chunks = Chunks(catalogue=train, config=config)
    limit = len(chunks) if num_chunks is None else num_chunks
    return Corpus(
        catalogue=catalogue,
        train=draw_chunks(chunks, limit, seed=config.seed),
        valid=Chunks(catalogue=valid, config=config),
        all_train=chunks,
        valid_fraction=valid_fraction,
    )


def _other_audio(folders: Sequence[str]) -> str:
    """Returns a path of audio that is no WAV; of local folders alone: a bucket takes hours."""
    local = [folder for folder in folders if not is_remote(folder)]
    files = (file for folder in local for file in find_files(folder, OTHER_AUDIO_SUFFIXES, set()))
    return next((file.path for file in files if not file.error), "")


def describe_skipped(skipped: Sequence[Skipped], limit: int = 5) -> str:
    """Groups skipped files by reason: one file and the number of others, for about `limit`."""
    by_reason: dict[str, list[str]] = collections.defaultdict(list)
    for path, reason in skipped:
        by_reason[reason].append(path)
    texts = []
    if len(by_reason) == limit + 1:  # The last takes no more room than that there is one more.
        limit += 1
    for reason, paths in list(by_reason.items())[:limit]:
        others = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        texts.append(f"{paths[0]!r}{others} ({reason})")
    if rest := list(by_reason.values())[limit:]:
        texts.append(f"and {sum(map(len, rest)):,} more for {len(rest):,} other reasons")
    return "; ".join(texts)
