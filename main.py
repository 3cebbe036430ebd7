"""Train a lossless audio compressor from a folder of WAV files.

    python main.py --demo                                    on a corpus that it makes itself
    python main.py --audio_dir=~/music --batch_size=256      on yours
    python main.py inspect --audio_dir=~/music               what is in there, before training
    python main.py --flagfile=presets/speech_8bit.flags --audio_dir=~/speech
    python main.py evaluate --model=runs/quickstart/audio_model.npz --report_dir=report
    python main.py compare runs/quickstart runs/speech_8bit  their settings, figures and curves
    python main.py serve_input --role=dispatcher --port=5050 read on other machines (see README)

All flags: python main.py --helpfull
"""

import io
import logging
import os
import sys
from collections.abc import Iterable
from typing import NoReturn

from absl import app
from absl.flags import adopt_module_key_flags
from absl.logging import WARNING, set_verbosity

import flags
from evaluation.config import EvaluationConfig
from pipeline.data_service.server import ServiceConfig, require_dispatcher, serve
from training.config import RunConfig

adopt_module_key_flags(flags)

_COMMANDS = ("train", "inspect", "evaluate", "compare", "serve_input")


def main(argv: list[str]) -> None:
    """Dispatches to a command; a mistake of the user's is one line and status 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # Not every terminal has every character.
    command, *arguments = argv[1:] or ["train"]
    strange = arguments if command in _COMMANDS else [command]
    if strange and command != "compare":
        _fail(
            f"unexpected {' '.join(strange)!r}; a folder is given as --audio_dir=FOLDER, a switch "
            f"as --use_16bit or --nouse_16bit; commands are {', '.join(_COMMANDS)}"
        )
    try:
        if command != "serve_input":
            flags.check_no_server()
        if command == "compare":
            _compare(arguments)
        elif command == "evaluate":
            _evaluate(flags.evaluation_config())
        elif command == "serve_input":
            _serve(flags.service_config())
        else:
            _on_a_corpus(command, flags.config())
    except BrokenPipeError:
        raise  # No mistake; run ends quietly.
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        _exit(130, "interrupted")
    except (ArithmeticError, ValueError, OSError, ImportError, RuntimeError, MemoryError) as error:
        if os.environ.get("WAVESTREAM_TRACEBACK"):
            raise
        if hosts := sys.modules.get("runtime.distributed"):
            hosts.wait_for_reason(error)
        _fail(str(error) or type(error).__name__)


def _on_a_corpus(command: str, config: RunConfig) -> None:
    if not config.audio_dirs and not config.demo:
        _fail(
            "--audio_dir is missing: a folder of WAV files "
            "(or --demo, to train on a corpus that is made here)"
        )
    # Before all that may fail, for the other hosts to learn of it.
    is_primary = command == "inspect" or _connect(config)
    _check_folders(config.audio_dirs)
    if is_primary:
        _check_output(config)
    _check_memory(config)
    if config.data_service and command == "train":
        require_dispatcher("--data_service", config.data_service)
    _keep_off_the_accelerator()
    if command == "inspect":
        _inspect(config)
    else:
        _train(config)


def _connect(config: RunConfig) -> bool:
    """Joins the other hosts; returns whether this is the one that writes."""
    if not config.hosts.several:
        return True
    from runtime import distributed as hosts
    from runtime.devices import share_cores
    from runtime.logging import start_logging

    start_logging(None)  # Who learns that another host has failed, tells it.
    share_cores(config.pipeline.batch_size // (config.hosts.num_processes or 1))
    hosts.connect(config.hosts)
    return hosts.is_primary()


def _check_folders(audio_dirs: Iterable[str]) -> None:
    """Finds a mistyped folder before anything slow starts."""
    for folder in audio_dirs:
        if "://" not in folder and not os.path.exists(os.path.expanduser(folder)):
            raise FileNotFoundError(f"--audio_dir={folder}: there is no such folder or file")


def _check_output(config: RunConfig) -> None:
    try:
        os.makedirs(config.output_dir, exist_ok=True)
    except OSError as error:
        raise OSError(f"--output_dir={config.output_dir} cannot be made: {error}") from error
    if not os.access(config.output_dir, os.W_OK | os.X_OK):
        raise PermissionError(f"--output_dir={config.output_dir} is not writable")


def _check_memory(config: RunConfig) -> None:
    """Refuses what would take the machine down: a window of batches is read while one is used."""
    pipeline = config.pipeline
    chunks = pipeline.window * pipeline.batch_size // (config.hosts.num_processes or 1)
    needed = 2 * chunks * pipeline.chunk_size * pipeline.bits // 8
    available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > available:
        raise MemoryError(
            f"{chunks:,} chunks of --chunk_size={pipeline.chunk_size:,}, those that are shuffled "
            f"among each other, take {needed / 2**30:,.0f} GiB of {available / 2**30:,.0f}: "
            "expected a smaller --batch_size, --chunk_size or --shuffle_window"
        )


def _keep_off_the_accelerator() -> None:
    """Leaves the GPU or TPU to JAX; TensorFlow would take all of its memory."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # Unused here, and announces itself.
    logging.getLogger("jax").setLevel(logging.WARNING)  # It tells of every backend it lacks.
    set_verbosity(WARNING)  # Orbax tells of every file it writes.
    import tensorflow as tf

    for kind in ("GPU", "TPU"):
        tf.config.set_visible_devices([], kind)


def _train(config: RunConfig) -> None:
    import jax

    from runtime.devices import share_cores

    share_cores(config.pipeline.batch_size)
    flags.check_devices(config.pipeline.batch_size, jax.device_count())
    from training.run import run

    result = run(config, flags.as_flagfile())
    if result.signal is not None:
        sys.exit(128 + result.signal)  # As a shell tells of a process that a signal has ended.


def _inspect(config: RunConfig) -> None:
    from pipeline.inspect import describe_batch, describe_chunks, describe_files
    from runtime.logging import start_logging
    from training.data import find_corpus

    start_logging(None)
    corpus = find_corpus(config)
    for describe in (describe_files, describe_chunks, describe_batch):
        for label, text in describe(corpus):
            print(f"{label:<17}{text}", flush=True)


def _evaluate(config: EvaluationConfig) -> None:
    from models.model_file import load_model

    _check_folders(config.audio_dirs)
    if os.path.isdir(config.model):
        raise IsADirectoryError(f"--model={config.model} is a folder: expected the .npz file in it")
    loaded = load_model(config.model)
    flags.check_model(loaded.settings)
    _keep_off_the_accelerator()
    from evaluation.report.figures import figures
    from evaluation.report.table import format_table
    from evaluation.report.write import write_report

    from evaluation.run import run
    from runtime.devices import share_cores
    from runtime.logging import start_logging

    share_cores(config.batch_size)
    start_logging(None)
    loaded.check_params()
    result = run(config, loaded.model(), loaded.params, loaded.settings, loaded.pipeline())
    found = figures(result)
    print(format_table(found), flush=True)  # Whatever becomes of the report.
    if config.report_dir:
        print(f"report: {write_report(found, config.report_dir)}")


def _compare(run_dirs: list[str]) -> None:
    from evaluation.runs.compare import compare, format_comparison, write_comparison
    from runtime.logging import start_logging

    if not run_dirs:
        _fail("compare what? Name the folders of runs, as in: compare runs/one runs/two")
    start_logging(None)
    comparison = compare(run_dirs)
    print(format_comparison(comparison))
    print(write_comparison(comparison, flags.report_dir() or "."))


def _serve(config: ServiceConfig) -> None:
    if config.dispatcher:
        require_dispatcher("--dispatcher", config.dispatcher)
    _keep_off_the_accelerator()
    from runtime.logging import start_logging

    start_logging(None)
    serve(config)


def _fail(message: str) -> NoReturn:
    message = " ".join(message.split())
    logger = logging.getLogger("wavestream")
    if logger.handlers:  # The log file of a run tells its end, too.
        logger.error(message)
    else:
        print(f"error: {message}", file=sys.stderr)
    _exit(2, message)


def _exit(status: int, reason: str) -> NoReturn:
    if hosts := sys.modules.get("runtime.distributed"):
        hosts.leave(status, reason)
    sys.exit(status)


def run() -> None:
    """The entry point."""
    try:
        try:
            app.run(main, flags_parser=flags.parse)
        finally:
            print(end="", flush=True)  # Here, not at exit, where an error cannot be caught.
    except BrokenPipeError:  # inspect | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    run()
