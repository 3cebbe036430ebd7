"""One evaluation, from a model and folders to a report."""

import dataclasses
import logging
import os
from collections.abc import Mapping
from typing import Any

from evaluation.baselines.encode import score_chunks, score_files
from evaluation.baselines.libraries import all_codecs
from evaluation.baselines.programs import missing_programs
from evaluation.config import EvaluationConfig
from evaluation.results import Evaluation
from evaluation.score import evaluate
from models.networks.transformer import Transformer
from pipeline.catalogue.catalogue import Catalogue, Skipped
from pipeline.config import PipelineConfig
from pipeline.corpus import open_corpus
from pipeline.error_budget import ErrorBudget
from pipeline.inspect import describe_noted
from pipeline.reading.chunks import Chunks
from pipeline.split import draw_files, is_trained_on
from runtime.filesystem import absolute, is_remote, stat
from runtime.progress import progress_bar

logger = logging.getLogger("wavestream")


def run(
    config: EvaluationConfig,
    model: Transformer,
    params: Any,
    settings: Mapping[str, Any],
    pipeline: PipelineConfig,
) -> Evaluation:
    """Evaluates a model beside other codecs.

    Args:
      config: what to do.
      model: the model.
      params: its parameters.
      settings: those of the model file: which folders it was trained on, and their split.
      pipeline: how files become its symbols.

    Raises:
      NoAudioError, ValueError, OSError: with a message for the user.
    """
    codecs = all_codecs() if config.codecs is None else all_codecs(config.codecs)
    if config.codecs and (missing := missing_programs(config.codecs)):
        raise ValueError(f"--codecs: on the PATH there is none of {', '.join(missing)}")
    if config.report_dir:  # Before hours of work, not after.
        try:
            os.makedirs(config.report_dir, exist_ok=True)
        except OSError as error:
            raise OSError(f"--report_dir={config.report_dir} cannot be made: {error}") from error
    catalogue, split, skipped = _open(config, settings, pipeline)
    pipeline = dataclasses.replace(pipeline, batch_size=config.batch_size)
    logger.info("evaluating       %d files (split: %s)", len(catalogue), split)
    for label, text in describe_noted(catalogue):
        logger.info("%-16s %s", label, text)

    limit = _error_budget(config, len(catalogue))
    evaluation = evaluate(
        model, params, catalogue, pipeline, limit=limit, progress=progress_bar("the model")
    )
    lost = {path for path, _ in evaluation.skipped}
    read = [file for file, path in enumerate(catalogue.paths) if path not in lost]
    catalogue = catalogue.select(read)
    chunks = Chunks(catalogue=catalogue, config=pipeline)
    return dataclasses.replace(
        evaluation,
        codecs=tuple(score_files(catalogue, codecs, pipeline, progress_bar("codecs"))),
        native=tuple(score_files(catalogue, codecs, None, progress_bar("codecs, native samples"))),
        chunked=tuple(score_chunks(chunks, codecs, progress_bar("codecs, each chunk")))
        if config.chunked
        else (),
        skipped=(*skipped, *evaluation.skipped),
        model_bytes=stat(config.model)[0],
        settings=_settings(config, settings, pipeline, catalogue, split),
    )


def _open(
    config: EvaluationConfig, settings: Mapping[str, Any], pipeline: PipelineConfig
) -> tuple[Catalogue, str, tuple[Skipped, ...]]:
    """Returns the files, what the split is called, and what cannot be used."""
    own = tuple(settings["audio_dirs"])
    folders = config.audio_dirs or _still_there(own)
    corpus = open_corpus(
        folders,
        pipeline,
        valid_fraction=settings["valid_fraction"],
        catalogue_path=config.catalogue,
        progress=progress_bar("WAV headers"),
    )
    skipped = corpus.catalogue.skipped
    limit = _error_budget(config, len(corpus.catalogue) + len(skipped), skipped)
    if problem := limit.exceeded():
        raise ValueError(problem)
    is_own = {_real(folder) for folder in folders} <= {_real(folder) for folder in own}
    split = config.split or ("valid" if is_own else "all")
    if split == "all":
        catalogue = corpus.catalogue
    elif is_own:
        catalogue = (corpus.valid if split == "valid" else corpus.train).catalogue
    else:
        catalogue = _side(corpus.catalogue, split, own, settings)
    if not len(catalogue):
        raise ValueError(
            f"the split {split!r} has no file: the model was trained with --valid_fraction="
            f"{settings['valid_fraction']}; expected --split=all, or another --audio_dir"
        )
    if split != "valid":
        _warn_of_known_files(catalogue, own, settings)
    if config.eval_files:
        catalogue = draw_files(catalogue, config.eval_files, seed=pipeline.seed)
    return catalogue, split, skipped


def _still_there(own: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the folders that a model was trained on. Raises ValueError, FileNotFoundError."""
    if not own:
        raise ValueError("--audio_dir is missing: a folder of WAV files")
    for folder in map(_real, own):
        if not is_remote(folder) and not os.path.exists(folder):
            raise FileNotFoundError(
                f"{folder}, which the model was trained on, is not there any more; where it has "
                "moved to, --audio_dir=FOLDER --split=valid finds the files that were held out"
            )
    return own


def _error_budget(
    config: EvaluationConfig, num_files: int, skipped: tuple[Skipped, ...] = ()
) -> ErrorBudget:
    return ErrorBudget(
        num_files, skipped, strict=config.strict, max_fraction=config.max_skipped_fraction
    )


def _side(
    catalogue: Catalogue, split: str, own: tuple[str, ...], settings: Mapping[str, Any]
) -> Catalogue:
    """Returns the files of other folders that are on a side of the model's split."""
    known, is_inside = _is_known(catalogue, own, settings)
    if not all(is_inside):
        logger.warning(
            "%d of %d files are not in the folders that the model was trained on; which of them it "
            "knows is told by their relative paths, and true only if they are the same corpus",
            is_inside.count(False),
            len(catalogue),
        )
    return catalogue.select(
        [i for i, is_known in enumerate(known) if is_known == (split == "train")]
    )


def _warn_of_known_files(
    catalogue: Catalogue, own: tuple[str, ...], settings: Mapping[str, Any]
) -> None:
    """Says so where a model is asked about what it was trained on."""
    pairs = zip(*_is_known(catalogue, own, settings), strict=True)
    if known := sum(is_known and is_inside for is_known, is_inside in pairs):
        logger.warning(
            "%d of these %d files are of the model's training split: its figure is better than on "
            "audio that it has not seen",
            known,
            len(catalogue),
        )


def _is_known(
    catalogue: Catalogue, own: tuple[str, ...], settings: Mapping[str, Any]
) -> tuple[list[bool], list[bool]]:
    """Returns which files have names of the training split, and which lie in its folders."""
    names, is_inside = [], []
    roots = [folder.rstrip("/") + "/" for folder in map(_real, own)]
    for path, name in zip(map(_real, catalogue.paths), catalogue.names, strict=True):
        root = next((root for root in roots if path.startswith(root)), None)
        names.append(name if root is None else path.removeprefix(root))
        is_inside.append(root is not None)
    known = is_trained_on(
        names, valid_fraction=settings["valid_fraction"], seed=settings["pipeline"]["seed"]
    )
    return known, is_inside


def _real(path: str) -> str:
    return path if is_remote(path) else os.path.realpath(absolute(path))


def _settings(
    config: EvaluationConfig,
    settings: Mapping[str, Any],
    pipeline: PipelineConfig,
    catalogue: Catalogue,
    split: str,
) -> dict[str, Any]:
    return {
        "model": config.model,
        "folders": list(config.audio_dirs or settings["audio_dirs"]),
        "split": split,
        "eval_files": config.eval_files,
        "hours": round(float((catalogue.frames / catalogue.sample_rates).sum()) / 3600, 3),
        **dict(describe_noted(catalogue)),
        **{f"pipeline.{name}": value for name, value in dataclasses.asdict(pipeline).items()},
        **{f"model.{name}": value for name, value in settings["model"].items()},
        "trained steps": settings.get("steps"),
    }
