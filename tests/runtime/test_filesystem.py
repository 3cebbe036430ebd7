"""Files of this machine and of others, and what it takes to reach them."""

import contextlib
import os
import stat
import sys
import types

import pytest
import tensorflow as tf

from runtime import atomic_files, filesystem, gfile
from runtime.errors import DataError, MissingDependencyError

pytestmark = pytest.mark.both_stacks


@pytest.fixture(params=["local", "ram"])
def folder(request, tmp_path):
    """A folder of this machine, and one of a file system that only TensorFlow knows."""
    path = str(tmp_path) if request.param == "local" else f"ram://{tmp_path.name}"
    tf.io.gfile.makedirs(path)
    return path


def test_what_is_written_is_read(folder):
    path = f"{folder}/a"
    assert not filesystem.exists(path)
    atomic_files.write_atomically(path, [b"first ", memoryview(b"content")])
    assert filesystem.exists(path)
    assert filesystem.stat(path)[0] == 13
    assert filesystem.read_bytes(path) == b"first content"
    with filesystem.open_for_reads(path) as read_at:
        assert [read_at(6, 3), read_at(0, 2), read_at(10, 9), read_at(13, 1)] == [
            b"con",
            b"fi",
            b"ent",
            b"",
        ]
    atomic_files.write_bytes_atomically(path, b"new")
    assert filesystem.read_bytes(path) == b"new"
    assert tf.io.gfile.listdir(folder) == ["a"]


def test_a_missing_file_is_an_error_of_the_system(folder):
    for read in (filesystem.stat, filesystem.read_bytes):
        with pytest.raises(FileNotFoundError):
            read(f"{folder}/none")


def test_absolute_paths(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert filesystem.absolute("~/a") == str(tmp_path / "a")
    assert filesystem.absolute("a") == os.path.join(os.getcwd(), "a")
    assert filesystem.absolute("gs://bucket/a") == "gs://bucket/a"


def test_leftovers_are_removed_but_for_what_is_being_written(tmp_path):
    path = str(tmp_path / "a")
    for name in (".0123456789abcdef.tmp", ".mine.tmp"):
        (tmp_path / name).touch()

    def parts():
        yield b"a"
        atomic_files.remove_leftovers(str(tmp_path))
        yield b"b"

    atomic_files.write_atomically(path, parts())
    assert filesystem.read_bytes(path) == b"ab"
    assert {*os.listdir(tmp_path)} == {"a", ".mine.tmp"}
    atomic_files.remove_leftovers(str(tmp_path / "none"))


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "cache.catalogue"
    atomic_files.write_bytes_atomically(str(path), b"old")

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        atomic_files.write_bytes_atomically(str(path), b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["cache.catalogue"]


def test_two_that_write_one_file_at_once_leave_one_of_theirs(tmp_path):
    """Processes of two containers may have one number."""
    path = str(tmp_path / "shared.catalogue")

    def parts():
        yield b"first, "
        atomic_files.write_bytes_atomically(path, b"meanwhile")
        yield b"but written last"

    atomic_files.write_atomically(path, parts())
    assert filesystem.read_bytes(path) == b"first, but written last"
    assert os.listdir(tmp_path) == ["shared.catalogue"]


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "model.npz").write_bytes(b"old")
    for name, target in [("link", "disk/model.npz"), ("chain", "link"), ("dangling", "disk/new")]:
        (tmp_path / name).symlink_to(target)
        atomic_files.write_bytes_atomically(str(tmp_path / name), name.encode())
        assert os.readlink(tmp_path / name) == target
    assert (tmp_path / "disk" / "model.npz").read_bytes() == b"chain"
    assert (tmp_path / "disk" / "new").read_bytes() == b"dangling"
    assert sorted(os.listdir(tmp_path / "disk")) == ["model.npz", "new"]
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="loop"):
        atomic_files.write_bytes_atomically(str(tmp_path / "loop"), b"new")
    assert os.path.islink(tmp_path / "loop")


def test_only_files_are_replaced(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    (tmp_path / "folder").mkdir()

    def parts():
        raise AssertionError("nothing is computed in vain")
        yield

    for name in ("fifo", "link", "folder"):
        with pytest.raises(FileExistsError, match=rf"it is a device, FIFO, .*{name}"):
            atomic_files.write_atomically(str(tmp_path / name), parts())
    assert stat.S_ISFIFO(os.lstat(tmp_path / "fifo").st_mode)
    assert sorted(os.listdir(tmp_path)) == ["fifo", "folder", "link"]


@contextlib.contextmanager
def tensorflow_io(monkeypatch, module, schemes):
    """Puts a stand-in in place of tensorflow-io, which registers these schemes."""
    monkeypatch.setitem(sys.modules, "tensorflow_io", module)
    answers = iter([["gs", "ram", "file", ""], schemes])
    monkeypatch.setattr(tf.io.gfile, "get_registered_schemes", lambda: next(answers))
    yield
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("module", "schemes", "message"),
    [
        (
            None,
            [],
            r"s3:// paths need tensorflow-io: pip install 'wavestream\[io\]'",
        ),
        (
            "0.37.1",
            ["gs", ""],
            r"tensorflow-io 0\.37\.1 cannot load .*\[io\]",
        ),
        ("0.37.1", ["az", "s3", ""], ""),
    ],
)
def test_schemes_of_tensorflow_io(monkeypatch, module, schemes, message):
    stand_in = module and types.SimpleNamespace(__version__=module)
    with tensorflow_io(monkeypatch, stand_in, schemes):
        if not message:
            gfile.require_filesystem("s3://bucket/folder")
            return
        with pytest.raises(MissingDependencyError, match=message):
            gfile.require_filesystem("s3://bucket/folder")


def test_unknown_schemes(monkeypatch):
    stand_in = types.SimpleNamespace(__version__="0.37.1")
    with (
        tensorflow_io(monkeypatch, stand_in, ["s3", "gs", ""]),
        pytest.raises(DataError, match="unknown scheme sftp://, expected one of gs://, s3://"),
    ):
        gfile.require_filesystem("sftp://host/folder")


def test_built_in_schemes_and_local_paths_need_nothing(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    for path in ["gs://bucket/x", "ram://x", "file:///x", "/x", "C:x", "s3:/x"]:
        gfile.require_filesystem(path)
