"""What --help shows, and that its examples are command lines."""

import pathlib
import re
import shlex
import subprocess
import sys

import pytest

from commands import evaluate, parser, shared, train
from commands import help as help_text
from commands.initial_model import load_initial_model
from evaluation.baselines.libraries import CODEC_KEYS
from main import COMMANDS
from runtime.flag_definitions import define
from tests.command_line import ROOT, run_main

LOADED = parser.load(COMMANDS)
EXAMPLES = [
    (name, line.strip())
    for name, command in LOADED.items()
    for line in command.doc.splitlines()
    if line.startswith("    ")
]


def test_help_without_a_command_is_the_commands_alone():
    done = subprocess.run(
        [sys.executable, str(ROOT / "main.py"), "--help"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[3:] if line.startswith("  ")] == [
        *COMMANDS,
        "python",
        "python",
    ]
    assert lines[-2:] == ["    python main.py train --help", "    python main.py COMMAND --help"]
    assert "\x1b" not in done.stdout and max(map(len, lines)) <= 100 and len(lines) < 24


def test_it_is_called_as_it_was(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/wavestream"])
    assert run_main("compress", "--help") == run_main("help") == 0
    assert "main.py" not in (shown := capsys.readouterr().out)
    assert (
        shown.startswith("Usage: wavestream compress") and "  wavestream compress --fast" in shown
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_it_fits_a_terminal(monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, help_text.describe(name, LOADED[name]).splitlines())) <= 80


def test_help_of_the_default_command(capsys):
    assert run_main("train", "--help") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Usage: python main.py train [FLAGS]")
    for line in ("\nOptimizer:\n", "  --num_chunks=CHUNKS ", "[default: 488281]"):
        assert line in shown
    assert "--report_dir" not in shown and max(map(len, shown.splitlines())) <= 100
    assert run_main("help") == run_main("--help") == 0
    commands = capsys.readouterr().out
    assert commands[: len(commands) // 2] * 2 == commands and "--num_chunks" not in commands


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "train"])
@pytest.mark.parametrize("flag", ["--help", "-helpshort", "-h", "-?"])
def test_help_of_a_command_is_its_own(capsys, command, flag):
    assert run_main(flag, command) == 0
    shown, others = capsys.readouterr().out, "--learning_rate"
    assert shown.startswith(f"Usage: python main.py {command} [FLAGS]")
    assert others not in shown and "serve_input   " not in shown
    assert run_main("help", command) == 0
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize("name", COMMANDS)
def test_a_description_is_one_sentence_and_examples(name):
    lines = LOADED[name].doc.splitlines()
    assert re.fullmatch(r"[A-Z][^.]+( \(tf\.data service\))?\.", lines[0]) and lines[1] == ""
    assert len(lines[0]) <= 86  # The list of commands fits 100 columns.
    assert 2 <= sum(owner == name for owner, _ in EXAMPLES) <= 4


@pytest.mark.parametrize(("name", "line"), EXAMPLES, ids=[line for _, line in EXAMPLES])
def test_an_example_is_a_command_line(monkeypatch, name, line):
    monkeypatch.chdir(ROOT)
    subprocess.run(["bash", "-nc", line], check=True)
    words = shlex.split(line, comments=True)
    words = words[: words.index("<")] if "<" in words else words
    assert words[:2] == ["python", "main.py"]
    parsed, values, _ = parser.parse(words[1:], COMMANDS)
    if parsed is LOADED["train"]:
        load_initial_model(values)
        train.run_config(values)  # Flags that do not fit together would be refused here.
    if parsed is LOADED["inspect"]:
        shared.pipeline_config(values)
    if parsed is LOADED["evaluate"]:
        evaluate.evaluation_config(values)
    # Of serve_input there is the trainer's line, too.
    assert parsed is LOADED[name] or (name, parsed) == ("serve_input", LOADED["train"])


def test_a_flag_has_its_unit_and_its_default_once(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert run_main("compress", "--help") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "--segment=FRAMES Most frames of a segment" in shown
    assert "keep their trees. [default: beside each file]" in shown and "./" not in shown
    assert run_main("decompress", "--help") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert (
        "--start=TIME Decode a part: where it begins, in seconds or as [H:]MM:SS. [default: 0]"
        in shown
    )
    assert run_main("train", "--help") == 0
    shown = capsys.readouterr().out
    assert (
        "  --bit_depth=8|16|24         Bits per sample that the model sees. [default: 8]" in shown
    )
    assert "  --[no]downmix               Mix the channels" in shown
    for group in (group for command in LOADED.values() for group in command.groups):
        for flag in help_text.flags_of(group):
            assert "default" not in flag.text or not help_text.default_of(flag), flag.name
            assert flag.text.endswith(".") and not flag.text.endswith(".."), flag.name


def test_the_codecs_that_help_names_are_those_there_are():
    assert f"of {','.join(CODEC_KEYS)};" in define(LOADED["evaluate"].groups)["codecs"].help


def test_headings_are_bold_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    run_main("info", "--help")
    shown = capsys.readouterr().out
    assert shown.startswith("\x1b[1mUsage:\x1b[0m python") and "\n\x1b[1mModels:\x1b[0m\n" in shown


def test_presets_that_examples_name_are_there():
    for _, line in EXAMPLES:
        for path in re.findall(r"presets/\S+", line):
            assert pathlib.Path(ROOT, path).is_file()
