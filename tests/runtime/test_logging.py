"""The log, on the console and in a file."""

import logging
import os
import re
import shutil
import sys

import pytest

from runtime import logging as run_log
from tests.runtime.test_appended_file import room_for


def test_console_is_plain_and_the_file_has_times(tmp_path, capsys):
    path = tmp_path / "model_training.log"
    logger = run_log.start_logging(str(path))
    logger.info("step %d", 1)
    logger.warning("careful")
    assert capsys.readouterr().err == "step 1\nwarning: careful\n"
    lines = path.read_text().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO step 1", lines[0])
    assert lines[1].endswith(" WARNING careful")


def test_colour_is_for_the_terminal_alone(tmp_path, capsys, monkeypatch):
    path = tmp_path / "t.log"
    logger = run_log.start_logging(str(path))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    for name in ("CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    logger.warning("careful")
    logger.error("no")
    expected = "\x1b[33mwarning:\x1b[0m careful\n\x1b[1;31merror:\x1b[0m no\n"
    assert capsys.readouterr().err == expected
    assert "\x1b" not in path.read_text()


def test_starting_again_appends_and_does_not_double(tmp_path, capsys):
    path = tmp_path / "t.log"
    for _ in range(2):
        run_log.start_logging(str(path)).info("hello")
    assert capsys.readouterr().err == "hello\nhello\n"
    assert len(path.read_text().splitlines()) == 2


def test_no_log_file_is_a_warning(tmp_path, capsys):
    logger = run_log.start_logging(str(tmp_path / "missing" / "t.log"))
    logger.info("on")
    warning, line = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: ") and "missing/t.log" in warning
    assert line == "on"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_disk_that_stays_full_is_one_warning(capsys):
    logger = run_log.start_logging("/dev/full")
    logger.info("one")
    logger.info("two")
    one, warning, two = capsys.readouterr().err.splitlines()
    assert (one, two) == ("one", "two")
    assert warning.startswith("warning: /dev/full: ") and "its lines wait" in warning


def test_lines_of_a_full_disk_are_written_later(tmp_path, capsys):
    path = tmp_path / "t.log"
    logger = run_log.start_logging(str(path))
    for number in range(2):
        logger.info("before %d", number)
        with room_for(path.stat().st_size + 5):
            logger.info("one %d", number)
            logger.info("two %d", number)
    logger.info("after")
    lines = [re.sub(r"^\S+ \S+ ", "", line) for line in path.read_text().splitlines()]
    waits = f"WARNING {path}: No space left on device: its lines wait in memory"
    expected = []
    for number in range(2):
        expected += [f"INFO before {number}", f"INFO one {number}", waits, f"INFO two {number}"]
    assert lines == [*expected, "INFO after"]
    assert capsys.readouterr().err.count("warning: ") == 2


def test_a_log_whose_folder_is_removed_is_made_anew(tmp_path):
    path = tmp_path / "out" / "t.log"
    path.parent.mkdir()
    logger = run_log.start_logging(str(path))
    logger.info("one")
    shutil.rmtree(path.parent)
    logger.info("two")
    text = path.read_text()
    assert [word in text for word in ("one", "two", "removed during the run")] == [True] * 3
    assert text.count("\n") == 3


@pytest.mark.parametrize(
    ("name", "shown"), [("\udcff", r"\xff"), ("\udcc3\udcb6", "ö"), ("ö\ud800", r"ö\ud800")]
)
def test_names_that_are_not_utf8_are_logged(tmp_path, capsys, name, shown):
    run_log.start_logging(str(tmp_path / "t.log")).info(name)
    assert capsys.readouterr().err == f"{shown}\n"
    assert (tmp_path / "t.log").read_text(encoding="utf-8").endswith(f" {shown}\n")


def test_a_warning_of_a_key_is_logged_once(capsys):
    run_log.start_logging(None)
    for path, reason in (("a.wav", "gone"), ("a.wav", "still gone"), ("b.wav", "gone")):
        run_log.log_once(f"test: {path}", "%s: %s", path, reason)
    assert capsys.readouterr().err == "warning: a.wav: gone\nwarning: b.wav: gone\n"


def test_the_logger_is_the_one_the_writers_use():
    assert run_log.start_logging(None) is logging.getLogger("wavestream")
