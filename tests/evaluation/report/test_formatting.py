"""How figures and names read."""

import hypothesis
import pytest
from hypothesis import strategies as st

from evaluation.report.formatting import Shown, find, plain, printable, show


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (2.06894, "rate", "2.069"),
        (1234.5, "rate", "1,234"),
        (1.756, "bound", "1.76"),
        (-0.12345, "difference", "\N{MINUS SIGN}0.123"),
        (0.12345, "difference", "+0.123"),
        (0.2586, "ratio", "25.9%"),
        (-0.1196, "share", "12%"),
        (0.0312, "share", "3.1%"),
        (-0.00312, "share", "0.31%"),
        (0.0995, "share", "10%"),
        (81920, "count", "81,920"),
        (83.2, "seconds", "83 s"),
        (1.26, "seconds", "1.3 s"),
        (None, "rate", "\N{EN DASH}"),
        ("a\nb", "text", "a\\nb"),
        (["/a", "/b c"], "setting", "/a, /b c"),
        (True, "setting", "true"),
        (None, "setting", "\N{EN DASH}"),
        ([1, 2], "setting", "[1, 2]"),
    ],
)
def test_a_figure(value, kind, text):
    assert show({"x": value}, Shown("x", kind)) == text


def test_a_text_with_figures():
    content = {"codecs": [{"codec": "FLAC -8", "files": 1200}]}
    text = [Shown("codecs.0.codec", "text"), " took ", Shown("codecs.0.files", "count")]
    assert plain(content, text) == "FLAC -8 took 1,200"


def test_paths():
    content = {"a": {"b.c": [5, {"d": 6}], "b": {"c": 7}}, "n": None}
    assert find(content, "a.b.c.0") == 5
    assert find(content, "a.b.c.1.d") == 6
    assert find(content, "a.b") == {"c": 7}
    assert find(content, "n") is None
    for missing in ("x", "a.x", "n.x"):
        with pytest.raises(KeyError, match=missing):
            find(content, missing)


@hypothesis.given(st.text())
def test_printable_is_one_line_that_can_be_written(text):
    shown = printable(text)
    assert shown.isprintable()
    shown.encode()
    assert shown == text or not text.isprintable()
