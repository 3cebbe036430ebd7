"""Plots of runs: the curves of one run, and a comparison of several."""

import io
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path
from matplotlib.ticker import EngFormatter, PercentFormatter

from evaluation.report.formatting import printable
from evaluation.training_runs.metrics_log import Curve, Metrics, last
from evaluation.training_runs.run_dir import FLAC, TRAIN, VALID, Run
from runtime.atomic_files import write_bytes_atomically

_MAX_MARKERS = 60
_BLUE = "#12355b"
_TRAIN: dict[str, Any] = {"color": "#9a9a9a", "linewidth": 1.0, "label": "training"}
_VALID: dict[str, Any] = {"color": _BLUE, "linewidth": 2.0, "label": "validation"}
_STYLES = ("-", "--", "-.")  # Dotted lines, without markers, are FLAC's.
_MARKERS = "os^Dv"
_COLORS = ("#12355b", "#b5452c", "#4f8a6b", "#c58b1b", "#7a4f9a", "#5f6b76", "#1b8fb5")
_MARKERS_A_CURVE = 12
_WIDTH = 11.0  # inches, of a comparison
_LEGEND_WIDTH = _WIDTH - 0.8  # without its lines and margins
_MAX_NAME = 200  # characters: no more fit


def curves_figure(metrics: Metrics) -> Figure:
    """Draws loss, bits per sample, learning rate, gradient norm and input wait.

    Args:
      metrics: as from `read_metrics`; missing ones are not drawn.
    """
    layout = ConstrainedLayoutEngine(hspace=0.04, wspace=0.04)
    figure = Figure(figsize=(10, 9.5), layout=layout)
    (by_steps, by_time), (loss, learning_rate), (norm, wait) = figure.subplots(3, 2)
    unit, length = time_unit(metrics)
    _draw_bits(by_steps, metrics, lambda curve: curve.steps)
    _draw_bits(by_time, metrics, lambda curve: curve.wall_time_s / length)
    _draw_curve(loss, metrics, "train/loss", **_TRAIN)
    _draw_curve(loss, metrics, "valid/loss", **_VALID)
    label_axes(by_steps, "steps", "bits per sample")
    label_axes(by_time, f"time ({unit})", "bits per sample")
    label_axes(loss, "steps", "loss (nats per sample)")
    for axes, name, label in (
        (learning_rate, "learning_rate", "learning rate"),
        (norm, "grad_norm", "norm of the gradient"),
        (wait, "input_wait_fraction", "input wait (fraction of the time)"),
    ):
        # Not clipped: a line along zero would be seen in half.
        _draw_curve(axes, metrics, f"train/{name}", color=_BLUE, clip_on=False)
        label_axes(axes, "steps", label)
        axes.set_ylim(bottom=0)
    wait.yaxis.set_major_formatter(PercentFormatter(1))
    handles, labels = by_steps.get_legend_handles_labels()
    if handles:  # Above all axes, where it hides no curve.
        figure.legend(handles, labels, loc="outside upper left", ncols=4, frameon=False)
    return figure


def label_axes(axes: Axes, x_label: str, y_label: str) -> None:
    """Labels the axes, removes the frame, and formats thousands of steps as k."""
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.spines[["top", "right"]].set_visible(False)
    if x_label == "steps":
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def save_png(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a figure to a PNG, which is replaced atomically. Raises OSError."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    write_bytes_atomically(os.fspath(path), content.getvalue())


def time_unit(*runs: Metrics) -> tuple[str, float]:
    """Returns a unit of time that suits the longest of the runs, and its length in seconds."""
    longest = max(
        (np.nanmax([*curve.wall_time_s, 0.0]) for metrics in runs for curve in metrics.values()),
        default=0.0,
    )
    for unit, seconds in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if longest >= 2 * seconds:
            return unit, seconds
    return "seconds", 1.0


def bits_limits(*curves: Curve, levels: Sequence[float]) -> tuple[float, float] | None:
    """Returns the range of the axis of bits per sample; None if there is nothing to show.

    The first values of a run may be far above all later ones: the highest 2% are clipped. (That is
    none of a curve of few points, which is drawn with markers.)
    """
    shown = [level for level in levels if math.isfinite(level)]
    for curve in curves:
        finite = curve.values[np.isfinite(curve.values)]
        shown += np.quantile(finite, [0, 0.98], method="higher").tolist() if len(finite) else []
    if not shown:
        return None
    margin = 0.08 * (max(shown) - min(shown)) or 0.1
    return max(0.0, min(shown) - margin), max(shown) + margin


def _draw_bits(axes: Axes, metrics: Metrics, x_of: Callable[[Curve], np.ndarray]) -> None:
    """Draws training and validation, and FLAC and the order-0 entropy as levels."""
    _draw_curve(axes, metrics, TRAIN, x_of, **_TRAIN)
    _draw_curve(axes, metrics, VALID, x_of, **_VALID)
    flac = last(metrics, FLAC)
    order0 = last(metrics, "valid/order0_bits_per_sample")
    if flac is not None:
        axes.axhline(flac, color="black", linestyle="--", label=f"FLAC -8: {flac:.3f}")
    limits = bits_limits(
        *(metrics[name] for name in (TRAIN, VALID) if name in metrics),
        levels=[] if flac is None else [flac],
    )
    if limits:
        axes.set_ylim(limits)
    # It does not widen the axis: it is far above what a model needs.
    if order0 is not None:
        beyond = ", above the plot" if limits and order0 > limits[1] else ""
        label = f"order-0 entropy: {order0:.3f}{beyond}"
        axes.axhline(order0, color="black", linestyle=":", label=label)


def _draw_curve(
    axes: Axes,
    metrics: Metrics,
    name: str,
    x_of: Callable[[Curve], np.ndarray] = lambda curve: curve.steps,
    **style: Any,
) -> None:
    if name in metrics:
        curve = metrics[name]
        # A curve of one point is seen by its marker alone; on a long one they would hide the line.
        marker = "o" if len(curve.steps) <= _MAX_MARKERS else ""
        axes.plot(x_of(curve), curve.values, marker=marker, markersize=3, **style)


def comparison_figure(runs: Sequence[Run]) -> Figure:
    """Draws bits per sample of validation, against steps and against time.

    For a run without validation, those of training. The level of FLAC is a dotted line in the color
    of the run, or a black one where it is the same for all.
    """
    unit, length = time_unit(*(run.metrics for run in runs))
    figure = Figure(figsize=(_WIDTH, 4.5 + 0.2 * len(runs)), layout="constrained")
    by_steps, by_time = figure.subplots(1, 2, sharey=True)
    label_axes(by_steps, "steps", "bits per sample")
    label_axes(by_time, f"time ({unit})", "")
    flacs = [run.last(FLAC) for run in runs]
    levels = sorted({flac for flac in flacs if flac is not None})
    if limits := bits_limits(*map(_curve, runs), levels=levels):
        by_steps.set_ylim(limits)
    own_flacs = "; dotted, in the color of a run: FLAC -8" if len(levels) > 1 else ""
    figure.suptitle(f"Validation, on held-out audio{own_flacs}", x=0.01, ha="left", fontsize=11)
    handles = []
    for number, (run, flac) in enumerate(zip(runs, flacs, strict=True)):
        curve, style = _curve(run), _style(number, len(_curve(run).steps))
        own_flac = flac if len(levels) > 1 else None
        label = _label(number + 1, run, own_flac)
        handles += by_steps.plot(curve.steps, curve.values, label=label, **style)
        by_time.plot(curve.wall_time_s / length, curve.values, **style)
        if own_flac is not None:
            _draw_flac(figure, own_flac, style["color"])
    if len(levels) == 1:
        handles.append(_draw_flac(figure, levels[0], "black"))
    # All figures are in the legend: beside the axes, those of near levels would overlap.
    legend = figure.legend(handles=handles, loc="outside lower left", frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _draw_flac(figure: Figure, level: float, color: str) -> Line2D:
    style: dict[str, Any] = {"color": color, "linestyle": ":", "linewidth": 1.5, "zorder": 0}
    lines = [axes.axhline(level, label=_flac_label(level), **style) for axes in figure.axes]
    return lines[0]


def _flac_label(level: float) -> str:
    return f"FLAC -8: {level:.3f}"


def _curve(run: Run) -> Curve:
    return run.metrics[VALID if VALID in run.metrics else TRAIN]


def _label(number: int, run: Run, flac: float | None) -> str:
    before, after = f"{number}  ", "" if VALID in run.metrics else " (training)"
    if flac is not None:
        after += f"   {_flac_label(flac)}"
    name = printable(run.name)[-_MAX_NAME:]
    label = before + name + after
    # Shortened at the left: where they end, paths differ.
    while name and (width := _width(label)) > _LEGEND_WIDTH:
        name = name[max(1, int(len(label) * (1 - _LEGEND_WIDTH / width))) :]
        label = f"{before}…{name}{after}"
    return label


def _width(text: str) -> float:
    """Returns the width of a text in a legend, in inches."""
    font = FontProperties(size=rcParams["legend.fontsize"])
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] / 72


def _style(number: int, points: int) -> dict[str, Any]:
    """Returns a style that distinguishes a run from many others, in grey, too."""
    return {
        "linestyle": _STYLES[number % len(_STYLES)],
        "marker": _MARKERS[number % len(_MARKERS)],
        "markersize": 5,
        "markevery": max(1, points // _MARKERS_A_CURVE),
        "color": _COLORS[number % len(_COLORS)],
    }
