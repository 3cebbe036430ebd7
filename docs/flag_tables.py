"""The flags of each command as Markdown, from their definitions.

`python -m docs.flag_tables` writes them into `docs/reference/flags.md`.
"""

import collections
import pathlib
import re

from commands import parser
from commands.help import default_of, flags_of, usage_of
from commands.interface import Command, Commands, Group
from main import COMMANDS

PAGE = pathlib.Path(__file__).parent / "reference" / "flags.md"
MARK = "<!-- Made by `python -m docs.flag_tables`: what follows is not to be edited here. -->\n"


def updated(page: str) -> str:
    """Returns the text of the page with the tables, in place of all that followed its mark."""
    introduction, mark, _ = page.partition(MARK)
    if not mark:
        raise ValueError(f"{PAGE}: expected the line {MARK.strip()}")
    return f"{introduction}{MARK}\n{markdown(parser.load(COMMANDS))}\n"


def markdown(commands: Commands) -> str:
    """Returns a section for each command; each group of flags is a table, below its first command.

    Args:
      commands: in the order of the sections.
    """
    sections: list[str] = []
    links: dict[Group, str] = {}
    anchors = collections.Counter[str]()
    for name, command in commands.items():
        anchors[name] += 1
        sections.append(_heading(name, command))
        if shared := [links[group] for group in command.groups if group in links]:
            sections.append(f"It takes these flags, described above: {', '.join(shared)}.")
        for group in command.groups:
            if group not in links:
                found = _anchor(group.heading)
                number = f"-{anchors[found]}" if anchors[found] else ""
                anchors[found] += 1
                links[group] = f"[{group.heading}](#{found}{number})"
                sections.append(_table(group))
    return "\n\n".join(sections)


def _heading(name: str, command: Command) -> str:
    usage = " ".join(filter(None, ("python main.py", name, "[FLAGS]", command.arguments)))
    # In a description, examples are indented by four, as in Markdown.
    return f"## {name}\n\n```text\n{usage}\n```\n\n{command.doc.strip()}"


def _table(group: Group) -> str:
    rows = [f"### {group.heading}", "", "| flag | default | meaning |", "|---|---|---|"]
    for flag in flags_of(group):
        default = default_of(flag)
        # Words are no value.
        default = f"`{default}`" if default and " " not in default else _escaped(default)
        usage = usage_of(flag).replace("|", r"\|")
        rows.append(f"| `{usage}` | {default} | {_escaped(flag.text)} |")
    return "\n".join(rows)


def _escaped(text: str) -> str:
    text = re.sub(r"([|<>*`])", r"\\\1", text)
    return re.sub(r"(?<![\w-])--\w[\w=]*", r"`\g<0>`", text)


def _anchor(heading: str) -> str:
    """Returns the anchor of a heading, as GitHub and MyST make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text()))
