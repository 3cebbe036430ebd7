"""What is said of files beside the work: what fails, what is left out, what is planned."""

import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl.flags import FlagValues

from commands.codec_progress import size_of
from evaluation.report.formatting import printable
from runtime.errors import message_of
from runtime.formatting import format_number, format_row
from runtime.terminal import styled

if TYPE_CHECKING:
    from codec.files import Outcome
    from codec.jobs import Job
    from codec.left_out import LeftOut

_MOST_ERRORS = 20  # Of one kind, without --verbose.


def say_failed(left_out: "LeftOut", **shown: bool) -> list[Exception]:
    """Prints what below the folders cannot be read; returns the errors.

    Args:
      left_out: what has failed.
      shown: as of `say_problems`.
    """
    say_problems(left_out.failed, "that cannot be read", **shown)
    return [OSError(f"{path}: {reason}") for path, reason in left_out.failed]


def say_problems(
    problems: Sequence[tuple[str, str]], of_others: str, *, as_json: bool, verbose: bool
) -> None:
    """Prints what is wrong with files, of many of the first.

    Args:
      problems: paths and reasons.
      of_others: the reason of those that are counted.
      as_json: print a line of JSON for each of them, besides.
      verbose: print all.
    """
    for path, reason in problems if as_json else ():
        print(json_error(path, reason))
    most = len(problems) if verbose else _MOST_ERRORS
    for path, reason in problems[:most]:
        say_error(path, reason)
    if (rest := len(problems) - most) > 0:
        label = styled("error:", "red", sys.stderr)
        print(label, f"and {rest:,} more {of_others} (--verbose names them)", file=sys.stderr)


def say_error(path: str, reason: str, *, as_json: bool = False) -> None:
    """Prints what is wrong with a file, to stderr; a line of JSON to stdout, besides."""
    if as_json:
        print(json_error(path, reason))
    sys.stdout.flush()  # On a terminal and in a file of both, it stands behind what was said.
    label = styled("error:", "red", sys.stderr)
    print(label, printable(f"{path}: {reason}"), file=sys.stderr)


def say_left_out(left_out: "LeftOut", *, as_json: bool) -> None:
    """Prints what is left out, if anything is; beside JSON to stderr."""
    if text := left_out.describe():
        print(format_row("left out", text), file=sys.stderr if as_json else sys.stdout)


def json_line(job: "Job", outcome: "Outcome | Exception") -> str:
    """Returns what has become of a file; documented in docs/how_to/archives.md."""
    if isinstance(outcome, Exception):
        return json_error(job.source, message_of(outcome))
    values = {
        "path": job.source,
        "status": "ok",
        "output": outcome.path or None,
        "input_bytes": outcome.before,
        "output_bytes": outcome.after,
        "fingerprint": outcome.fingerprint.hex() or None,
        "warning": outcome.warning or outcome.problem or None,
    }
    return json.dumps(values)


def json_error(path: str, reason: str) -> str:
    """Returns what is wrong with a file, as a line of JSON."""
    return json.dumps({"path": path, "status": "error", "error": reason})


def count_files(done: int, failed: int) -> str:
    """Returns how many files are done, of how many."""
    return f"{done:,} of {done + failed:,}, {failed:,} failed" if failed else f"{done:,}"


def say_plan(
    jobs: Sequence["Job"], left_out: "LeftOut", values: FlagValues, *, compress: bool | None
) -> int | None:
    """Prints what would be written, for --dry_run; returns the exit status.

    Args:
      jobs: the files.
      left_out: what is not among them.
      values: the flags.
      compress: or decompress; None: parts.
    """
    from codec.present import describe_obstacle

    failed = len(say_failed(left_out, as_json=values.json, verbose=values.verbose))
    removes = bool(compress and values.delete_input_file)
    sizes = []
    for job in jobs:
        if problem := describe_obstacle(job, force=values.force, compress=compress):
            failed += 1
            say_error(job.source, problem, as_json=values.json)
            continue
        sizes.append(size_of(job.source))
        overwrites = os.path.lexists(job.target)
        if values.json:
            plan = {"input_bytes": sizes[-1], "overwrites": overwrites, "removes_source": removes}
            line = {"path": job.source, "status": "planned", "output": job.target, **plan}
            print(json.dumps(line))
        else:
            text = f"{job.source}: would {'overwrite' if overwrites else 'write'} {job.target}"
            print(printable(text) + (", and remove the source" if removes else ""))
    if not values.json:
        files = count_files(len(sizes), failed)
        print(format_row("files", f"{files} (--dry_run: nothing is written)"))
        label = "source" if compress else "compressed"
        print(format_row(label, format_number(sum(sizes), "byte")))
    say_left_out(left_out, as_json=values.json)
    return 1 if failed else None
