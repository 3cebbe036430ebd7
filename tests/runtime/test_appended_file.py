"""Records are whole, in order, and outlive a full disk and a folder that is removed."""

import contextlib
import os
import resource
import shutil
import signal

import pytest

from runtime.appended_file import AppendedFile


@contextlib.contextmanager
def room_for(size):
    """No file can grow beyond a size, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_a_full_disk_does_not_take_is_written_later_in_order(tmp_path):
    path = tmp_path / "f"
    file = AppendedFile(path)
    with room_for(10):
        file.append(b"one\n")
        for record in (b"two of them\n", b"three\n"):
            with pytest.raises(OSError, match="No space left"):
                file.append(record)
            assert path.read_bytes() == b"one\n"
        with pytest.raises(OSError, match=r"No space left|File too large"):
            file.position()
    file.append(b"four\n")
    file.close()
    assert path.read_bytes() == b"one\ntwo of them\nthree\nfour\n"


def test_what_waits_is_written_at_the_end_or_is_an_error(tmp_path):
    for name in ("a", "b"):
        file = AppendedFile(tmp_path / name)
        with room_for(2):
            with pytest.raises(OSError, match="No space left"):
                file.append(b"one\n")
            if name == "b":
                with pytest.raises(OSError, match="No space left"):
                    file.close()
        if name == "a":
            file.close()
    assert (tmp_path / "a").read_bytes() == b"one\n"
    assert (tmp_path / "b").read_bytes() == b""


def test_a_signal_handler_may_append_while_a_record_is_written(tmp_path, monkeypatch):
    file, write = AppendedFile(tmp_path / "f"), os.write

    def interrupted(descriptor, record):
        written = write(descriptor, record)
        if record == b"one\n":
            signal.raise_signal(signal.SIGUSR1)
        return written

    before = signal.signal(signal.SIGUSR1, lambda *_: file.append(b"SIGUSR1\n"))
    monkeypatch.setattr(os, "write", interrupted)
    try:
        file.append(b"one\n")
    finally:
        signal.signal(signal.SIGUSR1, before)
    file.append(b"two\n")
    file.close()
    assert (tmp_path / "f").read_bytes() == b"one\nSIGUSR1\ntwo\n"


def test_what_waits_is_bounded(tmp_path):
    file = AppendedFile(tmp_path / "f", max_waiting_bytes=10)
    with room_for(0):
        for number in range(9):
            with contextlib.suppress(OSError):
                file.append(b"%d\n\n\n" % number)
    file.close()
    assert (tmp_path / "f").read_bytes() == b"7\n\n\n8\n\n\n"


def test_a_folder_that_is_removed_is_made_anew_with_all_of_it(tmp_path, caplog):
    path = tmp_path / "a" / "b" / "f"
    path.parent.mkdir(parents=True)
    file = AppendedFile(path)
    file.append(b"one\n")
    position = file.position()
    shutil.rmtree(tmp_path / "a")
    file.append(b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"
    file.append(b"three\n")
    file.truncate(*position)
    file.close()
    assert path.read_bytes() == b"one\n"
    assert caplog.messages == [f"{path} was removed during the run, and is made anew"]


def test_a_file_that_was_replaced_is_gone_on_with(tmp_path, caplog):
    path = tmp_path / "f"
    file = AppendedFile(path)
    file.append(b"one\n")
    (tmp_path / "edited").write_bytes(b"first\n")
    os.replace(tmp_path / "edited", path)
    file.append(b"two\n")
    size, digest = file.position()
    file.close()
    assert path.read_bytes() == b"first\ntwo\n"
    assert (size, digest) == AppendedFile(path).position()
    assert not caplog.messages


def test_a_position_reads_only_what_is_new(tmp_path, monkeypatch):
    """Each checkpoint of a long run asks for one."""
    file = AppendedFile(tmp_path / "f")
    read = 0
    pread = os.pread

    def counted(descriptor, size, offset):
        nonlocal read
        block = pread(descriptor, size, offset)
        read += len(block)
        return block

    monkeypatch.setattr(os, "pread", counted)
    for _ in range(50):
        file.append(b"x" * 1000)
        file.position()
    assert read == 50_000
    first = AppendedFile(tmp_path / "f").position()
    assert file.position() == first
    with pytest.raises(ValueError, match="changed by someone else"):
        file.truncate(1000, first[1])
