"""Durations, counts and tables."""

import pytest

from runtime.formatting import (
    format_count,
    format_duration,
    format_number,
    format_row,
    format_table,
    format_time,
    format_timestamp,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (950.0, "950"),
        (999.6, "1k"),
        (1234.0, "1.23k"),
        (45.6e6, "45.6M"),
        (2e9, "2G"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
    ],
)
def test_counts_have_three_digits(value, shown):
    assert format_count(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.25, "0.25 seconds"), (90, "1.5 minutes"), (3600, "1.0 hours"), (1e7, "2,777.8 hours")],
)
def test_durations_in_a_unit_that_suits_them(seconds, shown):
    assert format_duration(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(59.6, "0:01:00"), (3725, "1:02:05"), (90000, "25:00:00")]
)
def test_durations_to_the_second(seconds, shown):
    assert format_time(seconds) == shown


def test_values_are_aligned():
    assert format_row("steps", "50") == "steps            50"
    rows = [("steps", "50"), ("model", "./audio_model.npz"), ("", "small")]
    rule = "-" * 24
    expected = [rule, "steps  50", "model  ./audio_model.npz", "       small", rule]
    assert format_table(rows).split("\n") == expected
    path = "/long" * 30
    assert format_table([("log", path)]).split("\n") == ["-" * 80, f"log  {path}", "-" * 80]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00:00.000"),
        (65.25, "0:01:05.250"),
        (59.9996, "0:01:00.000"),
        (360000.5, "100:00:00.500"),
    ],
)
def test_timestamp(seconds, text):
    assert format_timestamp(seconds) == text


def test_number_and_noun():
    shown = [format_number(number, "file") for number in (0, 1, 2, 1200)]
    assert shown == ["0 files", "1 file", "2 files", "1,200 files"]
