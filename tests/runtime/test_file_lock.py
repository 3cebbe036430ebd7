"""Two processes never write the same files."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from runtime.errors import ConfigError, TrainingError
from runtime.file_lock import FileLock
from tests.command_line import ROOT

HOLDS = """
import sys, time
from runtime.file_lock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "out" / "m.lock")


@pytest.fixture
def holder(path):
    os.makedirs(os.path.dirname(path))
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, path], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_is_told_who_holds_it_and_a_killed_one_does_not(path, holder):
    who = f"process {holder.pid} on {re.escape(socket.gethostname())}, since "
    with pytest.raises(ConfigError, match=rf"m\.lock is held by {who}\d{{4}}-\d\d-\d\d \d\d:"):
        FileLock(path)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with FileLock(path):
        assert f"process {os.getpid()} on" in pathlib.Path(path).read_text()
    assert not os.path.exists(path)


def test_it_is_released_after_an_error(tmp_path):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), FileLock(str(tmp_path / "l")):
            raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_removed_is_made_anew_and_held(path, caplog):
    os.makedirs(os.path.dirname(path))
    with FileLock(path) as lock:
        lock.check()
        shutil.rmtree(os.path.dirname(path))
        lock.check()
        lock.check()
        with pytest.raises(ConfigError, match=f"held by process {os.getpid()}"):
            FileLock(path)
    (message,) = caplog.messages
    assert "was removed during the run" in message


def test_a_folder_that_another_has_taken_is_left_to_it(path):
    os.makedirs(os.path.dirname(path))
    with FileLock(path) as first:
        shutil.rmtree(os.path.dirname(path))
        os.makedirs(os.path.dirname(path))
        # The holder's name would be that of this process, too.
        with FileLock(path) as second:
            with open(path, "w") as file:
                file.write("process 1 on elsewhere")
            with pytest.raises(TrainingError, match="held by process 1 on elsewhere"):
                first.check()
            second.check()
    assert not os.path.exists(path)


def test_a_file_system_without_locks_is_a_warning(path, monkeypatch, caplog):
    os.makedirs(os.path.dirname(path))

    def fails(descriptor, operation):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", fails)
    with FileLock(path), FileLock(path):
        assert len(caplog.messages) == 2
    assert "no locks (Operation not supported)" in caplog.messages[0]
