"""Files that are appended to reach a folder that takes whole files only. Here it is a local one."""

import errno
import os
import threading
import time

import pytest

from runtime.mirror import Mirror
from runtime.outage import Outage


@pytest.fixture
def remote(tmp_path):
    return tmp_path / "bucket" / "run"


def _mirror(remote, every_s=60.0):
    remote.parent.mkdir(exist_ok=True)
    remote.mkdir(exist_ok=True)
    return Mirror(str(remote), Outage(str(remote)), every_s=every_s)


def _append(mirror, name, text):
    path = os.path.join(mirror.local, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "a") as file:
        file.write(text)


def _contents(folder):
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_files_are_copied_as_they_grow_and_completely_at_the_end(remote):
    with _mirror(remote, every_s=0.05) as mirror:
        _append(mirror, "log", "1\n")
        deadline = time.monotonic() + 20
        while _contents(remote) != {"log": "1\n"}:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        _append(mirror, "log", "2\n")
        (remote / "tensorboard").mkdir()
        _append(mirror, "tensorboard/events", "e")
        _append(mirror, ".1.tmp", "half")
        local = mirror.local
    assert _contents(remote) == {"log": "1\n2\n", "tensorboard/events": "e"}
    assert not os.path.exists(local)


def test_a_file_of_an_earlier_run_is_continued(remote):
    with _mirror(remote) as mirror:
        (remote / "log").write_text("1\n")
        mirror.fetch("log", "metrics")
        before = os.stat(remote / "log").st_mtime_ns
        mirror.upload()
        assert os.stat(remote / "log").st_mtime_ns == before, "uploaded, though it is the same"
        _append(mirror, "log", "2\n")
    assert _contents(remote) == {"log": "1\n2\n"}


def test_what_was_renamed_comes_before_what_replaces_it(remote):
    with _mirror(remote) as mirror:
        _append(mirror, "model.npz", "old")
        os.rename(f"{mirror.local}/model.npz", f"{mirror.local}/model.z.npz")
        time.sleep(0.02)
        _append(mirror, "model.npz", "new")
    times = {name: os.stat(remote / name).st_mtime_ns for name in ("model.z.npz", "model.npz")}
    assert times["model.z.npz"] <= times["model.npz"]


def test_the_end_waits_for_a_folder_that_cannot_be_reached(remote):
    with _mirror(remote) as mirror:
        _append(mirror, "log", "1\n")
        os.rename(remote, remote.with_name("away"))
        remote.write_text("not a folder")

        def recover():
            os.unlink(remote)
            os.rename(remote.with_name("away"), remote)

        threading.Timer(0.3, recover).start()
    assert _contents(remote) == {"log": "1\n"}


def test_what_cannot_be_written_is_kept_and_its_place_named(remote, monkeypatch):
    def deny(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    mirror = _mirror(remote)
    with pytest.raises(OSError, match=r"cannot be written: .*Permission denied"), mirror:
        _append(mirror, "log", "1\n")
        monkeypatch.setattr(os, "replace", deny)
    with open(f"{mirror.local}/log") as file:
        assert file.read() == "1\n"


def test_a_file_that_is_gone_before_it_is_read_is_no_error(remote):
    with _mirror(remote) as mirror:
        os.symlink("nothing", f"{mirror.local}/listed")  # As a file that is removed meanwhile.
        _append(mirror, "log", "1\n")
        mirror.upload()
    assert _contents(remote) == {"log": "1\n"}


def test_an_interrupt_does_not_wait(remote):
    mirror = _mirror(remote)
    with pytest.raises(KeyboardInterrupt), mirror:
        _append(mirror, "log", "1\n")
        raise KeyboardInterrupt
    assert os.listdir(mirror.local) == ["log"]
