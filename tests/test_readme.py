"""What the README promises of the command line."""

import pathlib
import re

from commands import parser
from commands.help import default_of, flags_of, meaning
from commands.interface import Commands
from main import COMMANDS
from runtime.flag_definitions import Group

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BEGIN, END = "<!-- flags -->\n", "\n<!-- end of flags -->"


def _markdown(commands: Commands) -> str:
    """Returns a table for each command of the flags that no command before it takes."""
    parts: list[str] = []
    known: set[Group] = set()
    for name, command in commands.items():
        shared = ", ".join(group.heading for group in command.groups if group in known)
        added = [group for group in command.groups if group not in known]
        text = f"**{name}** takes " + (f"the flags of *{shared}*" if shared else "")
        text += (" and these:" if shared else "these:") if added else ", and no others."
        rows = ["", "| flag | default | meaning |", "|---|---|---|"] if added else []
        for group in added:
            rows.append(f"| *{group.heading}* | | |")
            for flag in flags_of(group):
                default = f"`{default_of(flag)}`" if default_of(flag) else ""
                rows.append(f"| `{flag.name}` | {default} | {meaning(flag)} |")
        parts.append("\n".join([text, *rows]))
        known.update(added)
    return "\n\n".join(parts)


def test_the_tables_are_those_of_the_flags():
    # `python -m tests.test_readme` puts them there.
    assert README.split(BEGIN)[1].split(END)[0] == _markdown(parser.load(COMMANDS))


def test_every_preset_is_listed_and_names_its_command_and_result():
    presets = sorted((ROOT / "presets").glob("*.flags"))
    assert len(presets) == 6
    for preset in presets:
        text = preset.read_text()
        assert f"presets/{preset.name}" in README
        assert f"python main.py --flagfile=presets/{preset.name}" in text
        assert "Seen: " in text or "Not run here" in text


def test_the_tests_that_promises_name_are_there():
    there = "".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    files = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for name in re.findall(r"\btest_\w+", path.read_text()):
            assert name in files or f"def {name}(" in there, f"{path.name}: {name}"


if __name__ == "__main__":
    before, after = README.split(BEGIN)[0], README.split(END)[1]
    tables = _markdown(parser.load(COMMANDS))
    (ROOT / "README.md").write_text(f"{before}{BEGIN}{tables}{END}{after}")
