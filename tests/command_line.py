"""Runs main.py within the test's process, on flags of its own."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

import pytest
from absl.testing import flagsaver

import flags
import main

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


@contextlib.contextmanager
def parsed(*args: str | os.PathLike) -> Iterator[list[str]]:
    """Parses a command line; yields what is not a flag. The flags' values end with the context."""
    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        yield flags.parse(["main.py", *(os.fspath(arg) for arg in args)])


def error_of(capsys: pytest.CaptureFixture[str], *args: str | os.PathLike) -> str:
    """Returns what main.py says to a mistake: one line on stderr, with status 2."""
    with pytest.raises(SystemExit) as end, parsed(*args) as argv:
        main.main(argv)
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ") and err.endswith("\n") and err.count("\n") == 1, err
    return err.removeprefix("error: ").removesuffix("\n")
