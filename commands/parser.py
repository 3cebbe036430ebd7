"""From the arguments of the process to a command, its flags, and its exit status."""

import gc
import importlib
import io
import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from absl import app
from absl.flags import FLAGS as ABSL_FLAGS
from absl.flags import Error, FlagValues

from commands import help as help_text
from commands import mistakes
from commands.errors import readable_errors
from commands.interface import Command, Commands
from runtime.background import exit_if_busy
from runtime.errors import ConfigError
from runtime.flag_definitions import define
from runtime.flag_file import expand_flag_files
from runtime.program import program
from runtime.version import VERSION

_SHORT_COMMANDS = {"-d": "decompress", "-t": "verify"}  # As of gzip and flac.
_SHORT_FLAGS = {"-v": "--verbose", "-n": "--dry_run"}
_GC_THRESHOLD = 20_000  # New objects. With Python's own 700, collections are a quarter of imports.
_HELP_FLAGS = {"help", "h", "?", "helpshort", "helpfull", "helpxml", "version"}


def run(table: Mapping[str, str]) -> None:
    """Runs the command that the arguments of this process name.

    Args:
      table: names of commands, and of the modules they are in; the first is the default.
    """
    try:
        _run(table)
    except SystemExit as exit:
        exit_if_busy(exit.code if isinstance(exit.code, int) else int(bool(exit.code)))
        raise


def _run(table: Mapping[str, str]) -> None:
    gc.set_threshold(_GC_THRESHOLD)
    _open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # Not every terminal has every character.
    try:
        try:
            with readable_errors():
                app.run(
                    lambda parsed: parsed[0].run(*parsed[1:]),
                    flags_parser=lambda argv: parse(argv, table),
                )
        finally:
            print(end="", flush=True)  # Here, not at exit, where an error cannot be caught.
    except BrokenPipeError:  # inspect | head
        _discard_stdout()
    except OSError as error:  # The flush: a full disk.
        _discard_stdout()
        if isinstance(error.__context__, SystemExit):  # Whoever has met it before has said so.
            raise error.__context__ from None
        print(f"error: stdout: {error.strerror}", file=sys.stderr)
        sys.exit(1)


def _discard_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_closed_streams() -> None:
    """Gives closed streams (`2>&-`) to /dev/null, before an opened file gets their number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            mode = os.O_WRONLY if number else os.O_RDONLY
            os.open(os.devnull, mode)  # Takes the lowest number that is free: this one.
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def load(table: Mapping[str, str]) -> Commands:
    """Imports commands, given the modules that they are in."""
    return {name: importlib.import_module(module).COMMAND for name, module in table.items()}


def parse(
    argv: Sequence[str], table: Mapping[str, str]
) -> tuple[Command, FlagValues, Sequence[str]]:
    """Parses a command line.

    Args:
      argv: the name of the program, then flags and other arguments in any order; the first that is
        not a flag names the command.
      table: as in `run`.

    Returns:
      The command, the values of its flags and of no others, and its other arguments.

    Raises:
      ConfigError: an unknown command, an unknown or invalid flag, or one of another command.
      SystemExit: help was asked for, and has been printed.
    """
    commands = load(table)
    # The flags of all commands: they decide which argument is a command and which is the value of a
    # flag, and a flag file may serve several commands, each of which ignores the others' flags.
    groups = dict.fromkeys(group for command in commands.values() for group in command.groups)
    known = define(groups)
    known.append_flag_values(ABSL_FLAGS)
    argv = [*argv[:1], *(_SHORT_COMMANDS.get(arg, arg) for arg in argv[1:2]), *argv[2:]]
    end = argv.index("--") if "--" in argv else len(argv)
    names = {name for flag in known for name in (flag, f"no{flag}")}
    given = [_underscored(argument, names) for argument in argv[:end]]
    argv = [*map(_long_name, given, [*given[1:], ""]), *argv[end:]]
    if argv[1:2] == ["help"]:
        argv = [argv[0], *argv[2:], "--help"]
    # Not by absl's own help flags, which know no commands and exit with status 1.
    asked = {arg for arg in argv[1:] if arg.startswith("-") and arg.lstrip("-") in _HELP_FLAGS}
    arguments = expand_flag_files([arg for arg in argv[1:] if arg not in asked])
    try:
        rest = known([*argv[:1], *arguments])[1:]
    except (Error, ValueError) as error:  # ValueError: --nodemo=1
        raise ConfigError(mistakes.describe_error(error, argv[1:], commands)) from error
    ABSL_FLAGS.mark_as_parsed()  # Its flags are in `known`, too, but absl reads them there.
    if not argv[1:]:  # As most programs; it is a mistake nonetheless.
        print(help_text.overview(commands))
        sys.exit(2)
    name = rest[0] if rest else next(iter(commands))
    if name not in commands:
        raise ConfigError(mistakes.unknown_command(name, commands))
    others = rest[1:]
    if others and (not commands[name].arguments or mistakes.is_switch_value(others[0])):
        raise ConfigError(mistakes.unexpected(others, name))
    if others and (flag := commands[name].arguments_flag):
        known[flag].value = [*(known[flag].value or []), *others]
        known[flag].present += 1
        others = []
    if asked:
        _print_help({arg.lstrip("-") for arg in asked}, name if rest else None, commands)
        sys.exit(0)
    _check_flags(argv[1:], name, commands)
    values = FlagValues()
    for flag in define(commands[name].groups):
        values[flag] = known[flag]
    values.mark_as_parsed()
    for pair in commands[name].exclusive:
        if all(map(_is_given, (values[flag].value for flag in pair))):
            raise ConfigError(mistakes.describe_exclusive(pair, values, argv[1:]))
    return commands[name], values, others


def _long_name(argument: str, after: str) -> str:
    """Returns `-v` and `-n` as other programs mean them; before a number absl's `-v`, as it is."""
    if argument == "-v" and after.lstrip("-").isdigit():
        return argument
    return _SHORT_FLAGS.get(argument, argument)


def _underscored(argument: str, names: Collection[str]) -> str:
    """Returns a flag that is written with dashes, as other programs write theirs, by its name."""
    flag, equals, value = argument.partition("=")
    name = flag.removeprefix("--").replace("-", "_")
    return f"--{name}{equals}{value}" if flag.startswith("--") and name in names else argument


def _is_given(value: Any) -> bool:
    return any(value) if isinstance(value, list) else bool(value)  # --audio_dir= is [""].


def _print_help(asked: set[str], name: str | None, commands: Commands) -> None:
    """Prints the help of a command; without a name the list of commands."""
    command = commands[name or next(iter(commands))]
    if "version" in asked:
        print(f"wavestream {VERSION}")
        return
    if "helpxml" in asked:
        define(command.groups).write_help_in_xml_format(sys.stdout)
        return
    print(help_text.describe(name, command) if name else help_text.overview(commands))
    if "helpfull" in asked:
        print(ABSL_FLAGS.get_help())


def _check_flags(arguments: Sequence[str], name: str, commands: Commands) -> None:
    """Raises ConfigError for a flag of other commands, except in a flag file or --undefok."""
    flags_of = {owner: set(define(command.groups)) for owner, command in commands.items()}
    undefok = re.findall(r"\w+", " ".join(arg for arg in arguments if "undefok=" in arg))
    for argument in arguments:
        given = argument.lstrip("-").partition("=")[0]
        for flag in {given, given.removeprefix("no")} - flags_of[name] - {*undefok}:
            owners = [owner for owner in commands if flag in flags_of[owner]]
            if owners and argument.startswith("-"):
                raise ConfigError(
                    f"--{given} is not a flag of {name}, but of {' and '.join(owners)} "
                    f"({program()} {owners[0]} --help)"
                )
