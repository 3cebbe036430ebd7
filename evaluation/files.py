"""Which files a model is evaluated on, and whether it was trained on them."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from evaluation.config import EvaluationConfig
from pipeline.catalogue.catalogue import Catalogue, Skipped
from pipeline.config import PipelineConfig
from pipeline.corpus import open_corpus
from pipeline.error_budget import ErrorBudget
from pipeline.split import draw_files, is_trained_on
from runtime.errors import ConfigError, DataError
from runtime.filesystem import absolute
from runtime.gfile import is_remote
from runtime.logging import logger
from runtime.progress import progress_bar


class EvaluationFiles(NamedTuple):
    """The files of an evaluation.

    Attributes:
      catalogue: the files.
      split: side of the training split, one of `config.SPLITS`.
      skipped: files that cannot be used.
    """

    catalogue: Catalogue
    split: str
    skipped: tuple[Skipped, ...]


def open_files(
    config: EvaluationConfig, data: Mapping[str, Any], pipeline: PipelineConfig
) -> EvaluationFiles:
    """Finds the files to evaluate.

    Args:
      config: what to evaluate.
      data: the model file's `data`: `audio_dirs`, `valid_fraction`.
      pipeline: how files become samples; its seed is that of the split.

    Raises:
      ConfigError: no folder is known.
      DataError: there is no file, or too many are unusable.
      OSError: a folder cannot be accessed.
    """
    train_dirs = tuple(data["audio_dirs"])
    audio_dirs = config.audio_dirs or _require_train_dirs(train_dirs)
    corpus = open_corpus(
        audio_dirs,
        pipeline,
        valid_fraction=data["valid_fraction"],
        catalogue_path=config.catalogue,
        progress=progress_bar("WAV headers"),
    )
    skipped = corpus.catalogue.skipped
    budget = error_budget(config, len(corpus.catalogue) + len(skipped), skipped)
    if problem := budget.exceeded():
        raise DataError(problem)
    # By its own folders a model is measured on what was held out; in others nothing was.
    is_own = set(map(_real_path, audio_dirs)) <= set(map(_real_path, train_dirs))
    split = config.split or ("valid" if is_own else "all")
    if split == "all":
        catalogue = corpus.catalogue
    elif is_own:
        catalogue = (corpus.valid if split == "valid" else corpus.train).catalogue
    else:
        catalogue = _same_side(corpus.catalogue, split, data, pipeline)
    if not len(catalogue):
        raise DataError(
            f"the split {split!r} has no file: the model was trained with --valid_fraction="
            f"{data['valid_fraction']}; expected --split=all, or another --audio_dir"
        )
    if split != "valid":
        _warn_of_training_files(catalogue, data, pipeline)
    # By a hash: the same files in every evaluation, and not those of the first folders alone.
    if config.eval_files:
        catalogue = draw_files(catalogue, config.eval_files, seed=pipeline.seed)
    return EvaluationFiles(catalogue, split, skipped)


def error_budget(
    config: EvaluationConfig, num_files: int, skipped: tuple[Skipped, ...] = ()
) -> ErrorBudget:
    """Returns the budget for unusable files among `num_files`."""
    return ErrorBudget(
        num_files, skipped, strict=config.strict, max_fraction=config.max_skipped_fraction
    )


def _require_train_dirs(audio_dirs: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the folders that a model was trained on. Raises ConfigError, FileNotFoundError."""
    if not audio_dirs:
        raise ConfigError(
            "--audio_dir is missing: a folder of WAV files (a model that comes with wavestream has "
            "no files that were held out)"
        )
    # A bucket is not asked here: listing it says the same, in words of its own.
    for folder in map(_real_path, audio_dirs):
        if not is_remote(folder) and not os.path.exists(folder):
            raise FileNotFoundError(
                f"{folder}, which the model was trained on, no longer exists; if it was moved, "
                "--audio_dir=FOLDER --split=valid selects the files that were held out"
            )
    return audio_dirs


def _same_side(
    catalogue: Catalogue, split: str, data: Mapping[str, Any], pipeline: PipelineConfig
) -> Catalogue:
    """Returns the files of other folders on a side of the training split, going by their names."""
    is_trained, is_inside = _in_training_split(catalogue, data, pipeline)
    if not all(is_inside):
        logger.warning(
            "%d of %d files are not in the folders that the model was trained on: their relative "
            "paths decide which of them it was trained on, which is right only for a copy of these "
            "folders",
            is_inside.count(False),
            len(catalogue),
        )
    return catalogue.select(
        [i for i, trained in enumerate(is_trained) if trained == (split == "train")]
    )


def _warn_of_training_files(
    catalogue: Catalogue, data: Mapping[str, Any], pipeline: PipelineConfig
) -> None:
    pairs = zip(*_in_training_split(catalogue, data, pipeline), strict=True)
    if count := sum(trained and inside for trained, inside in pairs):
        logger.warning(
            "%d of these %d files are in the model's training split: it needs fewer bits for them "
            "than for audio that it has not seen",
            count,
            len(catalogue),
        )


def _in_training_split(
    catalogue: Catalogue, data: Mapping[str, Any], pipeline: PipelineConfig
) -> tuple[list[bool], list[bool]]:
    """Returns which files' names are in the training split, and which lie in its folders."""
    # A hash of the path below the folder of training decided. So a file is found again in a part of
    # that folder, and under another name of it: links are followed.
    names, is_inside = [], []
    roots = [_real_path(folder).rstrip("/") + "/" for folder in data["audio_dirs"]]
    for path, name in zip(map(_real_path, catalogue.paths), catalogue.names, strict=True):
        root = next((root for root in roots if path.startswith(root)), None)
        names.append(name if root is None else path.removeprefix(root))
        is_inside.append(root is not None)
    valid_fraction = data["valid_fraction"]
    return is_trained_on(names, valid_fraction=valid_fraction, seed=pipeline.seed), is_inside


def _real_path(path: str) -> str:
    return path if is_remote(path) else os.path.realpath(absolute(path))
