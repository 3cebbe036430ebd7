"""The plots show what the summary says."""

import dataclasses
import io
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from evaluation.report.compute_summary import summarize
from evaluation.report.plots import as_svg, codecs_plot, files_plot, loudness_plot, position_plot
from evaluation.results import Bins
from tests.evaluation.report.made_up import evaluation, without

PLOTS = [codecs_plot, files_plot, loudness_plot, position_plot]


def _texts(figure):
    return " ".join(
        text.get_text() for text in figure.findobj(lambda x: hasattr(x, "get_text")) if text
    )


def _steps(axes):
    """Values and edges of the step line."""
    (patch,) = axes.patches
    return patch.get_data()[:2]


def test_bits_by_position():
    found = evaluation(3)
    (axes,) = position_plot(summarize(found)).axes
    values, edges = _steps(axes)
    np.testing.assert_allclose(values, found.by_position.bits_per_sample)
    np.testing.assert_allclose(edges, found.by_position.edges + 1)
    assert axes.get_xscale() == "log"
    assert "samples" in axes.get_xlabel() and "bits per sample" in axes.get_ylabel()
    legend = _texts(axes.get_legend())
    assert f"model, all positions: {found.bits_per_sample:.3f}" in legend
    flac = found.chunked[0]
    assert f"FLAC -8, each chunk alone: {flac.bits.sum() / flac.samples.sum():.3f}" in legend


def test_few_samples_do_not_set_the_axis_of_positions():
    bins = Bins(
        edges=np.array([0.0, 1.0, 1000.0]),
        samples=np.array([2, 9990]),
        bits=np.array([8000.0, 29970.0]),
    )
    (axes,) = position_plot(summarize(evaluation(3, codecs=(), by_position=bins))).axes
    assert _steps(axes)[0][0] == 4000 and axes.get_ylim()[1] < 5
    assert axes.patches[0].get_clip_on()


def test_a_codec_of_some_files_alone_is_no_level_for_all():
    found = evaluation(3, codecs=("FLAC -8",))
    found = dataclasses.replace(found, codecs=(without(found.codecs[0], [1]),))
    assert "FLAC" not in _texts(position_plot(summarize(found)).axes[0].get_legend())


def test_files_against_flac():
    found = evaluation(5)
    found = dataclasses.replace(found, codecs=(without(found.codecs[0], [1]),))
    (axes,) = files_plot(summarize(found)).axes
    dots, diagonal = axes.lines
    kept = [0, 2, 3, 4]
    flac = found.codecs[0]
    np.testing.assert_allclose(dots.get_xdata(), flac.bits[kept] / flac.samples[kept])
    np.testing.assert_allclose(dots.get_ydata(), found.model_bits[kept] / found.samples[kept])
    assert axes.get_xlim() == axes.get_ylim() == tuple(diagonal.get_xdata())
    assert axes.get_xscale() == "linear"
    assert "FLAC -8" in axes.get_xlabel() and "model" in axes.get_ylabel()


def test_files_of_all_sizes_are_on_a_logarithmic_scale():
    found = evaluation(3)
    bits = found.model_bits * [0.01, 1, 1]
    (axes,) = files_plot(summarize(dataclasses.replace(found, model_bits=bits))).axes
    assert axes.get_xscale() == axes.get_yscale() == "log"


def test_no_codec_no_picture_of_files():
    assert files_plot(summarize(evaluation(3, codecs=()))) is None


def test_bits_by_loudness():
    found = evaluation(3)
    axes, share_axes = loudness_plot(summarize(found)).axes
    bins = found.by_loudness
    last = np.flatnonzero(bins.samples)[-1]
    values, _ = _steps(axes)
    np.testing.assert_allclose(values, bins.bits_per_sample[: last + 1])
    assert np.isnan(values).any()  # a gap where no chunk is that loud
    heights = [bar.get_height() for bar in share_axes.patches]
    np.testing.assert_allclose(heights, bins.samples[: last + 1] / bins.samples.sum())
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels[0] == "softer" and "\N{MINUS SIGN}30" in labels
    assert "dB" in axes.get_xlabel()


def test_no_sample_no_picture_of_loudness():
    none = Bins(edges=np.array([-np.inf, 0]), samples=np.array([0]), bits=np.array([0.0]))
    assert loudness_plot(summarize(evaluation(3, by_loudness=none))) is None


def test_codecs_best_on_top():
    found = evaluation(13, codecs=("FLAC -8", "OptimFROG"))
    (axes,) = codecs_plot(summarize(found)).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["OptimFROG†", "the model", "FLAC -8", "order-0 entropy"]
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == sorted(widths) and widths[1] == found.bits_per_sample
    assert axes.yaxis_inverted()
    faces = {bar.get_facecolor() for bar in (axes.patches[0], axes.patches[2])}
    assert len(faces) == 1 and axes.patches[1].get_facecolor() not in faces


def test_a_codec_without_a_figure_has_no_bar():
    found = evaluation(2)
    lost = without(found.codecs[0], [0, 1])
    (axes,) = codecs_plot(summarize(dataclasses.replace(found, codecs=(lost,)))).axes
    assert len(axes.patches) == 2


ONE_BIN = Bins(edges=np.array([0.0, 1.0]), samples=np.array([5]), bits=np.array([9.0]))
SILENCE = Bins(edges=np.array([-np.inf, -96.0]), samples=np.array([5]), bits=np.array([9.0]))


@pytest.mark.parametrize("plot", PLOTS)
@pytest.mark.parametrize(
    "found",
    [
        evaluation(1),
        evaluation(2, codecs=("xz -9",), depth=16),
        evaluation(2, by_position=ONE_BIN, by_loudness=SILENCE),
        evaluation(2, samples=np.array([0, 0]), model_bits=np.zeros(2), codecs=()),
    ],
)
def test_they_can_be_drawn(plot, found):
    if figure := plot(summarize(found)):
        ElementTree.fromstring(as_svg(figure))


def test_ten_thousand_files_make_no_heavy_page():
    svg = as_svg(files_plot(summarize(evaluation(10_000, codecs=("FLAC -8",), native=False))))
    assert len(svg) < 300_000


def test_names_are_no_formulas_and_no_markup():
    found = evaluation(2, codecs=("FLAC -8",))
    odd = dataclasses.replace(found.codecs[0], codec="FLAC $x_1$ <&>\n\udcff")
    result = summarize(dataclasses.replace(found, codecs=(odd,), chunked=()))
    for plot in (codecs_plot, files_plot, position_plot):
        texts = "".join(ElementTree.fromstring(as_svg(plot(result))).itertext())
        assert "FLAC $x_1$ <&>\\n\\udcff" in texts


def test_the_same_figures_make_the_same_svg():
    result = summarize(evaluation(3))
    assert as_svg(codecs_plot(result)) == as_svg(codecs_plot(result))


def test_the_model_stands_out_in_grey():
    content = io.BytesIO()
    codecs_plot(summarize(evaluation(3, codecs=("FLAC -8",)))).savefig(content, format="png")
    grey = np.asarray(Image.open(content).convert("L"))
    # Below 80 the model's bar, from 180 to 230 those of codecs.
    assert (grey < 80).mean() > 0.02 and ((grey > 180) & (grey < 230)).mean() > 0.02


@pytest.mark.parametrize("rates", [[8.0, 8.0], [8.0, 1.0], [0.0, 0.0], [3.0]])
def test_nothing_of_the_loudness_is_cut(rates):
    bins = Bins(
        edges=np.array([-np.inf, *range(-6, 6 * len(rates) - 6, 6)], float),
        samples=np.array([1, 99][-len(rates) :]),
        bits=np.array(rates) * np.array([1, 99][-len(rates) :]),
    )
    figure = loudness_plot(summarize(evaluation(2, by_loudness=bins)))
    FigureCanvasAgg(figure).draw()
    line_axes, bar_axes = figure.axes
    box = line_axes.get_window_extent()
    points = line_axes.transData.transform(line_axes.lines[0].get_xydata())
    assert (points[:, 1] < box.y1 - 4).all()
    # Of silence, the line is along the lower edge.
    assert not line_axes.lines[0].get_clip_on()
    assert all(bar.get_window_extent().y1 < box.y1 for bar in bar_axes.patches)
