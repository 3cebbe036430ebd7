"""What commands share: settings from flags, and checks that come before anything slow."""

import os
from collections.abc import Sequence
from typing import Any

from absl.flags import FlagValues

from pipeline.config import PipelineConfig, default_chunks_per_read
from runtime.atomic_files import make_writable_folder
from runtime.devices import available_memory
from runtime.errors import ConfigError, ResourceError
from runtime.filesystem import absolute
from runtime.gfile import is_remote
from runtime.program import program

_LONGEST_SUFFIX = len("_checkpoints.1000.jsonl")  # Of the names of files, with room to spare.


def audio_dirs(values: FlagValues) -> tuple[str, ...]:
    """Returns the folders of --audio_dir, split at commas where they do not exist as they are."""
    parts: list[str] = []
    for value in values.audio_dir:
        exists = os.path.exists(os.path.expanduser(value))
        parts += [value] if exists else filter(None, map(str.strip, value.split(",")))
    return tuple(parts)


def corpus_dirs(values: FlagValues, command: str) -> tuple[str, ...]:
    """Returns the folders that a command reads; none for --demo. Raises ConfigError."""
    folders = audio_dirs(values)
    if not values.demo and not folders:
        raise ConfigError(
            f"--audio_dir is missing: a folder of WAV files (or --demo); {program()} {command} "
            f"--help lists the flags, {program()} --help the commands"
        )
    return folders


def catalogue(values: FlagValues) -> str | None:
    """Returns the absolute path of --catalogue, None without that flag."""
    return absolute(values.catalogue) if values.catalogue else None


def select(values: FlagValues, *names: str) -> dict[str, Any]:
    """Returns flags whose config fields have the same names, as arguments of that config.

    The names are listed where the config is made: a new field never takes a flag by accident.
    """
    return {name: values[name].value for name in names}


def depth(values: FlagValues) -> int:
    """Returns the depth of a sample, in bits. Raises ConfigError if two flags contradict."""
    depth, is_16 = int(values.bit_depth), values.use_16bit
    if values["bit_depth"].present and values["use_16bit"].present and is_16 != (depth == 16):
        raise ConfigError(
            f"--{'' if is_16 else 'no'}use_16bit and --bit_depth={depth} contradict each other: "
            "expected --bit_depth alone"
        )
    return 16 if is_16 else depth


def pipeline_config(values: FlagValues) -> PipelineConfig:
    """Returns how files become batches. Raises ConfigError."""
    remote = any(map(is_remote, audio_dirs(values)))
    default = default_chunks_per_read(values.chunk_size, remote=remote)
    return PipelineConfig(
        depth=depth(values),
        chunks_per_read=values.chunks_per_read or default,
        **select(values, "downmix", "stereo_blocking_n", "chunk_size", "shuffle_window", "seed"),
        **select(values, "batch_size"),
    )


def check_audio_dirs(folders: Sequence[str]) -> None:
    """Raises FileNotFoundError for a mistyped folder, ConfigError for a model."""
    for folder in folders:
        if folder.endswith(".npz"):
            raise ConfigError(f"{folder}: expected a folder of WAV files; a model is --model=MODEL")
        if "://" not in folder and not os.path.exists(os.path.expanduser(folder)):
            raise FileNotFoundError(f"--audio_dir={folder}: there is no such folder or file")


def make_output_dir(output_dir: str, model_name: str) -> None:
    """Creates the output folder if missing.

    Raises:
      OSError: nothing can be written there.
      ConfigError: the names of the files of a run would be too long.
    """
    make_writable_folder(output_dir, "--output_dir")
    if is_remote(output_dir):
        return
    most = os.pathconf(output_dir, "PC_NAME_MAX") - _LONGEST_SUFFIX
    if (length := len(os.fsencode(model_name))) > most:
        raise ConfigError(
            f"--model_name has {length} bytes: expected at most {most}, for names of files that "
            f"begin with it; got {model_name}"
        )


def check_memory(pipeline: PipelineConfig, num_processes: int = 1) -> None:
    """Raises ResourceError if the shuffle windows need more memory than this machine has.

    One is in use, and the next one is there twice while its parts are joined (see `make_dataset`);
    the memory that these parts leave is not all used again at once.
    """
    chunks = pipeline.window * pipeline.batch_size // num_processes
    needed = 4 * chunks * pipeline.chunk_size * pipeline.sample_bytes
    if needed > (available := available_memory()):
        raise ResourceError(
            f"four shuffle windows of {chunks:,} chunks of --chunk_size={pipeline.chunk_size:,} "
            f"need {needed / 2**30:,.0f} GiB, and this machine has {available / 2**30:,.0f} GiB: "
            "expected a smaller --batch_size, --chunk_size or --shuffle_window"
        )
