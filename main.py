"""Train a lossless audio compressor from a folder of WAV files.

    python main.py --demo                                    on a corpus that it makes itself
    python main.py --audio_dir=~/music --batch_size=256      on yours
    python main.py inspect --audio_dir=~/music               what is in there, before training
    python main.py --flagfile=presets/speech_8bit.flags --audio_dir=~/speech

All flags: python main.py --helpfull
"""

import logging
import os
import sys

from absl import app

import flags

app.flags.adopt_module_key_flags(flags)

_COMMANDS = ("train", "inspect")


def main(argv: list[str]) -> None:
    """Dispatches to a command; a mistake of the user's is one line and status 2."""
    command = argv[1] if len(argv) > 1 else "train"
    if command not in _COMMANDS or len(argv) > 2:
        _fail(f"expected one of {', '.join(_COMMANDS)} and flags, got {' '.join(argv[1:])!r}")
    try:
        config = flags.config()
        if not config.audio_dirs and not config.demo:
            _fail(
                "--audio_dir is missing: a folder of WAV files "
                "(or --demo, to train on a corpus that is made here)"
            )
        _check_folders(config)
        _keep_off_the_accelerator()
        if command == "inspect":
            _inspect(config)
        else:
            _train(config)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        if os.environ.get("WAVESTREAM_TRACEBACK"):
            raise
        _fail(str(error))


def _check_folders(config) -> None:  # type: ignore[no-untyped-def]
    """Finds a mistyped folder before anything slow starts."""
    for folder in config.audio_dirs:
        if "://" not in folder and not os.path.exists(os.path.expanduser(folder)):
            raise FileNotFoundError(f"--audio_dir={folder}: there is no such folder or file")
    output_dir = config.output_dir
    if "://" not in output_dir:
        os.makedirs(output_dir, exist_ok=True)
        if not os.access(output_dir, os.W_OK):
            raise PermissionError(f"--output_dir={output_dir} is not writable")


def _keep_off_the_accelerator() -> None:
    """Leaves the GPU or TPU to JAX; TensorFlow would take all of its memory."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # Unused here, and announces itself.
    logging.getLogger("jax").setLevel(logging.WARNING)  # It tells of every backend it lacks.
    import tensorflow as tf

    for kind in ("GPU", "TPU"):
        tf.config.set_visible_devices([], kind)


def _train(config) -> None:  # type: ignore[no-untyped-def]
    import jax

    flags.check_devices(config.pipeline.batch_size, jax.local_device_count())
    from training.run import run

    result = run(config, flags.as_flagfile())
    if result.interrupted:
        sys.exit(130)


def _inspect(config) -> None:  # type: ignore[no-untyped-def]
    from pipeline.inspection import describe_batch, describe_chunks, describe_files
    from training.run import find_corpus

    corpus = find_corpus(config)
    for describe in (describe_files, describe_chunks, describe_batch):
        for label, text in describe(corpus):
            print(f"{label:<17}{text}", flush=True)


def _fail(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def run() -> None:
    """The entry point."""
    app.run(main, flags_parser=flags.parse)


if __name__ == "__main__":
    run()
