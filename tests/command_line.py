"""Runs main.py within the test's process."""

import os
import pathlib
from collections.abc import Mapping

import pytest
from absl.flags import FlagValues

from commands import parser
from commands.errors import readable_errors
from main import COMMANDS

ROOT = pathlib.Path(__file__).parents[1]

# A model that compiles in seconds.
TINY = (
    "--batch_size=4",
    "--chunk_size=64",
    "--embedding_dim=8",
    "--num_heads=1",
    "--num_layers=1",
    "--widening_factor=1",
)

Argument = str | os.PathLike


def parsed(*args: Argument) -> FlagValues:
    """Returns the flags of a command line, as its command is given them."""
    return parser.parse(["main.py", *(os.fspath(arg) for arg in args)], COMMANDS)[1]


def run_main(*args: Argument, table: Mapping[str, str] = COMMANDS) -> int:
    """Runs main.py; returns its exit status."""
    try:
        with readable_errors():
            argv = ["main.py", *(os.fspath(arg) for arg in args)]
            command, values, rest = parser.parse(argv, table)
            return command.run(values, rest) or 0
    except SystemExit as end:
        return int(end.code or 0)


def error_of(capsys: pytest.CaptureFixture[str], *args: Argument) -> str:
    """Returns what main.py says of a mistake: one line on stderr, with status 2."""
    assert run_main(*args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ") and err.endswith("\n") and err.count("\n") == 1, err
    return err.removeprefix("error: ").removesuffix("\n")
