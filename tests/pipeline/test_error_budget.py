"""When skipped files are too many, and that each is logged once."""

import pytest

from pipeline.catalogue.catalogue import Skipped
from pipeline.error_budget import ErrorBudget

BROKEN = Skipped("/a.wav", "the file is empty")


def test_files_are_logged_and_counted_once(caplog):
    budget = ErrorBudget(4, [BROKEN], strict=False, max_fraction=0.5)
    assert "1 of 4 files skipped: '/a.wav' (the file is empty)" in caplog.text
    for _ in range(2):
        budget.add("/b.wav", "No such file")
    assert caplog.text.count("'/b.wav' skipped, it can no longer be read: No such file") == 1
    budget.merge([BROKEN])
    assert budget.skipped == (BROKEN, ("/b.wav", "No such file"))
    assert budget.exceeded() is None


def test_more_than_the_share_is_too_many():
    budget = ErrorBudget(4, [BROKEN], strict=False, max_fraction=0.5)
    budget.add("/b.wav", "No such file")
    budget.merge([Skipped("/c.wav", "No such file")])
    reason = budget.exceeded()
    assert reason is not None
    assert reason.startswith("3 of 4 files cannot be used, more than --max_skipped_fraction=0.5: ")
    assert "'/b.wav' and 1 more (No such file)" in reason


@pytest.mark.parametrize(("skipped", "is_exceeded"), [((), False), ((BROKEN,), True)])
def test_strict_allows_none(skipped, is_exceeded):
    reason = ErrorBudget(4, skipped, strict=True, max_fraction=1.0).exceeded()
    expected = "'/a.wav' cannot be used (the file is empty), and --strict allows no skipped file"
    assert reason == (expected if is_exceeded else None)
