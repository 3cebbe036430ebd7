"""What is said of a command line that cannot be parsed: one line, with what was probably meant."""

import difflib
import os
import re
import shlex
from collections.abc import Collection, Sequence

from absl.flags import FLAGS as ABSL_FLAGS
from absl.flags import Error, FlagValues, UnrecognizedFlagError

from commands import synonyms
from commands.interface import Commands
from runtime.flag_definitions import define
from runtime.flag_file import expand_flag_files
from runtime.program import program

_LEAST_SIMILARITY = 0.6
_LEAST_OF_OTHERS = 0.75  # Of flags that other commands have.
_MOST_NAMES = 3
_EVERYWHERE = ("flagfile", "undefok", "help", "helpfull", "version")


def describe_error(error: Error | ValueError, arguments: Sequence[str], commands: Commands) -> str:
    """Returns what is wrong with the flags of a command line.

    Args:
      error: of absl.
      arguments: the command line, in which flag files are named.
      commands: all of them.
    """
    name = next((argument for argument in arguments if argument in commands), next(iter(commands)))
    if not isinstance(error, UnrecognizedFlagError):
        return f"{_plain(str(error))} ({program()} {name} --help)"
    flag = error.flagname
    typed = _typed(flag, arguments)
    if path := _file_of(flag, arguments):
        written = shlex.quote(os.path.join(".", path))
        return f"unknown flag {typed}: to name the file, write {written}, or -- before it"
    meant = _meant(flag, name, commands) or f"{program()} {name} --help lists the flags"
    return f"{_place(flag, arguments)}unknown flag {typed}: {meant}"


def nearest(name: str, names: Collection[str]) -> str:
    """Returns a question whether the most similar of some names was meant; empty if none is."""
    found = difflib.get_close_matches(name, names, n=1)
    return f", did you mean {found[0]}?" if found else ""


def unknown_command(name: str, commands: Commands) -> str:
    """Returns what is wrong with a name that is none of a command."""
    text = f"unknown command {name!r}"
    if meant := synonyms.COMMANDS.get(name.lower()):
        return f"{text}, did you mean {meant}?"
    if question := nearest(name, commands):
        return text + question
    path = shlex.quote(name)
    if os.path.isfile(name):
        verb = "decompress" if name.endswith(".wvst") else "compress"
        return f"{text}: it is a file, did you mean: {program()} {verb} {path}"
    if os.path.isdir(name):
        verbs = " or ".join(f"{program()} {verb} {path}" for verb in ("compress", "train"))
        return f"{text}: it is a folder, did you mean: {verbs}"
    return f"{text}: {_switches(name) or 'expected one of ' + ', '.join(commands)}"


def unexpected(arguments: Sequence[str], command: str) -> str:
    """Returns what is wrong with arguments of a command that takes none, or no such."""
    expected = "" if is_switch_value(arguments[0]) else f"{command} takes flags alone"
    return f"unexpected {' '.join(arguments)!r}: {expected}{_switches(arguments[0])}"


def is_switch_value(argument: str) -> bool:
    """Whether an argument looks like the value of a switch, which takes none."""
    return argument.lower() in ("true", "false")


def _switches(argument: str) -> str:
    return "a switch is given as --downmix or --nodownmix" if is_switch_value(argument) else ""


def describe_exclusive(flags: Sequence[str], values: FlagValues, arguments: Sequence[str]) -> str:
    """Returns that flags exclude each other; of those in a flag file where, and what takes it back.

    Args:
      flags: their names.
      values: all flags.
      arguments: the command line, in which flag files are named.
    """
    text = " and ".join(f"--{flag}" for flag in flags) + " exclude each other"
    for flag in flags:
        if place := _place(flag, arguments):
            text += f"; --{flag} comes from {place.removesuffix(': ')}"
            if values[flag].boolean:
                text += f": expected --no{flag} behind it"
    return text


def _meant(flag: str, name: str, commands: Commands) -> str:
    """Returns what was probably meant by a flag: what others call so, have as a word, or nearly."""
    own = _spellings(name, commands) | {*ABSL_FLAGS, *_EVERYWHERE}
    other_name = flag[0] if re.fullmatch(r"[A-Za-z]\d+", flag) else flag.replace("-", "_")
    if found := [known for known in synonyms.FLAGS.get(other_name, ()) if known in own]:
        found = found if found[0] in synonyms.LEVELS else found[:1]
        return f"did you mean {' or '.join(f'--{one}' for one in found)}?"
    if needless := synonyms.NEEDLESS.get(other_name):
        return needless
    if parts := sorted(known for known in own if f"_{flag}_" in f"_{known}_"):
        return f"did you mean {' or '.join(f'--{part}' for part in parts[:_MOST_NAMES])}?"
    if similar := difflib.get_close_matches(flag, own, n=1, cutoff=_LEAST_SIMILARITY):
        return f"did you mean --{similar[0]}?"
    for other in commands:
        flags = _spellings(other, commands)
        if similar := difflib.get_close_matches(flag, flags, n=1, cutoff=_LEAST_OF_OTHERS):
            return f"did you mean --{similar[0]}, a flag of {other}?"
    return ""


def _spellings(name: str, commands: Commands) -> set[str]:
    """Returns the flags of a command, those of switches also with "no"."""
    values = define(commands[name].groups)
    return {*values} | {f"no{flag}" for flag in values if values[flag].boolean}


def _typed(flag: str, arguments: Sequence[str]) -> str:
    """Returns a flag as it was typed, with one dash or two."""
    given = (arg.partition("=")[0] for arg in arguments)
    return next((arg for arg in given if arg in (f"-{flag}", f"--{flag}")), f"--{flag}")


def _file_of(flag: str, arguments: Sequence[str]) -> str:
    """Returns the argument that looks like a flag and is the name of a file; empty if none."""
    given = (arg for arg in arguments if re.match(rf"--?{re.escape(flag)}(=|$)", arg))
    return next(filter(os.path.lexists, given), "")


def _place(flag: str, arguments: Sequence[str]) -> str:
    """Returns the flag file that has a flag, as the beginning of a message; empty if none."""
    given = re.compile(rf"--?{re.escape(flag)}(=|$)")
    if any(map(given.match, arguments)):
        return ""
    rest = iter(arguments)
    for argument in rest:
        if argument.lstrip("-").partition("=")[0] == "flagfile":
            one = [argument] if "=" in argument else [argument, next(rest, "")]
            if any(map(given.match, expand_flag_files(one))):
                return f"--flagfile={one[-1].partition('=')[2] or one[-1]}: "
    return ""


def _plain(message: str) -> str:
    """Returns a message of absl in words for a user who does not know Python."""
    for pattern, words in (
        (r"\s+", " "),
        (r"^ERROR:: ", ""),
        (r"invalid literal for int.*", "expected a whole number"),
        (r"could not convert string to float.*", "expected a number"),
        (r"\('Non-boolean argument.*", "expected true or false"),
    ):
        message = re.sub(pattern, words, message)
    return message
