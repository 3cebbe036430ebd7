"""Runs beside each other."""

import itertools

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image

from evaluation.runs import comparison_plot
from evaluation.runs.compare import compare, format_comparison, write_comparison
from evaluation.runs.run_dir import FLAC, TRAIN, VALID
from tests.evaluation.runs.test_run_dir import write_run


def _records(valid, flac=2.5):
    return [
        (0, {"seconds": 0.0, FLAC: flac}),
        (100, {"seconds": 60.0, TRAIN: valid}),
        (100, {"seconds": 61.0, VALID: valid + 0.25}),
        (200, {"seconds": 3725.0, TRAIN: valid - 0.25}),
        (200, {"seconds": 3726.0, VALID: valid}),
    ]


@pytest.fixture
def two_runs(tmp_path):
    flags = "--output_dir=/{0}\n--learning_rate={1}\n--seed=1\n--eval_steps=0\n--batch_size={1}\n"
    return [
        write_run(tmp_path / "_a$x$", flags=flags.format("a", 8), records=_records(2.25)),
        write_run(tmp_path / "b", flags=flags.format("b", 9) + "--demo\n", records=_records(3.0)),
    ]


@pytest.fixture
def figure(monkeypatch, tmp_path):
    """The figure of a comparison."""
    figures = []
    monkeypatch.setattr(comparison_plot, "save_png", lambda figure, path: figures.append(figure))

    def draw(comparison):
        write_comparison(comparison, tmp_path)
        return figures[-1]

    return draw


def test_settings_that_differ(two_runs):
    comparison = compare(two_runs)
    assert comparison.settings == {
        "batch_size": ("8", "9"),
        "demo": (None, "true"),
        "learning_rate": ("8", "9"),
    }
    # The whole split is validated, so batches do not matter.
    assert comparison.of_other_samples == ("demo",)


def test_batches_matter_where_a_part_of_the_split_is_validated(tmp_path):
    runs = [
        write_run(tmp_path / size, flags=f"--eval_steps=5\n--batch_size={size}\n")
        for size in ("8", "16")
    ]
    assert compare(runs).of_other_samples == ("batch_size",)


def test_the_table(two_runs):
    text = format_comparison(compare(two_runs))
    lines = text.splitlines()
    header = "run steps time train valid best FLAC -8 to FLAC model"
    assert " ".join(lines[0].split()) == header
    minus, dash = "\N{MINUS SIGN}", "\N{EN DASH}"
    figures = ["200", "1:02:06", "2.0000", "2.2500", "2.2500", "2.5000", f"{minus}10.0%", dash]
    assert lines[2].split()[0] == "1" and lines[2].split()[-8:] == figures
    assert lines[2].split()[1].endswith("_a$x$") and lines[3].split()[1].endswith("/b")
    assert lines[3].split()[-2] == "+20.0%"
    assert "on other samples (--demo)" in text
    rows = [line.split() for line in lines[lines.index("settings that differ") + 1 :]]
    assert rows == [
        ["1", "2"],
        ["batch_size", "8", "9"],
        ["demo", dash, "true"],
        ["learning_rate", "8", "9"],
    ]


def test_one_run_is_fine(two_runs):
    comparison = compare(two_runs[:1])
    text = format_comparison(comparison)
    assert comparison.settings == {} and "settings" not in text and "other samples" not in text


def test_runs_that_are_alike(two_runs):
    assert "all settings are alike" in format_comparison(compare([two_runs[0], two_runs[0]]))


def test_many_runs_with_long_names_fit_the_console(tmp_path):
    runs = [
        write_run(
            tmp_path / ("a_long_name_of_a_folder_" * 3 + str(i)),
            flags=f"--audio_dir=/{'a_long_path/' * 20}{i}\n",
            records=_records(2.5 + i),
        )
        for i in range(12)
    ]
    lines = format_comparison(compare(runs)).splitlines()
    assert max(map(len, lines)) <= 100
    shown = " ".join(line for line in lines if line.startswith("audio_dir")).split()
    assert [value[-2:] for value in shown if value != "audio_dir"] == [
        f"/{i}"[-2:] for i in range(12)
    ]


def test_the_picture(two_runs, figure):
    drawn = figure(compare(two_runs))
    by_steps, by_time = drawn.axes
    assert (by_steps.get_xlabel(), by_time.get_xlabel()) == ("steps", "time (minutes)")
    one, two = by_steps.lines[:2]
    assert one.get_xdata().tolist() == [100, 200] and one.get_ydata().tolist() == [2.5, 2.25]
    assert by_time.lines[1].get_xdata().tolist() == [61 / 60, 3726 / 60]
    assert one.get_linestyle() != two.get_linestyle() and one.get_marker() != two.get_marker()
    labels = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert labels[0].startswith("1  ") and labels[0].endswith(r"_a\$x\$")
    assert labels[1].endswith("/b")
    assert [text.get_text() for text in by_time.texts] == ["FLAC -8\n2.500"]


def test_every_run_has_its_own_flac_where_they_differ(tmp_path, figure):
    runs = [
        write_run(tmp_path / name, records=_records(3.0, flac))
        for name, flac in (("a", 2.5), ("b", 3.5), ("c", 2.5))
    ]
    texts = [text.get_text() for text in figure(compare(runs)).axes[1].texts]
    assert texts == ["FLAC -8 of 1, 3\n2.500", "FLAC -8 of 2\n3.500"]


def test_labels_of_levels_do_not_overlap(tmp_path, figure):
    rates = (2.48, 2.5, 2.515, 2.52, 3.6)
    runs = [
        write_run(tmp_path / f"{rate}", records=_records(2 + number / 5, rate))
        for number, rate in enumerate(rates)
    ]
    drawn = figure(compare(runs))
    FigureCanvasAgg(drawn).draw()
    # Of an annotation, the extent would be that of its line, too.
    boxes = [Text.get_window_extent(text) for text in drawn.axes[1].texts]
    assert len(boxes) == 5
    assert all(above.y0 > below.y1 for below, above in itertools.pairwise(boxes))


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([], []),
        ([3.0], [3]),
        ([1.0, 5.0, 9.0], [1, 5, 9]),
        ([4.0, 4.0], [3, 5]),
        ([0.0, 7.0, 8.0, 9.0, 20.0], [0, 6, 8, 10, 20]),
        ([0.0, 1.0, 2.5], [-0.833, 1.167, 3.167]),
    ],
)
def test_places_are_kept_apart(places, expected):
    assert comparison_plot.apart(places, 2.0) == pytest.approx(expected, abs=1e-3)


def test_a_run_without_validation_shows_its_training(tmp_path, figure):
    runs = [write_run(tmp_path / "a"), write_run(tmp_path / "b", records=_records(3.0))]
    drawn = figure(compare(runs))
    assert drawn.axes[0].lines[0].get_ydata().tolist() == [3.0]
    assert drawn.legends[0].get_texts()[0].get_text().endswith("a (training)")


def test_the_picture_is_written_into_a_new_folder(two_runs, tmp_path):
    path = write_comparison(compare(two_runs), tmp_path / "new" / "folder")
    assert path == str(tmp_path / "new" / "folder" / "compare.png")
    with Image.open(path) as image:
        assert image.format == "PNG"


def test_what_is_no_run_is_named_and_the_others_are_compared(two_runs, tmp_path, caplog):
    none = [tmp_path / "missing", tmp_path]
    comparison = compare([none[0], two_runs[0], none[1], two_runs[1]])
    assert [run.name for run in comparison.runs] == [str(run) for run in two_runs]
    assert comparison.settings == compare(two_runs).settings
    assert [text.split(":")[:2] for text in caplog.messages] == [
        ["left out", f" {path}"] for path in none
    ]
    caplog.clear()
    with pytest.raises(ValueError, match=r"missing: no such folder.*; .*: no \.flags file in it"):
        compare(none)
    assert not caplog.messages


def test_no_run():
    with pytest.raises(ValueError, match="no run to compare: expected"):
        compare([])
