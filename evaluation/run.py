"""One evaluation, from a model and folders to a report."""

import dataclasses
import logging
import os
from collections.abc import Mapping
from typing import Any

from evaluation.codecs.baselines import score_chunks, score_files
from evaluation.codecs.libraries import all_codecs
from evaluation.config import EvaluationConfig
from evaluation.evaluate import evaluate
from evaluation.report.write import write_report
from evaluation.result import Evaluation
from models.transformer import Transformer
from pipeline.catalogue import Catalogue, Skipped
from pipeline.chunks import Chunks
from pipeline.config import PipelineConfig
from pipeline.corpus import describe_skipped, open_corpus
from pipeline.filesystem import absolute, is_remote
from pipeline.progress import progress_bar
from pipeline.split import draw_files, is_trained_on

logger = logging.getLogger("wavestream")


def run(
    config: EvaluationConfig,
    model: Transformer,
    params: Any,
    settings: Mapping[str, Any],
    pipeline: PipelineConfig,
) -> Evaluation:
    """Evaluates a model beside other codecs, and writes a report where one is asked for.

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
    if config.report_dir:  # Before hours of work, not after.
        os.makedirs(config.report_dir, exist_ok=True)
    catalogue, split, skipped = _open(config, settings, pipeline)
    pipeline = dataclasses.replace(pipeline, batch_size=config.batch_size)
    logger.info("evaluating       %d files (split: %s)", len(catalogue), split)

    evaluation = evaluate(model, params, catalogue, pipeline, progress=progress_bar("the model"))
    lost = {path for path, _ in evaluation.skipped}
    read = [file for file, path in enumerate(catalogue.paths) if path not in lost]
    catalogue = catalogue.select(read)
    chunks = Chunks(catalogue=catalogue, config=pipeline)
    evaluation = dataclasses.replace(
        evaluation,
        codecs=tuple(score_files(catalogue, codecs, pipeline, progress_bar("codecs"))),
        native=tuple(score_files(catalogue, codecs, None, progress_bar("codecs, native samples"))),
        chunked=tuple(score_chunks(chunks, codecs, progress_bar("codecs, each chunk")))
        if config.chunked
        else (),
        skipped=(*skipped, *evaluation.skipped),
        model_bytes=os.path.getsize(config.model) if os.path.exists(config.model) else 0,
        settings=_settings(config, settings, pipeline, catalogue, split),
    )
    if config.report_dir:
        logger.info("report           %s", write_report(evaluation, config.report_dir))
    return evaluation


def _open(
    config: EvaluationConfig, settings: Mapping[str, Any], pipeline: PipelineConfig
) -> tuple[Catalogue, str, tuple[Skipped, ...]]:
    """Returns the files, what the split is called, and what cannot be used."""
    own = tuple(settings["audio_dirs"])
    folders = config.audio_dirs or own
    if not folders:
        raise ValueError("--audio_dir is missing: a folder of WAV files")
    is_own = {_real(folder) for folder in folders} <= {_real(folder) for folder in own}
    corpus = open_corpus(
        folders,
        pipeline,
        valid_fraction=settings["valid_fraction"],
        progress=progress_bar("WAV headers"),
    )
    skipped = corpus.catalogue.skipped
    if skipped:
        logger.warning("%d files skipped: %s", len(skipped), describe_skipped(skipped))
    split = config.split or ("valid" if is_own else "all")
    sides = {
        "valid": corpus.valid.catalogue,
        "train": corpus.train.catalogue,
        "all": corpus.catalogue,
    }
    catalogue = sides[split]
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


def _warn_of_known_files(
    catalogue: Catalogue, own: tuple[str, ...], settings: Mapping[str, Any]
) -> None:
    """Says so where a model is asked about what it was trained on."""
    names = []
    for path in map(_real, catalogue.paths):
        for folder in map(_real, own):
            if path.startswith(folder + "/"):
                names.append(os.path.relpath(path, folder))
                break
    known = sum(
        is_trained_on(
            names,
            valid_fraction=settings["valid_fraction"],
            seed=settings["pipeline"]["seed"],
        )
    )
    if known:
        logger.warning(
            "%d of these %d files are of the model's training split: its figure is better than on "
            "audio that it has not seen",
            known,
            len(catalogue),
        )


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
        "hours": round(float((catalogue.frames / catalogue.rates).sum()) / 3600, 3),
        **{f"pipeline.{name}": value for name, value in dataclasses.asdict(pipeline).items()},
        **{f"model.{name}": value for name, value in settings["model"].items()},
        "trained steps": settings.get("steps"),
    }
