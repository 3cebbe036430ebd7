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

from runtime.devices import available_cores
from runtime.errors import ConfigError, UserError
from runtime.formatting import format_row

if TYPE_CHECKING:
    from codec.files import Job


def load_models(values: FlagValues) -> list[Any]:
    """Returns the models of --model. Raises as `load_codec_model`."""
    from codec.model import load_codec_model
    from models.predictors.compile import announce_compilation
    from runtime.logging import start_logging

    start_logging(None)
    announce_compilation("kernel.decode_channel")
    return [load_codec_model(os.path.expanduser(path)) for path in filter(None, [values.model])]


def folders(values: FlagValues) -> list[str]:
    """Returns the folders of --model_dir."""
    return [os.path.expanduser(folder) for folder in values.model_dir]


def output_dir(values: FlagValues) -> str | None:
    """Returns --output_dir; None if it was not given."""
    return os.path.expanduser(values.output_dir) if values["output_dir"].present else None


def share_threads(values: FlagValues, num_files: int) -> tuple[int, int]:
    """Returns files at once, and segments of each at once."""
    jobs = values.jobs or available_cores()
    files = max(1, min(jobs, num_files))
    return files, max(1, jobs // files)


@contextlib.contextmanager
def seekable_stdin() -> Iterator[BinaryIO]:
    """Yields what stdin holds, at its beginning: a pipe cannot seek."""
    with tempfile.TemporaryFile() as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.seek(0)
        yield file


def write_stdout(parts: Iterable[bytes]) -> None:
    """Writes bytes to stdout."""
    sys.stdout.buffer.writelines(parts)
    sys.stdout.buffer.flush()


def run_all(
    jobs: Sequence["Job"], work: Callable[["Job"], tuple[int, int]], num_threads: int
) -> int | None:
    """Does the work of each file, says what fails, and prints the sums.

    Args:
      jobs: the files.
      work: returns the bytes of the file, and of what has become of it.
      num_threads: files at once.

    Returns:
      The exit status: None if all went well.
    """
    from runtime.progress import progress_bar
    from runtime.threads import map_in_threads

    begin = time.perf_counter()

    def attempt(job: "Job") -> tuple[str, tuple[int, int] | Exception]:
        try:
            return job.source, work(job)
        except (UserError, OSError) as error:
            return job.source, error

    outcomes = map_in_threads(attempt, jobs, num_threads, ahead=2 * num_threads)
    before = after = failed = 0
    for source, outcome in progress_bar("files")(outcomes, len(jobs)):
        if isinstance(outcome, Exception):
            failed += 1
            reason = str(outcome)
            text = reason if reason.startswith(source) else f"{source}: {reason}"
            print(f"error: {text}", file=sys.stderr)
        else:
            before, after = before + outcome[0], after + outcome[1]
    seconds = time.perf_counter() - begin
    done = len(jobs) - failed
    rows = [("files", f"{done:,}" + (f", {failed:,} failed" if failed else ""))]
    if done:
        larger = max(before, after)
        rows += [
            ("bytes", f"{before:,} in, {after:,} out"),
            ("ratio", f"{min(before, after) / larger:.4f}" if larger else "1"),
            ("time", f"{seconds:.1f} s, {larger / 1e6 / max(seconds, 1e-9):.2f} MB/s of audio"),
        ]
    for label, text in rows:
        print(format_row(label, text))
    return 1 if failed else None


def require_models(models: Sequence[Any]) -> None:
    """Raises ConfigError without a model."""
    if not models:
        raise ConfigError("--model is missing: the .npz file of an adaptive model")
