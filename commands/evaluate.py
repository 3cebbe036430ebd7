"""Measure a model in bits per sample, next to FLAC and other codecs.

For example:

    python main.py evaluate --report_dir=report ~/music
    python main.py evaluate --model=runs/quickstart/audio_model.npz
    python main.py evaluate --model=fast --eval_files=10 ~/music

Without --audio_dir it measures on the files that were held out when the model was trained.
"""

import os
import sys
from collections.abc import Sequence

from absl.flags import FlagValues

import flags
from commands import shared
from commands.interface import Command
from evaluation.config import EvaluationConfig
from models.shipped import model_path
from runtime import compilation_cache, devices
from runtime.terminal import emphasize_marked


def run(values: FlagValues, arguments: Sequence[str]) -> None:
    """Evaluates, writes the report to --report_dir, and prints the table."""
    config = evaluation_config(values)
    shared.check_audio_dirs(config.audio_dirs)
    if os.path.isdir(config.model):
        raise IsADirectoryError(f"--model={config.model} is a folder: expected the .npz file in it")
    # Before TensorFlow, which takes seconds to import: a wrong file is reported at once.
    from models.model_file import load_model

    file = load_model(config.model)
    devices.keep_tensorflow_off_accelerators()
    from evaluation.report.compute_summary import summarize
    from evaluation.report.page import write_report
    from evaluation.report.tables import format_table
    from evaluation.run import run as evaluate
    from runtime.logging import start_logging

    devices.share_cores(config.batch_size)
    start_logging(None)
    compilation_cache.enable(values.compilation_cache_dir)
    model = file.build(platform=devices.platform())
    file.check_params(model)
    summary = summarize(evaluate(config, model, file.params, file.data, training=file.training))
    table = emphasize_marked(format_table(summary), sys.stdout)
    # Hours of work are kept by the one where the other fails: a full disk, or a pipe to `head`.
    try:
        report = write_report(summary, config.report_dir) if config.report_dir else None
    finally:
        print(table, flush=True)
    if report:
        print(f"report: {report}")


def evaluation_config(values: FlagValues) -> EvaluationConfig:
    """Returns the evaluation that the flags describe. Raises ConfigError."""
    return EvaluationConfig(
        model=model_path(values.model or "best"),
        audio_dirs=shared.audio_dirs(values),
        catalogue=shared.catalogue(values),
        **shared.select(values, "split", "eval_files", "batch_size", "segment", "chunked"),
        **shared.select(values, "compressed_size"),
        **shared.select(values, "strict", "max_skipped_fraction"),
        codecs=None if values.codecs is None else tuple(filter(None, values.codecs)),
        report_dir=os.path.expanduser(values.report_dir) if values.report_dir else None,
    )


COMMAND = Command(
    doc=__doc__,
    groups=(flags.EVALUATION, flags.EVALUATED_FILES, flags.SKIPPED_FILES, flags.COMPILATION),
    run=run,
    arguments="[FOLDER ...]",
    arguments_flag="audio_dir",
)
