"""The plots of a report, legible in grey, too.

K bins, N files.
"""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from evaluation.report.formatting import MINUS, bits, printable
from evaluation.report.summary import Summary
from evaluation.report.tables import marks

DARK, MIDDLE, LIGHT = "#12355b", "#7a7a7a", "#d0d4d9"
_WIDTH = 7.2  # inches, of the column in the report
# Not clipped: along an edge, half of a line or dot would be seen.
_LINE: dict[str, Any] = {"color": DARK, "linewidth": 1.8, "clip_on": False}
_MANY_FILES = 500
_MAX_TICKS = 14
_FEW_SAMPLES = 16  # Their mean is noise, which may be many times that of the others.
_WIDE_RANGE = 20.0  # ratio of largest to smallest beyond which axes are logarithmic


def position_plot(summary: Summary) -> Figure | None:
    """Draws bits per sample against the position in chunk or segment: the gain from context.

    None if there are no samples.
    """
    model, codec = summary.model.read_cost.bits_per_sample, summary.reference
    if model is None:
        return None
    figure, axes = _figure(3.2)
    bins = summary.by_position
    # Positions from 1: a logarithmic scale has no 0.
    edges = _array(bins.edges) + 1
    values, samples = _array(bins.bits_per_sample), _array(bins.samples)
    axes.stairs(values, edges, baseline=None, **(_LINE | {"clip_on": True}))
    _level(axes, model, "model, all positions", "--", DARK)
    # A codec of some of the files has a mean over others than the line of the model.
    if codec and codec.read_cost.files == summary.files:
        cost, how = codec.read_cost, "whole files"
        if codec.chunked and codec.chunked.files == summary.files:  # as the model codes them
            cost, how = codec.chunked, "each chunk alone"
        _level(axes, cost.bits_per_sample, f"{printable(codec.name)}, {how}", ":", "black")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(edges[0], edges[-1])
    levels = np.concatenate([line.get_ydata() for line in axes.lines])
    _limit_from_zero(axes, np.append(values[samples >= _FEW_SAMPLES], levels))
    axes.set(
        xlabel=f"position in the {summary.unit} (samples, 1 is the first)", ylabel="bits per sample"
    )
    # The name of a codec may hold a dollar sign, which begins mathtext.
    for text in axes.legend(frameon=False).get_texts():
        text.set_parse_math(False)
    return figure


def files_plot(summary: Summary) -> Figure | None:
    """Draws each file's bits per sample, the model's against the reference codec's.

    None if no codec could encode a file.
    """
    codec = summary.reference
    if codec is None:
        return None
    rival, model = _array(codec.cost.per_file), _array(summary.model.cost.per_file)
    shown = np.isfinite(rival) & np.isfinite(model)
    rival, model = rival[shown], model[shown]
    if not shown.any():
        return None
    figure, axes = _figure(4.6, width=4.8)
    dots: dict[str, Any] = {"markersize": 5, "alpha": 0.8}
    if len(model) > _MANY_FILES:  # Ten thousand circles make a large SVG.
        dots = {"markersize": 2.5, "alpha": 0.3, "rasterized": True}
    axes.plot(rival, model, "o", color=DARK, markeredgewidth=0, clip_on=False, **dots)
    low, high = min(rival.min(), model.min()), max(rival.max(), model.max())
    if low > 0 and high / low > _WIDE_RANGE:
        limits = (low / 1.3, high * 1.3)
        for axis, scale in ((axes.xaxis, axes.set_xscale), (axes.yaxis, axes.set_yscale)):
            scale("log")
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
            axis.set_minor_locator(NullLocator())
    else:
        margin = max(0.08 * (high - low), 0.2)
        limits = (max(0.0, low - margin), high + margin)
    axes.plot(limits, limits, "--", color=MIDDLE, linewidth=1, zorder=0)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    name = printable(codec.name)
    style: dict[str, Any] = {"transform": axes.transAxes, "color": MIDDLE, "fontstyle": "italic"}
    axes.text(0.03, 0.97, f"{name} needs fewer bits", va="top", parse_math=False, **style)
    axes.text(0.97, 0.03, "the model needs fewer bits", ha="right", **style)
    axes.set_xlabel(f"{name} (bits per sample)", parse_math=False)
    axes.set_ylabel("model (bits per sample)")
    return figure


def loudness_plot(summary: Summary) -> Figure | None:
    """Draws bits per sample by the loudness of a chunk, and the share of samples in each bin.

    None if there are no samples.
    """
    bins = summary.by_loudness
    samples, values = _array(bins.samples), _array(bins.bits_per_sample)
    used = np.flatnonzero(samples)
    if not len(used):
        return None
    # Bins are drawn with equal widths, since the lowest reaches down to -inf.
    part = slice(used[0], used[-1] + 1)
    count = used[-1] + 1 - used[0]
    figure, axes = _figure(3.4)
    share_axes = axes.twinx()
    centres = np.arange(count)
    share_axes.bar(centres, samples[part] / samples.sum(), width=0.9, color=LIGHT)
    share_axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    share_axes.set_ylabel("share of the samples (bars)")
    share_axes.spines["top"].set_visible(False)
    axes.stairs(values[part], np.arange(count + 1) - 0.5, baseline=None, **_LINE)
    axes.plot(centres, values[part], "o", color=DARK, markersize=4, clip_on=False)
    # The line above the bars, and no background between them.
    axes.set_zorder(share_axes.get_zorder() + 1)
    axes.patch.set_visible(False)
    _limit_from_zero(axes, values[part])
    edges = bins.edges[used[0] : used[-1] + 2]
    every = -(-len(edges) // _MAX_TICKS)
    ticks = [(k - 0.5, _decibels(edge)) for k, edge in enumerate(edges) if edge is not None]
    ticks = ticks[::every] if edges[0] is not None else [(0, "softer"), *ticks[1::every]]
    axes.set_xticks(*zip(*ticks, strict=True))
    axes.set_xlim(-0.6, count - 0.4)
    axes.set_xlabel("loudness of a chunk (root mean square, dB of full scale)")
    axes.set_ylabel("bits per sample (line)")
    return figure


def codecs_plot(summary: Summary) -> Figure:
    """Draws bits per sample of model and codecs as bars, best on top, with intervals over files."""
    coders = [coder for coder in summary.coders if coder.cost.bits_per_sample is not None]
    figure, axes = _figure(0.75 + 0.3 * len(coders))
    styles: dict[str, dict[str, Any]] = {
        "model": {"color": DARK},
        "codec": {"color": LIGHT},
        "order0": {"color": "white", "hatch": "////"},
    }
    longest = 0.0
    for y, coder in enumerate(coders):
        cost, interval = coder.cost.bits_per_sample or 0.0, coder.interval
        axes.barh(y, cost, 0.7, edgecolor=DARK, linewidth=0.8, **styles[coder.kind])
        end = cost
        if interval:
            bounds = [interval.low, interval.high]
            end = max(end, interval.high)
            axes.plot(bounds, [y, y], color="white", linewidth=3)  # visible on a dark bar, too
            axes.plot(bounds, [y, y], "|-", color="black", linewidth=1.2)
        axes.annotate(
            bits(cost),
            (end, y),
            (5, 0),
            textcoords="offset points",
            va="center",
            fontweight="bold" if coder.kind == "model" else "normal",
        )
        longest = max(longest, end)
    labels = [printable(coder.name) + marks(coder, summary) for coder in coders]
    axes.set_yticks(range(len(coders)), labels, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(coders) - 0.4, -0.6)  # downwards
    axes.set_xlim(0, 1.12 * longest or 1)  # with room for the figures
    about = " and its interval over files" if summary.model.interval else ""
    axes.set_xlabel(f"bits per sample{about}")
    return figure


def as_svg(figure: Figure) -> str:
    """Returns a figure as an <svg> element with text as text; deterministic."""
    content = io.BytesIO()
    # Ids come from a random salt, and the date from the clock, if they are not given.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "wavestream"}):
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None}, dpi=200)
    text = content.getvalue().decode()
    return text[text.index("<svg") :]


def _figure(height: float, width: float = _WIDTH) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _level(axes: Axes, level: float | None, name: str, style: str, color: str) -> None:
    if level is not None:
        label = f"{name}: {level:.3f}"
        axes.axhline(level, linestyle=style, color=color, linewidth=1.2, label=label)


def _limit_from_zero(axes: Axes, values: np.ndarray) -> None:
    """Sets the vertical axis from zero to above all values, whole lines and markers included."""
    axes.set_ylim(0, 1.08 * max(np.nanmax(values), 0) or 1)


def _decibels(value: float) -> str:
    return f"{value:g}".replace("-", MINUS)


def _array(values: Sequence[float | None]) -> np.ndarray:  # float64, NaN for None
    return np.array(values, np.float64)
