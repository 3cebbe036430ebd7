"""The command line: a table of commands, each with flags of its own.

    python main.py [COMMAND] [FLAGS]

The first argument that is not a flag names the command; `python main.py --help` lists them.
"""

import contextlib
import importlib
import io
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NoReturn

from absl import app
from absl.flags import FLAGS as ABSL_FLAGS
from absl.flags import Error, FlagValues

import flags
from commands import help as help_text
from commands.interface import Command, Commands
from runtime import distributed
from runtime.errors import ConfigError, UserError

COMMANDS = {
    "train": "commands.train",  # The first: also where none is named.
    "inspect": "commands.inspect",
    "evaluate": "commands.evaluate",
    "compare": "commands.compare",
    "serve_input": "commands.serve_input",
}


def load(table: Mapping[str, str]) -> Commands:
    """Imports commands, given the modules that they are in."""
    return {name: importlib.import_module(module).COMMAND for name, module in table.items()}


def parse(
    argv: Sequence[str], table: Mapping[str, str] = COMMANDS
) -> tuple[Command, FlagValues, list[str]]:
    """Parses a command line, the program's name first.

    Returns:
      The command, its flags, and its other arguments.

    Raises:
      ConfigError: it is not a command line for these commands.
      SystemExit: it asks for help, which is printed.
    """
    commands = load(table)
    flags_of = {name: flags.define(command.groups) for name, command in commands.items()}
    named, arguments = _split(argv[1:], flags_of)
    name = named or next(iter(commands))
    command, values = commands[name], flags_of[name]
    others = {flag for each in flags_of.values() for flag in each} - set(values)
    values.append_flag_values(ABSL_FLAGS)
    if asked := _HELP_FLAGS & {arg.lstrip("-") for arg in arguments if arg.startswith("-")}:
        _print_help(asked, commands, name, named is None, values)
    undefok = re.findall(r"^--?undefok=(.*)", "\n".join(arguments), re.MULTILINE)
    misplaced = others - set(",".join(undefok).split(","))
    for argument in arguments:
        if argument.startswith("-") and (flag := _names(argument) & misplaced):
            owners = [owner for owner in commands if flag & set(flags_of[owner])]
            raise ConfigError(
                f"{argument.partition('=')[0]} is not a flag of {name}, but of "
                f"{' and '.join(owners)} (python main.py {owners[0]} --help)"
            )
    try:
        # A flag file may be for several commands: each passes over the others' flags in it.
        rest = values([argv[0], f"--undefok={','.join(others)}", *arguments])[1:]
    except (Error, ValueError) as error:  # ValueError: --nodemo=1
        raise ConfigError(f"{_in_clear(str(error))} (--help lists the flags)") from error
    ABSL_FLAGS.mark_as_parsed()  # absl reads its own there.
    if rest and not command.arguments:
        raise ConfigError(_unexpected(rest, commands))
    return command, values, rest


def _split(
    arguments: Sequence[str], flags_of: Mapping[str, FlagValues]
) -> tuple[str | None, list[str]]:
    """Returns the command's name, None if there is none, and the arguments without it."""
    known = [*flags_of.values(), ABSL_FLAGS]
    with_value = {flag for each in known for flag in each if not each[flag].boolean}
    with_value |= {"flagfile", "undefok"}  # Of all of them the value may be an argument of its own.
    before = ""
    for position, argument in enumerate(arguments):
        if not argument.startswith("-") and before.lstrip("-") not in with_value:
            if argument not in flags_of:
                raise ConfigError(_unexpected(arguments[position:], flags_of))
            return argument, [*arguments[:position], *arguments[position + 1 :]]
        before = argument
    return None, list(arguments)


_HELP_FLAGS = {"help", "?", "helpshort", "helpfull", "helpxml"}


def _print_help(
    asked: set[str], commands: Commands, name: str, with_overview: bool, values: FlagValues
) -> NoReturn:
    """In place of absl's help, which knows one command, and ends with status 1."""
    if "helpxml" in asked:
        values.write_help_in_xml_format(sys.stdout)
    else:
        if with_overview:
            print(help_text.overview(commands), end="\n\n")
        print(help_text.describe(name, commands[name]))
        if "helpfull" in asked:
            print(ABSL_FLAGS.get_help())
    sys.exit(0)


def _names(argument: str) -> set[str]:
    """Returns what an argument may set: --nofoo is for a flag nofoo, or foo."""
    name = argument.lstrip("-").partition("=")[0]
    return {name, name.removeprefix("no")}


def _unexpected(arguments: Sequence[str], commands: Iterable[str]) -> str:
    return (
        f"unexpected {' '.join(arguments)!r}; a folder is given as --audio_dir=FOLDER, a switch as "
        f"--use_16bit or --nouse_16bit; commands are {', '.join(commands)}"
    )


def _in_clear(message: str) -> str:
    """Returns absl's message in words for a user."""
    for pattern, words in (
        (r"\s+", " "),
        (r"^ERROR:: ", ""),
        (r"^Unknown command line flag '(\w*)'\.?", r"unknown flag --\1."),
        (r"Did you mean: (.*) \?", r"Did you mean --\1?"),
        (r"invalid literal for int.*", "expected a whole number"),
        (r"could not convert string to float.*", "expected a number"),
        (r"\('Non-boolean argument.*", "expected true or false"),
    ):
        message = re.sub(pattern, words, message)
    return message


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """Ends the process with one line and status 2 after an error that the user can mend.

    All others keep their traceback. Other hosts learn of the error, too.
    """
    try:
        yield
    except BrokenPipeError as error:
        distributed.abort(1, repr(error))
        raise  # `run` ends quietly.
    except KeyboardInterrupt:
        _end(130, "interrupted")
    except (UserError, OSError) as error:
        _end(2, str(error) or type(error).__name__)
    except RuntimeError as error:
        # The class of JAX's errors has other names in older versions, and JAX may not be imported.
        if "RESOURCE_EXHAUSTED" in str(error):
            _end(2, f"out of memory, try a smaller --batch_size: {str(error).splitlines()[0]}")
        raise


def _end(status: int, message: str) -> NoReturn:
    if os.environ.get("WAVESTREAM_TRACEBACK"):
        traceback.print_exc()
    message = " ".join(message.split())
    logger = logging.getLogger("wavestream")
    if logger.handlers:  # A run's log file is to say how it has ended.
        logger.error(message)
    else:
        print(f"error: {message}", file=sys.stderr)
    distributed.abort(status, message)
    sys.exit(status)


def run(table: Mapping[str, str] = COMMANDS) -> None:
    """The entry point."""
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
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    run()
