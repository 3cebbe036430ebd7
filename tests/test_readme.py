"""What the README and the documentation name is there."""

import configparser
import inspect
import pkgutil
import re

import main
from tests.pages import DOCS, PAGES, README, ROOT


def test_every_preset_is_listed_and_names_its_command_and_result():
    presets = sorted((ROOT / "presets").glob("*.flags"))
    assert len(presets) > 5
    for preset in presets:
        text = preset.read_text()
        assert f"presets/{preset.name}" in README.read_text()
        assert f"python main.py --flagfile=presets/{preset.name}" in text
        assert "Seen: " in text or "Not run here" in text


def test_the_tests_that_promises_name_are_there():
    there = "".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    files = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    for page in PAGES:
        for name in re.findall(r"\btest_\w+", page.read_text()):
            assert name in files or f"def {name}(" in there, f"{page.name}: {name}"


def test_the_files_that_are_named_are_there():
    # Links are Sphinx's to check; these are names in code, comments and text.
    folders = [path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()]
    folders += ["docs", "presets", "benchmarks", "tests"]
    name = rf"(?<![\w./-])(?:{'|'.join(folders)})/[\w/]+\.(?:md|py|flags|sh|ipynb)\b"
    texts = [path for folder in folders for path in (ROOT / folder).rglob("*.*")]
    texts = [path for path in texts if path.suffix in (".py", ".md", ".flags", ".ipynb")]
    assert len(texts) > 400
    for path in (README, ROOT / "CHANGELOG.md", ROOT / "setup.cfg", *texts):
        for found in re.findall(name, path.read_text()):
            assert (ROOT / found).exists(), f"{path.relative_to(ROOT)}: {found}"


def test_the_installed_command_is_main():
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    name, _, target = setup["options.entry_points"]["console_scripts"].strip().partition(" = ")
    assert name == "wavestream" and pkgutil.resolve_name(target) is main.main
    assert f"`{name}`" in README.read_text()
    assert README.read_text().split("\n")[2].rstrip(".") == setup["metadata"]["description"]


def test_the_page_of_python_has_the_signatures():
    page = (DOCS / "reference" / "python.md").read_text()
    named = re.findall(r"(?m)^\| `([\w.]+)(\(.*?\))?` \|", page)
    assert len(named) > 20
    for name, written in named:
        there = pkgutil.resolve_name(name)
        if written:
            says = inspect.signature(eval(f"lambda {written[1:-1]}: None")).parameters
            has = inspect.signature(there).parameters
            assert [(x.name, x.kind) for x in says.values()] == [
                (x.name, x.kind) for x in has.values()
            ], name
            for one in says.values():  # `...` stands for what is too long for a table.
                assert one.default in (..., has[one.name].default), (name, one.name)
