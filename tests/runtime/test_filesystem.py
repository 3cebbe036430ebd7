"""Local and remote files: writes that fail, and file systems that are not there."""

import contextlib
import os
import sys
import types

import pytest

from runtime import filesystem
from runtime.errors import DataError, MissingDependencyError


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    filesystem.write_bytes_atomically(str(path), b"old")

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        filesystem.write_bytes_atomically(str(path), b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


@contextlib.contextmanager
def tensorflow_io(monkeypatch, module, schemes):
    """Puts a stand-in in place of tensorflow-io, which registers these schemes."""
    tf = pytest.importorskip("tensorflow")
    monkeypatch.setitem(sys.modules, "tensorflow_io", module)
    answers = iter([["gs", "ram", "file", ""], schemes])
    monkeypatch.setattr(tf.io.gfile, "get_registered_schemes", lambda: next(answers))
    yield
    monkeypatch.undo()


@pytest.mark.parametrize(
    "module, schemes, error, message",
    [
        (
            None,
            [],
            MissingDependencyError,
            r"s3:// paths need tensorflow-io: pip install 'wavestream\[io\]'",
        ),
        (
            "0.37.1",
            ["gs", ""],
            MissingDependencyError,
            r"tensorflow-io 0\.37\.1 cannot load .*\[io\]",
        ),
        ("0.37.1", ["az", "s3", ""], None, ""),
    ],
)
def test_schemes_of_tensorflow_io(monkeypatch, module, schemes, error, message):
    stand_in = module and types.SimpleNamespace(__version__=module)
    with tensorflow_io(monkeypatch, stand_in, schemes):
        if error is None:
            filesystem.require_filesystem("s3://bucket/folder")
            return
        with pytest.raises(error, match=message):
            filesystem.require_filesystem("s3://bucket/folder")


def test_unknown_schemes(monkeypatch):
    stand_in = types.SimpleNamespace(__version__="0.37.1")
    with (
        tensorflow_io(monkeypatch, stand_in, ["s3", "gs", ""]),
        pytest.raises(DataError, match="unknown scheme sftp://, expected one of gs://, s3://"),
    ):
        filesystem.require_filesystem("sftp://host/folder")


def test_built_in_schemes_and_local_paths_need_nothing(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    for path in ["gs://bucket/x", "ram://x", "file:///x", "/x", "C:x", "s3:/x"]:
        filesystem.require_filesystem(path)
