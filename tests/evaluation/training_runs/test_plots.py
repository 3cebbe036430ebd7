"""The curves of a run, and several runs beside each other, as pictures."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from evaluation.training_runs.metrics_log import Curve, make_curve
from evaluation.training_runs.plots import (
    bits_limits,
    comparison_figure,
    curves_figure,
    save_png,
    time_unit,
)
from evaluation.training_runs.run_dir import FLAC, TRAIN, VALID, Run


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
        "train/input_wait_fraction": _curve([0.01, 0.02, 0.5]),
    }


def test_the_panels():
    labels = {(axes.get_ylabel(), axes.get_xlabel()) for axes in curves_figure(_metrics()).axes}
    assert labels == {
        ("bits per sample", "steps"),
        ("bits per sample", "time (seconds)"),
        ("loss (nats per sample)", "steps"),
        ("learning rate", "steps"),
        ("norm of the gradient", "steps"),
        ("input wait (fraction of the time)", "steps"),
    }


def test_bits_per_sample_and_what_they_are_held_against():
    by_steps, by_time = curves_figure(_metrics()).axes[:2]
    for axes in (by_steps, by_time):
        lines = {line.get_label(): line for line in axes.lines}
        assert lines["training"].get_ydata().tolist() == [4, 3, 2]
        assert lines["training"].get_xdata().tolist() == [1, 2, 3]
        flac = lines["FLAC -8: 2.600"]
        assert set(flac.get_ydata()) == {2.6}
        order0 = lines["order-0 entropy: 6.000, above the plot"]
        styles = [line.get_linestyle() for line in (lines["validation"], flac, order0)]
        assert len(set(styles)) == 3
        assert lines["validation"].get_linewidth() > lines["training"].get_linewidth()


def test_the_legend_hides_nothing_and_no_marker_is_cut():
    drawn = curves_figure(_metrics())
    FigureCanvasAgg(drawn).draw()
    (legend,) = drawn.legends
    assert [text.get_text() for text in legend.get_texts()][:2] == ["training", "validation"]
    boxes = [axes.get_window_extent() for axes in drawn.axes]
    assert legend.get_window_extent().y0 > max(box.y1 for box in boxes)
    for axes, box in zip(drawn.axes[:2], boxes, strict=False):
        places = axes.transData.transform(axes.lines[0].get_xydata())
        assert (places > box.min + 5).all() and (places < box.max - 5).all()


def test_a_run_of_hours():
    metrics = {TRAIN: _curve([3, 2, 1], seconds_a_step=3600)}
    by_time = curves_figure(metrics).axes[1]
    assert by_time.get_xlabel() == "time (hours)"
    assert by_time.lines[0].get_xdata().tolist() == [1, 2, 3]


@pytest.mark.parametrize("names", [[], [VALID], [TRAIN], ["valid/flac_bits_per_sample"]])
def test_what_is_missing_is_left_out(tmp_path, names):
    path = tmp_path / "curves.png"
    save_png(curves_figure({name: _metrics()[name] for name in names}), path)
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


def _run(name, valid=None, flac=2.5):
    """A run of two validations, or of one figure of training."""
    metrics = {TRAIN: make_curve([(100, (60.0, 3.0))])}
    if valid is not None:
        metrics[VALID] = make_curve([(100, (61.0, valid + 0.25)), (200, (3726.0, valid))])
    if valid is not None and flac is not None:
        metrics[FLAC] = make_curve([(0, (0.0, flac))])
    return Run(name=name, settings={}, metrics=metrics, model_bytes=None, wall_time_s=None)


def test_runs_beside_each_other():
    drawn = comparison_figure([_run("runs/_a$x$", 2.25), _run("runs/b", 3.0)])
    by_steps, by_time = drawn.axes
    assert (by_steps.get_xlabel(), by_time.get_xlabel()) == ("steps", "time (minutes)")
    one, two = by_steps.lines[:2]
    assert one.get_xdata().tolist() == [100, 200] and one.get_ydata().tolist() == [2.5, 2.25]
    assert by_time.lines[1].get_xdata().tolist() == [61 / 60, 3726 / 60]
    assert one.get_linestyle() != two.get_linestyle() and one.get_marker() != two.get_marker()
    assert _legend(drawn) == ["1  runs/_a$x$", "2  runs/b", "FLAC -8: 2.500"]
    assert drawn.get_suptitle() == "Validation, on held-out audio"
    many = comparison_figure([_run(str(i), 2.25) for i in range(50)]).axes[0].lines
    styles = {(x.get_linestyle(), x.get_marker(), x.get_color()) for x in many}
    assert len(styles) == 51 and sum(style == ":" for style, *_ in styles) == 1


def _legend(drawn):
    return [text.get_text() for text in drawn.legends[0].get_texts()]


def test_every_run_has_its_own_flac_where_they_differ():
    runs = [_run(name, 3.0, flac) for name, flac in (("a", 2.5), ("b", 3.5), ("c", None))]
    drawn = comparison_figure(runs)
    assert _legend(drawn) == ["1  a   FLAC -8: 2.500", "2  b   FLAC -8: 3.500", "3  c"]
    for axes in drawn.axes:
        flacs = [line for line in axes.lines if line.get_label().startswith("FLAC")]
        assert [set(line.get_ydata()) for line in flacs] == [{2.5}, {3.5}]
        assert len({line.get_color() for line in flacs}) == 2
    assert drawn.get_suptitle().endswith("dotted, in the color of a run: FLAC -8")


@pytest.mark.parametrize("count", [2, 12])
@pytest.mark.parametrize("part", ["$\n\udcff", "W" * 40])
def test_nothing_overlaps_or_is_cut(count, part):
    runs = [_run(part * 9 + f"/{i}", 2 + i / 5, 2.5 + i / 250) for i in range(count)]
    drawn = comparison_figure(runs)
    FigureCanvasAgg(drawn).draw()
    assert [label.split()[1][-2:] for label in _legend(drawn)] == [
        f"/{i}"[-2:] for i in range(count)
    ]
    boxes = [text.get_window_extent() for text in drawn.legends[0].get_texts()]
    boxes = [axes.get_tightbbox() for axes in drawn.axes] + boxes
    boxes.append(drawn._suptitle.get_window_extent())
    assert not any(one.overlaps(two) for one, two in itertools.combinations(boxes, 2))
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= drawn.bbox.x1 for box in boxes)
    assert drawn.axes[0].get_window_extent().height > 200


def test_a_run_without_validation_shows_its_training():
    runs = [_run("a"), _run("b", 3.0)]
    drawn = comparison_figure(runs)
    assert drawn.axes[0].lines[0].get_ydata().tolist() == [3.0]
    assert drawn.legends[0].get_texts()[0].get_text().endswith("a (training)")
