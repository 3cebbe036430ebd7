"""Runs one evaluation, from a model and folders to results."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from flax.traverse_util import flatten_dict

from codec.model import load_codec_model
from evaluation.baselines.encode import score_chunks, score_files
from evaluation.baselines.libraries import all_codecs
from evaluation.compressed import score_compressed
from evaluation.config import EvaluationConfig
from evaluation.files import EvaluationFiles, error_budget, open_files
from evaluation.results import CodecScore, Evaluation, Noted
from evaluation.score import evaluate
from models.interface import DEFAULT_SEGMENT, Model, SegmentModel
from pipeline.catalogue.catalogue import Catalogue
from pipeline.config import PipelineConfig
from pipeline.inspect import describe_noted
from pipeline.reading.chunk_index import Chunks
from runtime.atomic_files import make_writable_folder
from runtime.errors import ConfigError
from runtime.filesystem import stat
from runtime.formatting import format_number, format_row
from runtime.logging import logger
from runtime.progress import progress_bar


def run(
    config: EvaluationConfig,
    model: Model,
    params: Any,
    data: Mapping[str, Any],
    *,
    training: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Evaluates a model and other codecs on the same files.

    Args:
      config: what to evaluate.
      model: the model.
      params: its parameters.
      data: the model file's `data`: `pipeline`, `audio_dirs` and `valid_fraction`.
      training: the model file's `training`: the steps that it was trained for, and from what.

    Raises:
      ConfigError: a codec is unknown or not installed, or no folder is known.
      DataError: see `open_files` and `evaluate`.
      OSError: a folder cannot be accessed, or `report_dir` not be created or written.
    """
    codecs = all_codecs(config.codecs)
    segment = _segment(config, model)
    if config.report_dir:  # Fail before hours of work, not after.
        make_writable_folder(config.report_dir, "--report_dir")
    # How files become samples belongs to the model; only the size of a batch is free.
    pipeline = PipelineConfig(**{**data["pipeline"], "batch_size": config.batch_size})
    files = open_files(config, data, pipeline)
    catalogue = files.catalogue
    for label, text in [
        ("evaluating", f"{format_number(len(catalogue), 'file')} (split: {files.split})"),
        *describe_noted(catalogue),
    ]:
        logger.info("%s", format_row(label, text))

    evaluation = evaluate(
        model,
        params,
        catalogue,
        pipeline,
        segment=segment,
        error_budget=error_budget(config, len(catalogue)),
        progress=progress_bar("model"),
    )
    # The codecs get exactly the files that the model's figures are of.
    skipped = {path for path, _ in evaluation.skipped}
    read = [file for file, path in enumerate(catalogue.paths) if path not in skipped]
    catalogue = catalogue.select(read)
    chunks = Chunks(catalogue=catalogue, config=pipeline)
    settings = _settings(config, model, data, files, pipeline) | {"segment": segment}
    return dataclasses.replace(
        evaluation,
        codecs=tuple(score_files(catalogue, codecs, pipeline, progress_bar("codecs"))),
        native=tuple(score_files(catalogue, codecs, None, progress_bar("codecs, native samples"))),
        chunked=tuple(score_chunks(chunks, codecs, progress_bar("codecs, each chunk")))
        if config.chunked
        else (),
        skipped=(*files.skipped, *evaluation.skipped),
        noted=tuple(
            Noted(path, note)
            for path, note in zip(catalogue.paths, catalogue.notes, strict=True)
            if note
        ),
        model_bytes=stat(config.model)[0],
        compressed=_compressed(config, catalogue, segment),
        settings={**settings, **_training(training or {})},
    )


def _training(training: Mapping[str, Any]) -> dict[str, Any]:
    settings = {"trained steps": training.get("steps")}
    if initial := training.get("init_from"):
        settings["initial model"] = f"{initial['name']} ({initial['fingerprint']})"
    return settings


def _segment(config: EvaluationConfig, model: Model) -> int | None:
    """Returns the frames of a segment; None of a model that codes chunks. Raises ConfigError."""
    if isinstance(model, SegmentModel):
        if config.chunked:
            raise ConfigError("--chunked: this model codes segments, not chunks: leave it out")
        return config.segment or DEFAULT_SEGMENT
    if config.segment:
        raise ConfigError(
            f"--segment={config.segment}: this model codes chunks of --chunk_size, not segments: "
            "leave it out"
        )
    return None


def _compressed(
    config: EvaluationConfig, catalogue: Catalogue, segment: int | None
) -> CodecScore | None:
    if segment is None or not config.compressed_size:
        return None
    model = load_codec_model(config.model)
    return score_compressed(catalogue, model, segment, progress_bar("compress"))


def _settings(
    config: EvaluationConfig,
    model: Model,
    data: Mapping[str, Any],
    files: EvaluationFiles,
    pipeline: PipelineConfig,
) -> dict[str, Any]:
    catalogue = files.catalogue
    nested = {
        "pipeline": dataclasses.asdict(pipeline),
        "model": dataclasses.asdict(model.config),
    }
    return {
        "model": config.model,
        "folders": list(config.audio_dirs or data["audio_dirs"]),
        "split": files.split,
        "eval_files": config.eval_files,
        "hours": round(float((catalogue.frames / catalogue.sample_rates).sum()) / 3600, 3),
        **flatten_dict(nested, sep="."),
    }
