"""Byte ranges are read whole or not at all, and one file harms no other."""

import os

import numpy as np
import pytest
import tensorflow as tf

from pipeline.reading.byte_ranges import read_ranges

pytestmark = pytest.mark.both_stacks

CONTENT = bytes(range(1, 256))


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a\udcff.wav"  # Not UTF-8.
    path.write_bytes(CONTENT)
    return str(path)


def read(path, begins, lengths, slot_bytes, on_unreadable=pytest.fail, size=255, mtime_ns=None):
    """Reads ranges of one file, of which `size` and `mtime_ns` were catalogued."""
    if mtime_ns is None:
        mtime_ns = os.stat(path).st_mtime_ns
    count = len(begins)
    return read_ranges(
        np.array([os.fsencode(path)] * count, object),
        np.array(begins, np.int64),
        np.array(lengths, np.int64),
        np.array(slot_bytes, np.int64),
        np.full(count, size, np.int64),
        np.full(count, mtime_ns, np.int64),
        on_unreadable,
    )


def test_each_range_is_read_to_the_start_of_its_room(path):
    buffer, ok = read(path, [0, 200, 255, 7], [3, 55, 0, 1], [5, 55, 2, 1])
    expected = CONTENT[:3] + bytes(2) + CONTENT[200:] + bytes(2) + CONTENT[7:8]
    assert buffer.tobytes() == expected
    assert ok.tolist() == [True] * 4


def test_a_short_read_goes_on(path, monkeypatch):
    preadv = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, views, at: preadv(fd, [views[0][:10]], at))
    buffer, _ = read(path, [5], [100], [100])
    assert buffer.tobytes() == CONTENT[5:105]


@pytest.mark.parametrize(
    ("catalogued", "reason"),
    [({"size": 254}, "changed"), ({"size": 256}, "changed"), ({"mtime_ns": 1}, "changed")],
)
def test_a_file_that_changed_is_not_read(path, catalogued, reason):
    reports = []
    buffer, ok = read(
        path, [0, 5], [3, 4], [3, 5], lambda *report: reports.append(report), **catalogued
    )
    assert not ok.any()
    assert not buffer.any()
    assert len(buffer) == 8
    assert [reported for reported, _ in reports] == [path, path]
    assert all(reason in text for _, text in reports)


def test_a_file_that_is_cut_while_it_is_read_leaves_nothing_behind(path):
    # Its size is as catalogued; here the range is behind the end all the same.
    reports = []
    buffer, ok = read(path, [250, 0], [10, 2], [10, 2], lambda *report: reports.append(report))
    assert ok.tolist() == [False, True]
    assert buffer.tobytes() == bytes(10) + CONTENT[:2]
    assert reports == [(path, "it ends before its size")]


@pytest.mark.parametrize("make", [lambda path: None, os.mkdir])
def test_a_file_that_is_gone_harms_no_other(path, tmp_path, make):
    other = str(tmp_path / "other.wav")
    make(other)
    status = os.stat(path)
    reports = []
    buffer, ok = read_ranges(
        np.array([os.fsencode(name) for name in (path, other, path)], object),
        *(np.array(column, np.int64) for column in ([0, 0, 9], [2, 2, 2], [2, 2, 2])),
        np.full(3, status.st_size, np.int64),
        np.full(3, status.st_mtime_ns, np.int64),
        lambda *report: reports.append(report),
    )
    assert ok.tolist() == [True, False, True]
    assert buffer.tobytes() == CONTENT[:2] + bytes(2) + CONTENT[9:11]
    ((reported, reason),) = reports
    assert reported == other
    assert reason


def test_no_file_stays_open(path, monkeypatch):
    closed = []
    close = os.close
    monkeypatch.setattr(
        os, "close", lambda descriptor: (closed.append(descriptor), close(descriptor))
    )
    for size in (255, 254):  # Well, and changed.
        read(path, [0, 1], [5, 5], [5, 5], lambda *report: None, size=size)
    assert len(closed) == 4


def test_remote_files():
    with tf.io.gfile.GFile("ram://ranges.wav", "wb") as file:
        file.write(CONTENT)
    reports = []
    buffer, ok = read(
        "ram://ranges.wav", [3, 250], [4, 10], [5, 10], lambda *r: reports.append(r), mtime_ns=0
    )
    assert ok.tolist() == [True, False]
    assert buffer.tobytes() == CONTENT[3:7] + bytes(11)
    assert reports == [("ram://ranges.wav", "it ends after 255 bytes, expected more")]
    reports.clear()
    _, ok = read("ram://missing.wav", [0], [1], [1], lambda *r: reports.append(r), mtime_ns=0)
    assert not ok.any()
    assert reports[0][0] == "ram://missing.wav"
