"""What the commands of the codec share: models, threads, folders, and streams for files."""

import collections
import contextlib
import errno
import os
import pathlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from absl.flags import FlagValues

from commands.codec_interruption import ends_when_interrupted
from runtime.atomic_files import make_writable_folder, remove_leftovers
from runtime.devices import available_cores
from runtime.errors import ConfigError
from runtime.gfile import is_remote
from runtime.threads import threads_each

if TYPE_CHECKING:
    from codec.jobs import Job
    from codec.left_out import LeftOut

STDIN = "-"
_OF_FILES = ("output_dir", "delete_input_file", "compare", "dry_run", "json")


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


def warn_of_other_models(
    values: FlagValues, model: Any, used: Sequence[bytes], folders: Sequence[str]
) -> None:
    """Says which models have decoded files where it was not that of --model.

    Args:
      values: the flags.
      model: that of --model; anything where that is not given.
      used: of each file the fingerprint of its model; b"" for none.
      folders: where the models were found.
    """
    from codec.model import find_paths
    from models.shipped import FOLDER
    from runtime.logging import logger

    others = collections.Counter(found for found in used if found not in (b"", model.fingerprint))
    if not values.model or not others:
        return
    names = []
    for fingerprint, count in others.items():
        path = next(iter(find_paths(fingerprint, folders)), fingerprint.hex())
        is_own = os.path.dirname(path) == FOLDER
        name = f"wavestream's own {pathlib.Path(path).stem}" if is_own else path
        names.append(f"{name} ({count:,})" if len(others) > 1 else name)
    count = others.total()
    logger.warning(
        "%s compressed with another model than --model=%s: decoded with %s",
        "1 file was" if count == 1 else f"{count:,} files were",
        values.model,
        ", ".join(names),
    )


def folders(values: FlagValues) -> list[str]:
    """Returns the folders of --model_dir, and that of the models that ship. Raises ConfigError."""
    from codec.arguments import model_folders

    for folder in values.model_dir:
        if not os.path.isdir(os.path.expanduser(folder)):
            raise ConfigError(f"--model_dir={folder}: there is no such folder")
    return model_folders(values.model_dir)


def output_dir(values: FlagValues) -> str | None:
    """Returns --output_dir, which exists then but for --dry_run; None if it was not given.

    Raises:
      ConfigError: it is a bucket's.
      OSError: it cannot be written.
    """
    if not values["output_dir"].present:
        return None
    folder = os.path.expanduser(values.output_dir)
    if is_remote(folder):
        raise ConfigError(f"--output_dir={folder}: expected a local folder")
    if not values.dry_run:
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
    """Returns what to do, and makes empty folders, but for --dry_run.

    `codec.jobs.find_jobs` has the errors.

    Args:
      values: the flags.
      arguments: files and folders.
      left_out: what is left out is added to it.
      compress: or decompress.
      goes_on: leave out what is there already, unless --force is given.
    """
    from codec import jobs
    from codec.present import drop_present

    if not arguments:
        wanted = "WAV files" if compress else f"{jobs.SUFFIX} files"
        raise ConfigError(f"expected {wanted}, folders that have some, or - for stdin; got none")
    results = output_dir(values)
    all_files = compress and values.all_files
    found = jobs.find_jobs(
        arguments, results, compress=compress, all_files=all_files, left_out=left_out
    )
    if not values.dry_run:
        if results is not None:
            jobs.make_empty_folders(results, left_out)
        for folder in dict.fromkeys(os.path.dirname(job.target) for job in found):
            remove_leftovers(folder or ".")
    if not goes_on or values.force:
        return found
    return drop_present(found, arguments, left_out, compress=compress)


def share_threads(values: FlagValues, num_files: int) -> tuple[int, int]:
    """Returns files at once, and threads for each."""
    jobs = values.jobs or available_cores()
    return max(1, min(jobs, num_files)), threads_each(jobs, num_files)


def is_stdin(arguments: Sequence[str], values: FlagValues | None = None) -> bool:
    """Whether stdin is meant.

    Args:
      arguments: of the command.
      values: its flags; None: no flag is of files only.

    Raises:
      ConfigError: it is among files, or there is a flag that is of files only.
    """
    if STDIN in arguments and len(arguments) > 1:
        raise ConfigError(f"{STDIN} is stdin: expected no other file beside it")
    is_stdin = STDIN in arguments
    if is_stdin and values is not None:
        for name in _OF_FILES:
            if name in values and values[name].present:
                raise ConfigError(f"--{name}: expected files, got stdin, which goes to stdout")
    return is_stdin


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
    """Writes bytes to stdout. Raises ConfigError if that is a terminal.

    Where its reader is gone, the process ends at once, quietly, as one that SIGPIPE ends: what
    came out is not whole, and an exception would wait for the segments that are coded.
    """
    if sys.stdout.isatty():
        raise ConfigError("stdout is a terminal: expected a file or a pipe behind it")
    with ends_when_interrupted():
        try:
            sys.stdout.buffer.writelines(parts)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            os._exit(128 + signal.SIGPIPE)
        except OSError as error:
            if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise OSError(error.errno, error.strerror, "stdout") from error
            raise


def named_set(values: FlagValues) -> str | None:
    """Returns the set of predictors that the flags name. Raises ConfigError for two models."""
    from models.predictors.sets import SETS

    named = [name for name in SETS if values[name].value]
    given = [f"--{name}" for name in named] + ([f"--model={values.model}"] * bool(values.model))
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)}: expected one of them, each names a model")
    return named[0] if named else None
