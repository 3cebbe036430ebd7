"""What --help prints, and the README's tables: both from the definitions of the flags."""

import re
import shutil
import textwrap

from absl.flags import Flag

import flags
from commands.interface import Command, Commands

_COLUMN = 28  # Where the meanings of flags begin.


def overview(commands: Commands) -> str:
    """Returns the list of commands."""
    lines = ["Commands (python main.py COMMAND --help shows the flags of one):"]
    lines += [f"  {name:<14}{command.doc.splitlines()[0]}" for name, command in commands.items()]
    return "\n".join(lines)


def describe(name: str, command: Command) -> str:
    """Returns what a command does, and its flags by group, each with its default."""
    usage = " ".join(filter(None, ("Usage: python main.py", name, "[FLAGS]", command.arguments)))
    width = max(60, min(100, shutil.get_terminal_size().columns))
    lines = [usage, "", command.doc.strip()]
    for group in command.groups:
        lines += ["", f"{group.heading}:"]
        for flag in _flags(group):
            shown = f"  --{flag.name}={_default(flag) or '...'}"
            if flag.boolean:
                shown = f"  --{'[no]' if flag.default else ''}{flag.name}"
            lines += textwrap.wrap(
                f"{shown:<{_COLUMN - 1}} {_meaning(flag)}",
                width,
                subsequent_indent=" " * _COLUMN,
                break_long_words=False,
                break_on_hyphens=False,
            )
    lines += ["", "--flagfile=FILE reads flags from a file; --helpfull shows absl's own, too."]
    return "\n".join(lines)


def markdown(commands: Commands) -> str:
    """Returns a table for each command of the flags that no command before it takes."""
    parts: list[str] = []
    known: set[flags.Group] = set()
    for name, command in commands.items():
        shared = ", ".join(group.heading for group in command.groups if group in known)
        added = [group for group in command.groups if group not in known]
        text = f"**{name}** takes " + (f"the flags of *{shared}*" if shared else "")
        text += (" and these:" if shared else "these:") if added else ", and no others."
        rows = ["", "| flag | default | meaning |", "|---|---|---|"] if added else []
        for group in added:
            rows.append(f"| *{group.heading}* | | |")
            for flag in _flags(group):
                default = f"`{_default(flag)}`" if _default(flag) else ""
                rows.append(f"| `{flag.name}` | {default} | {_meaning(flag)} |")
        parts.append("\n".join([text, *rows]))
        known.update(added)
    return "\n\n".join(parts)


def _flags(group: flags.Group) -> list[Flag]:
    values = flags.define([group])
    return [values[name] for name in values]


def _meaning(flag: Flag) -> str:
    """Returns a flag's help; of the choices that absl adds, a table would make tags and cells."""
    text = re.sub(r"^<.+?>: ", "", flag.help.splitlines()[0].rstrip(";"))
    choices = getattr(flag.parser, "enum_values", None)
    return f"{text} One of {', '.join(choices)}." if choices else text


def _default(flag: Flag) -> str:
    if flag.boolean:
        return str(flag.default).lower()
    return "" if flag.default in (None, []) else str(flag.default)
