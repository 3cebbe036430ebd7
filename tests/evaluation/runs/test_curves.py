"""The curves of a run, as a picture and while it goes on."""

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from evaluation.runs import curves
from evaluation.runs.curves import CurvesWriter, bits_limits, draw_curves, time_unit
from evaluation.runs.metrics_log import Curve, last

TRAIN, VALID = "train/bits_per_sample", "valid/bits_per_sample"


def _curve(values, seconds_a_step=1.0):
    steps = np.arange(1, len(values) + 1)
    return Curve(steps, seconds_a_step * steps, np.array(values, float))


def _metrics():
    return {
        "train/loss": _curve([3, 2, 1]),
        TRAIN: _curve([4, 3, 2]),
        VALID: _curve([3, np.nan, 2.5]),
        "valid/order0_bits_per_sample": _curve([6, 6, 6]),
        "valid/flac_bits_per_sample": _curve([2.6]),
        "train/learning_rate": _curve([0, 1e-3, 0]),
        "train/grad_norm": _curve([0.5, np.inf, 0.4]),
        "train/input_wait": _curve([0.01, 0.02, 0.5]),
    }


@pytest.fixture
def drawn(monkeypatch):
    """What was drawn, without drawing it."""
    drawings = []
    monkeypatch.setattr(curves, "draw_curves", lambda metrics, path: drawings.append(metrics))
    return drawings


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    now = [1000.0]
    monkeypatch.setattr(curves.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def figure(monkeypatch, tmp_path):
    """The figure of some metrics."""
    figures = []
    monkeypatch.setattr(curves, "save_png", lambda figure, path: figures.append(figure))

    def draw(metrics):
        draw_curves(metrics, tmp_path / "unused.png")
        return figures[-1]

    return draw


def test_the_panels(figure):
    labels = {(axes.get_ylabel(), axes.get_xlabel()) for axes in figure(_metrics()).axes}
    assert labels == {
        ("bits per sample", "steps"),
        ("bits per sample", "time (seconds)"),
        ("loss (nats per symbol)", "steps"),
        ("learning rate", "steps"),
        ("norm of the gradient", "steps"),
        ("input wait (share of the time)", "steps"),
    }


def test_bits_per_sample_and_what_they_are_held_against(figure):
    by_steps, by_time = figure(_metrics()).axes[:2]
    for axes in (by_steps, by_time):
        lines = {line.get_label(): line for line in axes.lines}
        assert lines["training"].get_ydata().tolist() == [4, 3, 2]
        assert lines["training"].get_xdata().tolist() == [1, 2, 3]
        flac = lines["FLAC -8: 2.600"]
        assert set(flac.get_ydata()) == {2.6}
        order0 = lines["order-0 entropy: 6.000, above the picture"]
        styles = [line.get_linestyle() for line in (lines["validation"], flac, order0)]
        assert len(set(styles)) == 3
        assert lines["validation"].get_linewidth() > lines["training"].get_linewidth()


def test_the_legend_hides_nothing_and_no_marker_is_cut(figure):
    drawn = figure(_metrics())
    FigureCanvasAgg(drawn).draw()
    (legend,) = drawn.legends
    assert [text.get_text() for text in legend.get_texts()][:2] == ["training", "validation"]
    boxes = [axes.get_window_extent() for axes in drawn.axes]
    assert legend.get_window_extent().y0 > max(box.y1 for box in boxes)
    for axes, box in zip(drawn.axes[:2], boxes, strict=False):
        places = axes.transData.transform(axes.lines[0].get_xydata())
        assert (places > box.min + 5).all() and (places < box.max - 5).all()


def test_a_run_of_hours(figure):
    metrics = {TRAIN: _curve([3, 2, 1], seconds_a_step=3600)}
    by_time = figure(metrics).axes[1]
    assert by_time.get_xlabel() == "time (hours)"
    assert by_time.lines[0].get_xdata().tolist() == [1, 2, 3]


@pytest.mark.parametrize("names", [[], [VALID], [TRAIN], ["valid/flac_bits_per_sample"]])
def test_what_is_missing_is_left_out(tmp_path, names):
    path = tmp_path / "curves.png"
    draw_curves({name: _metrics()[name] for name in names}, path)
    with Image.open(path) as image:
        assert image.format == "PNG" and min(image.size) > 800
    assert [file.name for file in tmp_path.iterdir()] == ["curves.png"]


def test_the_first_figures_do_not_flatten_the_others():
    long = _curve([20, *[2.0] * 200, 1.9])
    low, high = bits_limits(long, levels=[2.3])
    assert low < 1.9 and 2.3 < high < 3
    assert bits_limits(levels=[]) is bits_limits(_curve([np.nan]), levels=[]) is None
    low, high = bits_limits(_curve([2.0]), levels=[])
    assert low < 2 < high


def test_time_unit():
    def run(seconds):
        return {TRAIN: _curve([1.0], seconds_a_step=seconds)}

    assert time_unit(run(100)) == time_unit() == ("seconds", 1)
    assert time_unit(run(100), run(600)) == ("minutes", 60)
    assert time_unit(run(np.nan)) == ("seconds", 1)
    assert time_unit(run(7 * 86400)) == ("days", 86400)


def test_it_draws_when_a_validation_comes_but_not_too_often(drawn, clock):
    writer = CurvesWriter("unused.png")
    writer.write(0, {"seconds": 0.0, "valid/flac_bits_per_sample": 2.6})
    writer.write(1, {"seconds": 1.0, TRAIN: 4.0})
    assert len(drawn) == 0
    writer.write(1, {"seconds": 1.0, VALID: 4.0})
    assert len(drawn) == 1
    clock[0] += 29
    writer.write(2, {"seconds": 2.0, VALID: 3.0})
    assert len(drawn) == 1
    clock[0] += 1
    writer.write(3, {"seconds": 3.0, TRAIN: 3.0})
    assert len(drawn) == 1
    writer.write(3, {"seconds": 3.0, VALID: 2.5})
    assert len(drawn) == 2
    assert drawn[1][VALID].values.tolist() == [4, 3, 2.5]
    assert drawn[1][VALID].seconds.tolist() == [1, 2, 3]
    assert last(drawn[1], "valid/flac_bits_per_sample") == 2.6


def test_closing_draws_what_is_new(drawn, clock):
    writer = CurvesWriter("unused.png")
    writer.close()
    assert len(drawn) == 0
    writer.write(1, {VALID: 4.0})
    writer.close()
    assert len(drawn) == 1
    writer.write(2, {TRAIN: 3.0})
    writer.close()
    assert len(drawn) == 2 and drawn[1][TRAIN].values.tolist() == [3]


def test_a_long_run_is_thinned_evenly(drawn, clock, monkeypatch):
    monkeypatch.setattr(curves, "_MOST_POINTS", 64)
    writer = CurvesWriter("unused.png")
    for step in range(1, 10_001):
        writer.write(step, {TRAIN: float(step)})
    writer.close()
    steps, _, values = drawn[0][TRAIN]
    assert 32 <= len(steps) <= 65
    assert (steps[0], steps[-1]) == (1, 10_000)
    assert (steps == values).all()
    assert len(set(np.diff(steps[:-1]))) == 1


def test_matplotlib_waits_until_something_is_drawn():
    code = (
        "import sys; from evaluation.runs.curves import CurvesWriter; "
        "CurvesWriter('unused.png').write(1, {'train/loss': 1.0}); "
        "sys.exit('matplotlib' in sys.modules)"
    )
    root = curves.__file__.rsplit("/evaluation/", 1)[0]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0
