"""What --help prints, from the definitions of the flags."""

import re
import shutil
import textwrap

from absl.flags import Flag

import flags
from commands.interface import Command, Commands

_COLUMN = 30  # Where the descriptions of flags begin.


def overview(commands: Commands) -> str:
    """Returns the list of commands."""
    lines = ["Commands (python main.py COMMAND --help shows the flags of one):"]
    lines += [f"  {name:<14}{command.doc.splitlines()[0]}" for name, command in commands.items()]
    return "\n".join(lines)


def describe(name: str, command: Command) -> str:
    """Returns the description of a command, and its flags by group, each with its default."""
    usage = " ".join(filter(None, ("Usage: python main.py", name, "[FLAGS]", command.arguments)))
    width = max(60, min(100, shutil.get_terminal_size().columns))
    lines = [usage, "", command.doc.strip()]
    for group in command.groups:
        lines += ["", f"{group.heading}:"]
        for flag in flags_of(group):
            shown = f"  --{flag.name}={default_of(flag) or '...'}"
            if flag.boolean:
                shown = f"  --{'[no]' if flag.default else ''}{flag.name}"
            lines += textwrap.wrap(
                f"{shown:<{_COLUMN - 1}} {meaning(flag)}",
                width,
                subsequent_indent=" " * _COLUMN,
                break_long_words=False,
                break_on_hyphens=False,
            )
    lines += ["", "--flagfile=FILE reads flags from a file; --helpfull shows absl's own, too."]
    return "\n".join(lines)


def flags_of(group: flags.Group) -> list[Flag]:
    """Returns the flags of a group, in their order."""
    values = flags.define([group])
    return [values[name] for name in values]


def meaning(flag: Flag) -> str:
    """Returns the help of a flag, and its choices in words."""
    # absl puts them before it, as in <a|b>, which tables of Markdown take for a tag and two cells.
    text = re.sub(r"^<.+?>: ", "", flag.help.splitlines()[0].rstrip(";"))
    choices = getattr(flag.parser, "enum_values", None)
    return f"{text} One of {', '.join(choices)}." if choices else text


def default_of(flag: Flag) -> str:
    """Returns the default of a flag; empty where that is nothing."""
    if flag.boolean:
        return str(flag.default).lower()
    return "" if flag.default in (None, []) else str(flag.default)
