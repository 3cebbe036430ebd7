"""What is said of files beside the work: what fails, what is left out, what is planned."""

import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

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
    label = styled("error:", "red", sys.stderr)
    most = len(problems) if verbose else _MOST_ERRORS
    for path, reason in problems[:most]:
        print(label, printable(f"{path}: {reason}"), file=sys.stderr)
    if (rest := len(problems) - most) > 0:
        print(label, f"and {rest:,} more {of_others} (--verbose names them)", file=sys.stderr)


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


def say_plan(
    jobs: Sequence["Job"], left_out: "LeftOut", *, force: bool, as_json: bool, verbose: bool
) -> int | None:
    """Prints what would be written, for --dry_run; returns the exit status of the real run.

    Args:
      jobs: the files.
      left_out: what is not among them.
      force: overwrite files that are there.
      as_json: a line of JSON for each file.
      verbose: as of `say_problems`.
    """
    is_failed = bool(say_failed(left_out, as_json=as_json, verbose=verbose))
    for job in jobs:
        is_there = os.path.lexists(job.target)
        if is_there and not force:
            is_failed = True
            problem = f"{job.target} is there already: --force overwrites it"
            text = printable(f"{job.source}: {problem}")
            print(styled("error:", "red", sys.stderr), text, file=sys.stderr)
            if as_json:
                print(json_error(job.source, problem))
        elif as_json:
            print(json.dumps({"path": job.source, "output": job.target, "overwrites": is_there}))
        else:
            verb = "overwrite" if is_there else "write"
            print(printable(f"{job.source}: would {verb} {job.target}"))
    if not as_json:
        total = sum(size_of(job.source) for job in jobs)
        print(
            format_row("files", f"{len(jobs):,}, {format_number(total, 'byte')}; none is written")
        )
    say_left_out(left_out, as_json=as_json)
    return 1 if is_failed else None
