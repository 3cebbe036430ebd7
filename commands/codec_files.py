"""What the commands of the codec share: models, threads, folders, and streams for files."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from absl.flags import FlagValues

from commands.codec_runner import ends_when_interrupted
from runtime.devices import available_cores
from runtime.errors import ConfigError
from runtime.filesystem import make_writable_folder
from runtime.gfile import is_remote

if TYPE_CHECKING:
    from codec.jobs import Job
    from codec.left_out import LeftOut

STDIN = "-"


def load_models(values: FlagValues, compiled: str) -> list[Any]:
    """Returns the model of --model, or those that ship.

    Args:
      values: the flags.
      compiled: the function that will be compiled, see `announce_compilation`.

    Raises:
      As `load_codec_model`.
    """
    from codec.model import load_codec_model
    from codec.shipped import shipped_models
    from models.predictors.compile import announce_compilation
    from models.shipped import model_path
    from runtime.logging import quieten_libraries, start_logging

    quieten_libraries()
    start_logging(None)
    announce_compilation(compiled)
    if values.model:
        return [load_codec_model(model_path(values.model))]
    return list(shipped_models())


def with_fallback(models: Sequence[Any]) -> list[Any]:
    """Returns models to compress with, and for deeper samples than they code one that ships."""
    from codec.shipped import shipped_models

    most = max(model.coder.depth for model in models)
    deeper = [model for model in shipped_models() if model.coder.depth > most]
    return [*models, *deeper[:1]]


def folders(values: FlagValues) -> list[str]:
    """Returns the folders of --model_dir, and that of the models that ship."""
    from codec.arguments import model_folders

    return model_folders(values.model_dir)


def output_dir(values: FlagValues) -> str | None:
    """Returns --output_dir, which exists then; None if it was not given.

    Raises:
      ConfigError: it is a bucket's.
      OSError: it cannot be written.
    """
    if not values["output_dir"].present:
        return None
    folder = os.path.expanduser(values.output_dir)
    if is_remote(folder):
        raise ConfigError(f"--output_dir={folder}: expected a local folder")
    make_writable_folder(folder, "--output_dir")
    return folder


def find_jobs(
    values: FlagValues,
    arguments: Sequence[str],
    left_out: "LeftOut",
    *,
    compress: bool,
    goes_on: bool,
) -> list["Job"]:
    """Returns what to do; `codec.jobs.find_jobs` has the errors.

    Args:
      values: the flags.
      arguments: files and folders.
      left_out: what is left out is added to it.
      compress: or decompress.
      goes_on: leave out what is there already, unless --force is given.
    """
    from codec import jobs
    from codec.present import drop_present

    found = jobs.find_jobs(arguments, output_dir(values), compress=compress, left_out=left_out)
    if not goes_on or values.force:
        return found
    return drop_present(found, arguments, left_out, compress=compress)


def share_threads(values: FlagValues, num_files: int) -> tuple[int, int]:
    """Returns files at once, and segments of each at once."""
    jobs = values.jobs or available_cores()
    files = max(1, min(jobs, num_files))
    return files, max(1, jobs // files)


def is_stdin(arguments: Sequence[str]) -> bool:
    """Whether stdin is meant. Raises ConfigError for stdin among files."""
    if STDIN in arguments and len(arguments) > 1:
        raise ConfigError(f"{STDIN} is stdin: expected no other file beside it")
    return STDIN in arguments


@contextlib.contextmanager
def seekable_stdin() -> Iterator[BinaryIO]:
    """Yields what stdin holds, at its beginning: a pipe cannot seek. Raises ConfigError."""
    if sys.stdin.isatty():
        raise ConfigError(f"{STDIN} is stdin, which is a terminal: expected a file or a pipe")
    with tempfile.TemporaryFile() as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.seek(0)
        yield file


def write_stdout(parts: Iterable[bytes]) -> None:
    """Writes bytes to stdout. Raises ConfigError if that is a terminal."""
    if sys.stdout.isatty():
        raise ConfigError("stdout is a terminal: expected a file or a pipe behind it")
    with ends_when_interrupted():
        sys.stdout.buffer.writelines(parts)
        sys.stdout.buffer.flush()


def of_set(models: Sequence[Any], values: FlagValues) -> list[Any]:
    """Returns the models of the set that the flags name. Raises ConfigError."""
    from codec.choose import of_set as models_of_set
    from models.predictors.sets import SETS

    named = [name for name in SETS if values[name].value]
    if len(named) > 1:
        raise ConfigError(f"{' and '.join(f'--{name}' for name in named)}: expected one of them")
    return models_of_set(models, named[0] if named else None)
