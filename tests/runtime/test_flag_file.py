"""Flag files as people write them, and values as they come back from one that a run has written."""

import codecs
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import ConfigError
from runtime.flag_file import expand_flag_files, format_flag_file, read_flag_file
from tests.strange_names import STRANGE_NAMES

SPACES = ["\n", "\r", "\x85", "\u2028", "\xa0", "\x1c", "\x0b", '"', "\\", "\u00e9", "\U0001d11e"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return str(tmp_path_factory.mktemp("flags") / "f.flags")


def _read(path, content):
    with open(path, "wb") as file:
        file.write(content)
    return read_flag_file(path)


@given(
    st.lists(
        st.text(
            st.one_of(
                st.sampled_from(SPACES), st.characters(codec="utf-8", exclude_characters="\0")
            )
        )
    )
)
def test_values_come_back(path, values):
    flags = [f"--name={value}" for value in [*values, *STRANGE_NAMES]]
    assert _read(path, os.fsencode(format_flag_file(flags))) == flags


def test_what_people_write(path):
    text = "\ufeff# é\r\n\r\n  --a=1  \r\n// no\r\n--b='x y'\r\n\"--c= \\u0020\"\n"
    assert _read(path, text.encode()) == ["--a=1", "--b='x y'", "--c=  "]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (codecs.BOM_UTF16_LE + "--a=1".encode("utf-16-le"), "it is UTF-16: expected UTF-8"),
        ("--a=1".encode("utf-16-be"), "not a text file: expected one flag a line"),
        (b"\x7fELF\x02\0\0", "not a text file"),
        (b'"--a', 'f.flags: "--a: expected a JSON string'),
        (b'"--a" --b', "expected a JSON string"),
        (b'"1', "expected a JSON string"),
    ],
)
def test_what_is_no_flag_file_is_named(path, content, message):
    with pytest.raises(ConfigError, match="flags") as error:
        _read(path, content)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_files_that_cannot_be_read(tmp_path):
    for name, reason in (("none", "No such file or directory"), (".", "Is a directory")):
        with pytest.raises(ConfigError, match=f"^--flagfile={tmp_path}/{name}: {reason}$"):
            read_flag_file(f"{tmp_path}/{name}")


def test_files_within_files(tmp_path):
    (tmp_path / "a").write_text(f"--x=1\n--flagfile={tmp_path}/b\n--y=2\n")
    (tmp_path / "b").write_text("--z=3\n")
    inner = ["--x=1", "--z=3", "--y=2"]
    for given_as in ([f"--flagfile={tmp_path}/a"], ["-flagfile", f"{tmp_path}/a"]):
        assert expand_flag_files(["-q", *given_as, "end"]) == ["-q", *inner, "end"]
    untouched = ["--", "--flagfile=none"]
    assert expand_flag_files(untouched) == untouched
    (tmp_path / "b").write_text(f"--flagfile={tmp_path}/a\n")
    with pytest.raises(ConfigError, match="includes itself"):
        expand_flag_files([f"--flagfile={tmp_path}/a"])
    with pytest.raises(ConfigError, match="--flagfile is empty"):
        expand_flag_files(["--flagfile"])
