"""The report: every figure of the page is in report.json, and it stands on its own."""

import dataclasses
import html.parser
import json
import os
import re

import pytest

from evaluation.report.figures import figures
from evaluation.report.formatting import find
from evaluation.report.write import write_report
from tests.evaluation.report.made_up import evaluation, without

# Words, not figures: the rules, and the names of settings.
OWN_WORDS = {"rules", "settings"}
NOT_TEXT = {"style", "svg"}
VOID = {"meta", "br", "link", "img", "input", "hr"}


class _Page(html.parser.HTMLParser):
    """The figures of a page, and its text outside of them."""

    def __init__(self, text):
        super().__init__()
        self.figures = []  # of (path, text)
        self.text = ""
        self.addresses = []
        self.tags = set()
        self._open = []  # of (tag, attributes)
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attributes):
        attrs = dict(attributes)
        self.tags.add(tag)
        self.addresses += [value for key, value in attributes if key.split(":")[-1] in _LINKS]
        if tag not in VOID:
            self._open.append((tag, attrs))
        if "data-figure" in attrs:
            self.figures.append((attrs["data-figure"], ""))

    def handle_startendtag(self, tag, attributes):
        self.addresses += [value for key, value in attributes if key.split(":")[-1] in _LINKS]

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        if any("data-figure" in attrs for _, attrs in self._open):
            path, shown = self.figures[-1]
            self.figures[-1] = path, shown + data
        elif not any(
            tag in NOT_TEXT or attrs.get("class") in OWN_WORDS for tag, attrs in self._open
        ):
            self.text += data


_LINKS = {"href", "src"}


def _write(found, folder):
    path = write_report(figures(found), folder)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(os.path.join(folder, "report.json"), encoding="utf-8") as file:
        return text, json.load(file)


def _agrees(shown, value):
    """Whether a text is what a value reads, to the last digit that is shown."""
    if value is None:
        return shown == "\N{EN DASH}"
    if isinstance(value, str):
        return shown == "".join(x if x.isprintable() else repr(x)[1:-1] for x in value)
    if isinstance(value, bool | list):
        return shown == (", ".join(value) if isinstance(value, list) else str(value).lower())
    number = shown.removesuffix(" s").replace(",", "").replace("\N{MINUS SIGN}", "-")
    scale = 0.01 if number.endswith("%") else 1
    digits = number.rstrip("%").partition(".")[2]
    read = scale * float(number.rstrip("%"))
    size = abs(value) if scale != 1 else value  # of shares, the size: a word says whose it is
    return abs(read - size) <= 0.5001 * scale * 10 ** -len(digits)


CASES = {
    "usual": evaluation(13),
    "one file": evaluation(1, raw_bits=16),
    "many files": evaluation(60, hard=0.28),
    "no codec": evaluation(3, codecs=(), model_bytes=0, skipped=(), settings={}),
    "one codec": evaluation(2, codecs=("FLAC -8",), chunked=False, native=False),
}
CASES["not all files"] = dataclasses.replace(
    CASES["usual"],
    codecs=(
        without(CASES["usual"].codecs[0], [3]),
        without(CASES["usual"].codecs[1], list(range(13)), "it is not on the PATH"),
        *CASES["usual"].codecs[2:],
    ),
)


@pytest.mark.parametrize("case", CASES)
def test_every_figure_of_the_page_is_in_the_json(case, tmp_path):
    text, figures = _write(CASES[case], tmp_path)
    page = _Page(text)
    assert len(page.figures) > 10
    for path, shown in page.figures:
        assert _agrees(shown, find(figures, path)), (path, shown, find(figures, path))
    assert not re.search(r"\d", page.text.replace("order-0", "")), page.text


def test_a_wrong_figure_would_be_seen():
    assert _agrees("2.069", 2.06894) and not _agrees("2.068", 2.06894)
    assert _agrees("12%", -0.1196) and not _agrees("12%", -0.131)
    assert _agrees("\N{EN DASH}", None) and not _agrees("0.000", None)


def test_it_stands_on_its_own(tmp_path):
    text, _ = _write(CASES["many files"], tmp_path)
    page = _Page(text)
    assert {"svg", "style", "table"} <= page.tags
    assert not {"link", "script", "iframe", "object"} & page.tags
    assert page.addresses and all(x.startswith(("#", "data:")) for x in page.addresses)
    assert not re.search(r"@import|url\((?!#)", text)


def test_the_parts_a_reader_looks_for(tmp_path):
    text, figures = _write(CASES["not all files"], tmp_path)
    page = _Page(text)
    shown = dict(page.figures)
    assert text.count("<svg") == text.count("<figcaption>") == 4
    for part in ("Rules", "Settings", "Skipped files", "under other rules", "Model and codecs"):
        assert part in page.text or f"<h2>{part}</h2>" in text
    assert shown["skipped.files.0.reason"] == figures["skipped"]["files"][0]["reason"]
    assert shown["settings.pipeline.chunk_size"] == "2048"
    assert "it is not on the PATH" in shown.values()
    assert figures["settings"] == CASES["usual"].settings


def test_names_from_outside_are_escaped(tmp_path):
    odd = '<script>alert("&amp;")</script>\n\udcff\u202e.wav'
    names = (odd, *CASES["usual"].names[1:])
    codec = dataclasses.replace(CASES["usual"].codecs[0], codec=odd, remark=odd, version=odd)
    skipped = (CASES["usual"].skipped[0]._replace(path=odd, reason=odd),)
    found = dataclasses.replace(
        CASES["usual"],
        names=names,
        codecs=(codec,),
        skipped=skipped,
        settings={"model": odd, "split": odd, odd: 3, "folders": [odd]},
    )
    text, figures = _write(found, tmp_path)
    page = _Page(text)
    assert "script" not in page.tags
    shown = dict(page.figures)
    escaped = '<script>alert("&amp;")</script>\\n\\udcff\\u202e.wav'
    assert shown["per_file.names.0"] == shown["skipped.files.0.path"] == escaped
    assert shown["settings.model"] == shown["settings.folders"] == escaped
    assert figures["per_file"]["names"][0] == odd
    for character in "\udcff\u202e":
        assert character not in text


def test_a_report_is_replaced_as_a_whole(tmp_path, monkeypatch):
    folder = tmp_path / "a" / "b"
    write_report(figures(CASES["one file"]), folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sorted(before) == ["report.html", "report.json"]

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        write_report(figures(CASES["usual"]), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
