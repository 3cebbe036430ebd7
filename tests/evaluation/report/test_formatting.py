"""How figures and names read."""

import hypothesis
import pytest
from hypothesis import strategies as st

from evaluation.report import formatting
from evaluation.report.formatting import printable


@pytest.mark.parametrize(
    ("value", "style", "text"),
    [
        (2.06894, "bits", "2.069"),
        (1234.5, "bits", "1,234"),
        (1.756, "bound", "1.76"),
        (-0.12345, "difference", "\N{MINUS SIGN}0.123"),
        (0.12345, "difference", "+0.123"),
        (0.2586, "ratio", "25.9%"),
        (-0.1196, "share", "12%"),
        (0.0312, "share", "3.1%"),
        (-0.00312, "share", "0.31%"),
        (0.0995, "share", "10%"),
        (83.2, "seconds", "83 s"),
        (1.26, "seconds", "1.3 s"),
        (None, "bits", "\N{EN DASH}"),
        (None, "ratio", "\N{EN DASH}"),
        ("a\nb", "setting", "a\\nb"),
        (["/a", "/b c"], "setting", "/a, /b c"),
        (True, "setting", "true"),
        (None, "setting", "\N{EN DASH}"),
        ([1, 2], "setting", "[1, 2]"),
    ],
)
def test_a_figure(value, style, text):
    assert getattr(formatting, style)(value) == text


@hypothesis.given(st.text())
def test_printable_is_one_line_that_can_be_written(text):
    shown = printable(text)
    assert shown.isprintable()
    shown.encode()
    assert shown == text or not text.isprintable()
