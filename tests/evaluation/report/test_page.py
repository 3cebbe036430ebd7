"""The report: every number of the page is in report.json, and it stands on its own."""

import dataclasses
import functools
import html.parser
import json
import os
import re

import numpy as np
import pytest

from evaluation.report.compute_summary import summarize
from evaluation.report.page import render, write_report
from evaluation.report.tables import format_table
from evaluation.results import Noted
from tests.evaluation.report.made_up import evaluation, without

VOID = {"meta", "br", "link", "img", "input", "hr"}
ADDRESSES = {"href", "src"}
DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
ODD = '<script>alert("&amp;")</script>\n\udcff\u202e.wav'
ODD_SHOWN = '<script>alert("&amp;")</script>\\n\\udcff\\u202e.wav'


class Page(html.parser.HTMLParser):
    """The texts of a page, its tables by their headings, and its lists of terms."""

    def __init__(self, text):
        super().__init__()
        self.texts = []  # but for pictures, style and rules
        self.tables = {}
        self.terms = {}
        self.addresses = []
        self.tags = set()
        self._open = []  # of (tag, class)
        self._heading = self._term = ""
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append((tag, dict(attrs).get("class")))
        if tag == "table":
            self._rows = self.tables.setdefault(self._heading, [])
        if tag == "tr":
            self._rows.append([])
        if tag in ("th", "td"):
            self._rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.addresses += [value for name, value in attrs if name.split(":")[-1] in ADDRESSES]

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        where = {part for pair in self._open for part in pair}
        if data.strip() and not where & {"style", "svg", "rules", "title"}:
            self.texts.append(data)
            tag = self._open[-1][0]
            if tag in ("th", "td"):
                self._rows[-1][-1] += data
            if tag == "h2":
                self._heading = data
            if tag == "dt":
                self._term = data
            if tag == "dd":
                self.terms[self._term] = data


def _write(found, folder):
    path = write_report(summarize(found), folder)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(os.path.join(folder, "report.json"), encoding="utf-8") as file:
        return Page(text), json.load(file), text


def _agrees(shown, value):
    """Whether a text is what a number reads, to the last digit that is shown."""
    if value is None:
        return shown in (DASH, "")
    number = shown.removesuffix(" s").replace(",", "").replace(MINUS, "-")
    scale = 0.01 if number.endswith("%") else 1
    digits = number.rstrip("%").partition(".")[2]
    return abs(scale * float(number.rstrip("%")) - value) <= 0.5001 * scale * 10 ** -len(digits)


def _leaves(value):
    """All numbers and texts in a JSON value; the names of an object are texts."""
    if isinstance(value, dict):
        return [leaf for pair in value.items() for part in pair for leaf in _leaves(part)]
    if isinstance(value, list):
        return [leaf for part in value for leaf in _leaves(part)]
    return [value]


CASES = {
    "usual": evaluation(13),
    "one file": evaluation(1, depth=16),
    "many files": evaluation(60, hard=0.28),
    "no codec": evaluation(3, codecs=(), model_bytes=0, skipped=(), settings={}),
    "one codec": evaluation(2, codecs=("FLAC -8",), chunked=False, native=False),
}
_flac = CASES["one codec"].codecs[0]
CASES["files as they are"] = dataclasses.replace(
    CASES["one codec"],
    native=(dataclasses.replace(_flac, bits=3 * _flac.bits, depth=np.array([16, 24])),),
    compressed=dataclasses.replace(_flac, bits=2 * _flac.bits, depth=np.array([16, 24])),
)
CASES["not all files"] = dataclasses.replace(
    CASES["usual"],
    codecs=(
        without(CASES["usual"].codecs[0], [3]),
        without(CASES["usual"].codecs[1], list(range(13)), "it is not on the PATH"),
        *CASES["usual"].codecs[2:],
    ),
)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The page, the JSON and the HTML of a case, each written once: its plots take seconds."""
    return functools.cache(lambda case: _write(CASES[case], tmp_path_factory.mktemp("report")))


@pytest.mark.parametrize("case", CASES)
def test_every_number_of_the_page_is_in_the_json(case, written):
    page, content, _ = written(case)
    leaves = _leaves(content)
    names = {leaf for leaf in leaves if isinstance(leaf, str)} | {"order-0 entropy"}
    own = [len(content["names"]), len(content["skipped"])]
    numbers = [leaf for leaf in leaves if type(leaf) in (int, float)] + own
    numbers += [abs(number) for number in numbers]  # "12% fewer"
    found = 0
    for text in page.texts:
        for name in sorted(names, key=len, reverse=True):
            text = text.replace(name, "") if re.search(r"\d", name) else text
        for shown in re.findall(rf"[+{MINUS}]?\d[\d,]*(?:\.\d+)?%?", text):
            found += 1
            assert any(_agrees(shown.rstrip(","), number) for number in numbers), (shown, text)
    assert found > 10


def _part(part, name):
    return lambda coder: (coder[part] or {}).get(name)


CELLS = {
    "bits per sample": _part("cost", "bits_per_sample"),
    "of 8 bits": _part("cost", "ratio"),
    "of 16 bits": _part("cost", "ratio"),
    "model minus codec": _part("against_model", "difference"),
    "with container": _part("cost", "with_container"),
    "chunk alone": _part("chunked", "bits_per_sample"),
    "native": _part("native", "bits_per_sample"),
    "native file": _part("native", "with_container"),
    "of native bits": _part("native", "ratio"),
    "of raw bits": _part("cost", "ratio"),
    "as read": _part("as_read", "bits_per_sample"),
    "model counted": lambda coder: coder["with_model"],
}
INTERVALS = {
    "95% interval": lambda coder: coder["interval"],
    "its interval": _part("against_model", "interval"),
}


@pytest.mark.parametrize("case", CASES)
def test_every_cell_is_what_the_json_says(case, written):
    page, content, _ = written(case)
    tables = [page.tables["Model and codecs"]]
    tables += [rows for name, rows in page.tables.items() if "other rules" in name]
    for (_, *headers), *rows in tables:
        for name, *cells in rows:
            coder = next(x for x in content["coders"] if x["name"] == name.rstrip("†‡"))
            for header, cell in zip(headers, cells, strict=True):
                if header in INTERVALS:
                    bounds = INTERVALS[header](coder)
                    shown = [bounds["low"], bounds["high"]] if bounds else [None]
                    pairs = zip(cell.split(" to "), shown, strict=True)
                    assert all(_agrees(text, bound) for text, bound in pairs), (name, header)
                else:
                    assert _agrees(cell, CELLS[header](coder)), (name, header, cell)
    kinds = ("model", "codec") if content["native"] else ("model", "codec", "order0")
    names = [x["name"] for x in content["coders"] if x["kind"] in kinds]
    assert [row[0].rstrip("†‡") for row in tables[0][1:]] == names


def test_a_wrong_figure_would_be_seen():
    assert _agrees("2.069", 2.06894) and not _agrees("2.068", 2.06894)
    assert _agrees("12%", 0.1196) and not _agrees("12%", 0.131)
    assert _agrees(DASH, None) and not _agrees("0.000", None)


@pytest.mark.parametrize(("case", "count"), [("not all files", 12), ("many files", 20)])
def test_files_where_the_model_is_best_and_worst(case, count, written):
    page, content, _ = written(case)
    tables = [rows for name, rows in page.tables.items() if name.startswith("Files, ")]
    flac = next(coder for coder in content["coders"] if coder["name"] == "FLAC -8")
    model = next(coder for coder in content["coders"] if coder["kind"] == "model")
    shown = []
    for header, *rows in tables:
        assert header == ["", "samples", "model", "FLAC -8", "model minus codec"]
        for name, *cells in rows:
            i = content["names"].index(name)
            expected = [content["samples"], model["cost"]["per_file"]]
            expected += [flac["cost"]["per_file"], flac["against_model"]["per_file"]]
            assert all(_agrees(*pair) for pair in zip(cells, (x[i] for x in expected), strict=True))
            shown.append(expected[-1][i])
    assert len(shown) == count and shown[0] == min(shown)
    known = [x for x in flac["against_model"]["per_file"] if x is not None]
    assert {min(known), max(known)} <= set(shown)


def test_it_stands_on_its_own(written):
    page, _, text = written("many files")
    assert {"svg", "style", "table"} <= page.tags
    assert not {"link", "script", "iframe", "object"} & page.tags
    assert page.addresses and all(x.startswith(("#", "data:")) for x in page.addresses)
    assert not re.search(r"@import|url\((?!#)", text)
    assert "@media print" in text and "{{" not in text and "{%" not in text


def test_the_parts_a_reader_looks_for(written):
    page, content, text = written("not all files")
    assert text.count("<svg") == text.count("<figcaption>") == 4
    for part in ("Rules", "Settings", "Skipped files", "Under other rules", "Model and codecs"):
        assert re.search(f"<h2>.*{part}", text)
    model = next(coder["cost"] for coder in content["coders"] if coder["kind"] == "model")
    assert page.terms["files"] == "13" and page.terms["samples"] == f"{model['samples']:,}"
    assert page.terms["of 8 bits"] == f"{model['ratio']:.1%}"
    assert page.terms["bits per sample, mean over files"] == f"{model['mean_over_files']:.3f}"
    skipped = content["skipped"][0]
    assert page.tables["Skipped files"][1:] == [[skipped["path"], skipped["reason"]]]
    assert page.terms["pipeline.chunk_size"] == "2048"
    assert page.terms["folders"] == "/audio/speech"
    assert page.terms["codec FLAC -8"] == "made up 1.0"
    assert page.terms["time for the model"] == "83 s"
    assert "FLAC -5: it is not on the PATH" in "".join(page.texts)
    assert '<span class="name">FLAC -8</span> could encode 12 of the files' in text
    assert "upper byte" not in text
    assert content["settings"] == CASES["usual"].settings


def test_the_parts_of_a_cost_are_shown_by_name(written):
    found = CASES["one file"]
    page, content, _ = written("one file")
    upper = found.cost_parts["upper byte"].sum() / found.samples.sum()
    assert page.terms["of it, upper byte"] == f"{upper:.3f}"
    lower = content["cost_parts"]["lower byte"]["bits_per_sample"]
    assert _agrees(page.terms["of it, lower byte"], lower)


def test_names_from_outside_are_escaped(tmp_path):
    usual = CASES["usual"]
    codec = dataclasses.replace(usual.codecs[0], codec=ODD, remark=ODD, version=ODD)
    found = dataclasses.replace(
        usual,
        names=(ODD, *usual.names[1:]),
        codecs=(codec,),
        cost_parts={ODD: usual.model_bits, "rest": 0 * usual.model_bits},
        skipped=(usual.skipped[0]._replace(path=ODD, reason=ODD),),
        settings={"model": ODD, "split": ODD, ODD: {ODD: 3}, "folders": [ODD]},
    )
    page, content, text = _write(found, tmp_path)
    assert "script" not in page.tags
    assert "Evaluation of " + ODD_SHOWN in page.texts
    assert page.tables["Skipped files"][1] == [ODD_SHOWN, ODD_SHOWN]
    assert page.terms["folders"] == page.terms["codec " + ODD_SHOWN] == ODD_SHOWN
    assert f"of it, {ODD_SHOWN}" in page.terms
    files = page.tables["Files, from the model's best to its worst"]
    assert ODD_SHOWN in [row[0] for row in files] and files[0][3] == ODD_SHOWN
    assert page.tables["Model and codecs"][2][0] == ODD_SHOWN
    assert content["names"][0] == ODD
    for character in "\udcff\u202e":
        assert character not in text


def test_of_many_skipped_files_the_first_are_shown(tmp_path):
    skipped = tuple(CASES["usual"].skipped[0]._replace(path=f"/{i}.wav") for i in range(51))
    page, content, _ = _write(dataclasses.replace(CASES["one codec"], skipped=skipped), tmp_path)
    assert "51 could not be used; these are the first; report.json lists all." in page.texts
    assert len(page.tables["Skipped files"]) == 1 + 50 and len(content["skipped"]) == 51


def test_a_report_is_replaced_as_a_whole(tmp_path, monkeypatch):
    folder = tmp_path / "a" / "b"
    write_report(summarize(CASES["one file"]), folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sorted(before) == ["report.html", "report.json"]

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        write_report(summarize(CASES["usual"]), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_full_disk_leaves_no_page_beside_the_numbers_of_another_evaluation(tmp_path, monkeypatch):
    write_report(summarize(CASES["one file"]), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    replace = os.replace

    def full_for_large_files(source, target):
        if os.path.getsize(source) > 20_000:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full_for_large_files)
    with pytest.raises(OSError, match="No space left"):
        write_report(summarize(CASES["usual"]), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_files_that_are_used_although_something_is_wrong_are_named(tmp_path):
    noted = tuple(Noted(f"/{i}.wav", "truncated\n: 80 of 90 bytes") for i in range(4))
    page, content, _ = _write(dataclasses.replace(CASES["one codec"], noted=noted), tmp_path)
    assert "4 used although something is wrong with them." in page.texts
    rows = page.tables["Damaged files"]
    assert rows[0] == ["file", "what is wrong"] and len(rows) == 5
    assert rows[1] == ["/0.wav", "truncated\\n: 80 of 90 bytes"]
    assert content["noted"][0] == noted[0]._asdict()
    lines = " ".join(format_table(summarize(CASES["one codec"])).split())
    assert "skipped files: 1: /audio/notes.wav (not a WAV file" in lines
    lines = format_table(summarize(dataclasses.replace(CASES["one codec"], noted=noted)))
    assert "; and 1 more, see the report" in " ".join(lines.split())


@pytest.mark.parametrize(("settings", "unit"), [({}, "chunk"), ({"segment": 2**21}, "segment")])
def test_what_is_coded_alone_has_one_name(settings, unit):
    text = " ".join(render(summarize(evaluation(2, settings=settings))).split())
    assert f"the first samples of a {unit} are" in text and f"longer {unit}s help" in text
    assert f"position in the {unit} (" in text
    assert ("Side information" in text) == (unit == "segment")
