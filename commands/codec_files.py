"""What the commands of the codec share: models, many files at once, and the last table."""

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from absl.flags import FlagValues

from commands.codec_progress import CodecProgress, Ratio, size_of
from runtime.devices import available_cores
from runtime.errors import ConfigError, UserError
from runtime.formatting import format_row, format_time

if TYPE_CHECKING:
    from codec.files import Job
    from codec.progress import Progress

STDIN = "-"


def load_models(values: FlagValues) -> list[Any]:
    """Returns the model of --model, or those that ship. Raises as `load_codec_model`."""
    from codec.model import load_codec_model
    from codec.shipped import shipped_models
    from models.predictors.compile import announce_compilation
    from runtime.logging import start_logging

    start_logging(None)
    announce_compilation("kernel.decode_channel")
    if values.model:
        return [load_codec_model(os.path.expanduser(values.model))]
    return list(shipped_models())


def folders(values: FlagValues) -> list[str]:
    """Returns the folders of --model_dir, and that of the models that ship."""
    from models.shipped import FOLDER

    return [*(os.path.expanduser(folder) for folder in values.model_dir), FOLDER]


def output_dir(values: FlagValues) -> str | None:
    """Returns --output_dir; None if it was not given."""
    return os.path.expanduser(values.output_dir) if values["output_dir"].present else None


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
    sys.stdout.buffer.writelines(parts)
    sys.stdout.buffer.flush()


def run_all(
    jobs: Sequence["Job"],
    work: Callable[["Job", "Progress"], tuple[int, int]],
    num_threads: int,
    ratio: Ratio,
) -> tuple[int | None, list["Job"]]:
    """Does the work of each file, says what fails, and prints the sums.

    Args:
      jobs: the files.
      work: returns the bytes of the file, and of what has become of it.
      num_threads: files at once.
      ratio: that is shown.

    Returns:
      The exit status, None if all went well; and the files that did.
    """
    from runtime.threads import map_in_threads

    begin = time.perf_counter()
    progress = CodecProgress(len(jobs), sum(size_of(job.source) for job in jobs), ratio)

    def attempt(job: "Job") -> tuple["Job", tuple[int, int] | Exception]:
        try:
            return job, work(job, progress.add)
        except (UserError, OSError) as error:
            return job, error
        finally:
            progress.end_file()

    outcomes = map_in_threads(attempt, jobs, num_threads, ahead=2 * num_threads)
    before = after = 0
    done: list[Job] = []
    try:
        for job, outcome in outcomes:
            if isinstance(outcome, Exception):
                reason = str(outcome)
                text = reason if reason.startswith(job.source) else f"{job.source}: {reason}"
                progress.say(f"error: {text}")
            else:
                done.append(job)
                before, after = before + outcome[0], after + outcome[1]
    finally:
        progress.close()
    seconds = time.perf_counter() - begin
    failed = len(jobs) - len(done)
    rows = [("files", f"{len(done):,}" + (f", {failed:,} failed" if failed else ""))]
    if done:
        rows += [
            ("in", f"{before:,} bytes"),
            ("out", f"{after:,} bytes"),
            ("ratio", f"{ratio(before, after):.4f}"),
            ("time", _speed(seconds, progress.audio_seconds)),
        ]
    for label, text in rows:
        print(format_row(label, text))
    return (1 if failed else None), done


def _speed(seconds: float, audio_seconds: float) -> str:
    text = f"{format_time(seconds)}" if seconds >= 60 else f"{seconds:.1f} s"
    if audio_seconds:
        text += (
            f", {audio_seconds / max(seconds, 1e-9):.1f}x realtime "
            f"({format_time(audio_seconds)} of audio)"
        )
    return text


def of_set(models: Sequence[Any], values: FlagValues) -> list[Any]:
    """Returns the models of the set that the flags name. Raises ConfigError."""
    from codec.choose import of_set as models_of_set
    from models.predictors.config import SETS

    named = [name for name in SETS if values[name].value]
    if len(named) > 1:
        raise ConfigError(f"{' and '.join(f'--{name}' for name in named)}: expected one of them")
    return models_of_set(models, named[0] if named else None)
