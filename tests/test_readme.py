"""What the README promises of the command line."""

import pathlib

import main
from commands import help as help_text

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BEGIN, END = "<!-- flags -->\n", "\n<!-- end of flags -->"


def test_the_tables_are_those_of_the_flags():
    # `python -m tests.test_readme` puts them there.
    assert README.split(BEGIN)[1].split(END)[0] == help_text.markdown(main.load(main.COMMANDS))


def test_every_preset_is_listed_and_names_its_command_and_result():
    presets = sorted((ROOT / "presets").glob("*.flags"))
    assert len(presets) == 4
    for preset in presets:
        text = preset.read_text()
        assert f"presets/{preset.name}" in README
        assert f"python main.py --flagfile=presets/{preset.name}" in text
        assert "Seen: " in text or "Not run here" in text


if __name__ == "__main__":
    before, after = README.split(BEGIN)[0], README.split(END)[1]
    tables = help_text.markdown(main.load(main.COMMANDS))
    (ROOT / "README.md").write_text(f"{before}{BEGIN}{tables}{END}{after}")
