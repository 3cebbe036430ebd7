"""What --help prints, from the definitions of the flags."""

import shutil
import sys
import textwrap

from commands.interface import Command, Commands
from runtime.flag_definitions import Definition, Group
from runtime.program import IN_A_CLONE, program
from runtime.terminal import styled

_COLUMN = 30  # Where the descriptions of flags begin.
_NO_BREAK = "\N{NO-BREAK SPACE}"
_EVERYWHERE = (
    ("--flagfile=FILE", "Read flags from a file, one a line; flags after it override them."),
    ("--help, --helpfull", "Show this; also the flags of absl, such as --verbosity."),
    ("--version", "Show the version."),
)


def overview(commands: Commands) -> str:
    """Returns the list of commands."""
    lines = [f"{_heading('Usage')} {program()} [COMMAND] [FLAGS]", "", _heading("Commands")]
    lines += [f"  {name:<14}{command.doc.splitlines()[0]}" for name, command in commands.items()]
    default = next(iter(commands))
    lines += ["", f"Without a name the command is {default}. Flags and examples of each:", ""]
    lines += [f"    {program()} {default} --help", f"    {program()} COMMAND --help"]
    return "\n".join(lines)


def describe(name: str, command: Command) -> str:
    """Returns the description of a command, and its flags by group, each with its default."""
    usage = " ".join(filter(None, (program(), name, "[FLAGS]", command.arguments)))
    width = max(60, min(100, shutil.get_terminal_size().columns))
    lines = [f"{_heading('Usage')} {usage}", "", _description(command, width)]
    for group in command.groups:
        lines += ["", _heading(group.heading)]
        for flag in flags_of(group):
            lines += _row(usage_of(flag), _explanation(flag), width)
    lines += ["", _heading("Every command")]
    for shown, text in _EVERYWHERE:
        lines += _row(shown, text, width)
    return "\n".join(lines)


def _description(command: Command, width: int) -> str:
    """Returns the text above the flags, its paragraphs in lines of some width."""
    paragraphs = command.doc.strip().replace(IN_A_CLONE, program()).split("\n\n")
    return "\n\n".join(
        part if part.startswith(" ") else textwrap.fill(part, width, break_on_hyphens=False)
        for part in paragraphs
    )


def flags_of(group: Group) -> tuple[Definition, ...]:
    """Returns the flags of a group, in their order."""
    return group.definitions


def default_of(flag: Definition) -> str:
    """Returns the default of a flag; empty where that is nothing."""
    if flag.default_text is not None:
        return flag.default_text
    if isinstance(flag.default, bool):
        return str(flag.default).lower()
    if isinstance(flag.default, float):
        return f"{flag.default:g}"
    return "" if flag.default in (None, []) else str(flag.default)


def _heading(text: str) -> str:
    return styled(f"{text}:", "bold", sys.stdout)


def usage_of(flag: Definition) -> str:
    """Returns how a flag is written."""
    if flag.placeholder:
        return f"--{flag.name}={flag.placeholder}"
    return f"--{'[no]' if flag.default else ''}{flag.name}"


def _explanation(flag: Definition) -> str:
    default = default_of(flag)
    if isinstance(flag.default, bool):
        default = "on" if flag.default else ""  # A switch that can be turned on is off.
    if len(shown := f"[default: {default}]") < 24:
        shown = shown.replace(" ", _NO_BREAK)
    return f"{flag.text} {shown}" if default else flag.text


def _row(usage: str, text: str, width: int) -> list[str]:
    """Returns the lines of a flag; a long usage has one of its own."""
    indent = " " * _COLUMN
    shown = f"  {usage}"
    fits = len(shown) + 2 <= _COLUMN
    lines = textwrap.wrap(
        text,
        width,
        initial_indent=f"{shown:<{_COLUMN}}" if fits else indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    lines = [line.replace(_NO_BREAK, " ") for line in lines]
    return lines if fits else [shown, *lines]
