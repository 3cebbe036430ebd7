"""Many files at once: a line of each, what failed, and the sums."""

import collections
import contextlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from commands.codec_interruption import ends_when_interrupted
from commands.codec_messages import count_files, json_line, say_failed, say_left_out
from commands.codec_progress import CodecProgress, Ratio, size_of
from evaluation.report.formatting import printable
from runtime.errors import DataError, UserError, message_of
from runtime.formatting import format_number, format_row, format_time
from runtime.terminal import styled

if TYPE_CHECKING:
    from codec.files import Outcome
    from codec.jobs import Job
    from codec.left_out import LeftOut

MOST_LINES = 20
"""Files of which each has a line; without --verbose, more have only the sums, and what failed."""

Work = Callable[["Job", CodecProgress], "Outcome"]


class Wording(NamedTuple):
    """What is said of files that are done.

    Attributes:
      done: of one of them, a part of a sentence.
      before, after: labels of the bytes of all of them, and of the results.
      ratio: of these; None: it would mean nothing.
      goes_on: whether the same command goes on where it was interrupted.
      all_done: of all files, where none has failed; empty: nothing.
    """

    done: Callable[["Job", "Outcome"], str]
    before: str
    after: str
    ratio: Ratio | None
    goes_on: bool = False
    all_done: str = ""


class Done(NamedTuple):
    """What has become of all files.

    Attributes:
      jobs: of those that went well.
      errors: of the others.
      damaged: the sources of those whose data is wrong, and how.
      fingerprints: of the models of those that went well, b"" for none.
    """

    jobs: list["Job"]
    errors: list[Exception]
    damaged: dict[str, DataError]
    fingerprints: list[bytes]

    @property
    def status(self) -> int | None:
        """The exit status, None if all went well."""
        return 1 if self.errors else None


def wrote(outcome: "Outcome", ratio: Ratio | None) -> str:
    """Returns what was written, for `Wording.done`: its name, its bytes and a ratio, if any."""
    text = f"wrote {printable(outcome.path)}, {format_number(outcome.after, 'byte')}"
    value = None if ratio is None else ratio(outcome.before, outcome.after)
    return text if value is None else f"{text}, ratio {value:.3f}"


def run_all(
    jobs: Sequence["Job"],
    work: Work,
    num_threads: int,
    wording: Wording,
    left_out: "LeftOut",
    *,
    model: str | None = None,
    verbose: bool = False,
    as_json: bool = False,
) -> Done:
    """Does the work of each file, says what has become of it, and prints the sums.

    Ctrl-C ends the process, see `ends_when_interrupted`; files that are finished stay.

    Args:
      jobs: the files.
      work: what is done with one.
      num_threads: files at once.
      wording: what is said.
      left_out: what is not among them; what of it cannot be read has failed, too.
      model: that of --model.
      verbose: say what has become of each file, also of more than MOST_LINES.
      as_json: print to stdout nothing but a line of JSON for each file.
    """
    from codec.model import MissingModelError, WrongModelError
    from runtime.threads import map_in_threads

    begin = time.perf_counter()
    has_lines = not as_json and (verbose or len(jobs) <= MOST_LINES)
    done = Done([], say_failed(left_out, as_json=as_json, verbose=verbose), {}, [])
    progress = CodecProgress(len(jobs), sum(size_of(job.source) for job in jobs), wording.ratio)

    finished: list[Job] = []  # Those in `done` come in order: one that is slow holds them up.

    def attempt(job: "Job") -> "tuple[Job, Outcome | Exception]":
        try:
            outcome = work(job, progress)
            finished.append(job)
            return job, outcome
        except (UserError, OSError) as error:
            return job, error
        finally:
            progress.end_file()

    before = after = 0
    missing: dict[bytes, list[str]] = collections.defaultdict(list)  # Files by their models.

    def interrupted() -> str:
        progress.close()
        count = f": {len(finished):,} of {len(jobs):,} files are finished"
        hint = "; the same command goes on with the others" if wording.goes_on else ""
        return "interrupted" + (count + hint if len(jobs) > 1 else "")

    with ends_when_interrupted(interrupted), contextlib.closing(progress):
        for job, outcome in map_in_threads(attempt, jobs, num_threads, ahead=2 * num_threads):
            if as_json:
                progress.say(json_line(job, outcome), sys.stdout)
            if isinstance(outcome, Exception):
                done.errors.append(outcome)
                if isinstance(outcome, DataError) and not isinstance(outcome, WrongModelError):
                    done.damaged[job.source] = outcome
                if isinstance(outcome, MissingModelError):
                    missing[outcome.fingerprint].append(job.source)
                else:
                    progress.say_error(job.source, message_of(outcome))
                continue
            done.jobs.append(job)
            done.fingerprints.append(outcome.fingerprint)
            before, after = before + outcome.before, after + outcome.after
            if has_lines:
                text = f"{printable(job.source)}: {wording.done(job, outcome)}"
                if len(jobs) == 1:
                    text += f" ({_speed(time.perf_counter() - begin, progress.audio_seconds)})"
                progress.say(text, sys.stdout)
    _say_missing_models(missing, f"--model={model}" if model else "")
    if len(jobs) + len(left_out.failed) > 1 and not as_json:
        speed = _speed(time.perf_counter() - begin, progress.audio_seconds)
        if progress.audio_seconds:
            speed += f", {format_time(progress.audio_seconds)} of audio"
        _print_sums(done, before, after, wording, speed, has_lines=has_lines)
    say_left_out(left_out, as_json=as_json)
    return done


def _say_missing_models(missing: Mapping[bytes, Sequence[str]], given: str) -> None:
    """Says once of each model which files need it: it is more likely missing than they damaged."""
    from codec.model import not_found

    for fingerprint, paths in missing.items():
        needed = not_found(fingerprint, given=given)
        text = f"{printable(paths[0])}: it was compressed with {needed}"
        if len(paths) > 1:
            text = f"{printable(paths[0])} and {len(paths) - 1:,} more: compressed with {needed}"
        print(styled("error:", "red", sys.stderr), text, file=sys.stderr)


def say_recover(done: Done) -> None:
    """Says what helps against damage, where some of a damaged file is intact."""
    from codec.damage import DamagedError, is_recoverable

    if any(
        error.is_recoverable if isinstance(error, DamagedError) else is_recoverable(path)
        for path, error in done.damaged.items()
    ):
        print(
            "(decompress --recover writes what is intact of a damaged file, and silence for the "
            "rest)",
            file=sys.stderr,
        )


def _print_sums(
    done: Done, before: int, after: int, wording: Wording, speed: str, *, has_lines: bool
) -> None:
    text = count_files(len(done.jobs), len(done.errors))
    text += "" if done.errors else wording.all_done
    text += "" if has_lines else " (--verbose prints a line for each)"
    rows = [("files", text)]
    if done.jobs:
        rows.append((wording.before, format_number(before, "byte")))
        rows.append((wording.after, format_number(after, "byte")))
        ratio = None if wording.ratio is None else wording.ratio(before, after)
        if ratio is not None:
            rows.append(("ratio", f"{ratio:.4f} of the original size"))
        rows.append(("time", speed))
    for label, text in rows:
        print(format_row(label, text))


def _speed(seconds: float, audio_seconds: float) -> str:
    text = f"{format_time(seconds)}" if seconds >= 60 else f"{seconds:.1f} s"
    if audio_seconds:
        text += f", {audio_seconds / max(seconds, 1e-9):.1f}x realtime"
    return text
