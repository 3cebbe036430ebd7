"""What --help prints, and the README's tables of flags, both from the flags themselves."""

import re
import shutil
import textwrap

from absl import flags as absl_flags

import flags
from commands.interface import Command, Commands


def overview(commands: Commands) -> str:
    """Returns the list of commands."""
    lines = ["commands (python main.py COMMAND --help lists its flags):"]
    lines += [f"  {name:<14}{command.doc.splitlines()[0]}" for name, command in commands.items()]
    return "\n".join(lines)


def describe(name: str, command: Command) -> str:
    """Returns what a command does, and its flags by group."""
    usage = " ".join(filter(None, ("usage: python main.py", name, "[FLAGS]", command.arguments)))
    lines = [usage, "", command.doc.strip()]
    for group in command.groups:
        lines += ["", f"{group.heading}:"]
        for flag in _flags(group):
            meaning, default = _meaning(flag), _default(flag)
            on_by_default = "[no]" if flag.default is True else ""
            text = meaning + (f" (default: {default})" if default and not on_by_default else "")
            lines += textwrap.wrap(
                text,
                width=max(60, min(100, shutil.get_terminal_size().columns)),
                initial_indent=f"  --{on_by_default + flag.name:<22}",
                subsequent_indent=" " * 26,
                break_on_hyphens=False,
            )
    lines += ["", "--flagfile=FILE reads flags from a file; --helpfull shows absl's own flags, too."]
    return "\n".join(lines)


def markdown(commands: Commands) -> str:
    """Returns the README's tables: of each command the flags that those before it do not have."""
    parts, known = [], set[flags.Group]()
    for name, command in commands.items():
        shared = ", ".join(group.heading for group in command.groups if group in known)
        added = [group for group in command.groups if group not in known]
        known.update(added)
        text = f"`{name}` takes the flags" + (f" of {shared}" if shared else "")
        if added:
            text += f"{', and' if shared else ''}:\n\n| flag | default | meaning |\n|---|---|---|"
        parts.append(text if added else text + ".")
        for group in added:
            parts[-1] += f"\n| **{group.heading}** | | |"
            for flag in _flags(group):
                default = f"`{_default(flag)}`" if _default(flag) else ""
                parts[-1] += f"\n| `{flag.name}` | {default} | {_meaning(flag)} |"
    return "\n\n".join(parts)


def _flags(group: flags.Group) -> list[absl_flags.Flag]:
    values = flags.define([group])
    return [values[name] for name in values]


def _meaning(flag: absl_flags.Flag) -> str:
    """Returns a flag's help without what absl adds, which a table would take for tags and cells."""
    text = re.sub(r"^<.+?>: ", "", flag.help.splitlines()[0].rstrip(";"))
    choices = getattr(flag.parser, "enum_values", None)
    return f"{text} One of {', '.join(choices)}." if choices else text


def _default(flag: absl_flags.Flag) -> str:
    if flag.default in (None, [], False) and flag.default != 0:
        return ""
    return str(flag.default).lower() if flag.boolean else str(flag.default)
