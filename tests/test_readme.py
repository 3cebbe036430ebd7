"""What the README promises of the command line."""

import pathlib

import flags

README = (pathlib.Path(__file__).parent.parent / "README.md").read_text()


def test_the_table_of_flags_is_that_of_the_flags():
    # When this fails, paste what `python -c "import flags; print(flags.markdown_table())"` prints.
    assert flags.markdown_table() in README


def test_every_preset_is_listed_and_names_its_command_and_result():
    presets = sorted((pathlib.Path(__file__).parent.parent / "presets").glob("*.flags"))
    assert len(presets) == 4
    for preset in presets:
        text = preset.read_text()
        assert f"presets/{preset.name}" in README
        assert f"python main.py --flagfile=presets/{preset.name}" in text
        assert "Seen: " in text or "Not run here" in text
