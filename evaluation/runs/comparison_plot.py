"""The curves of several runs in one picture."""

import os
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from evaluation.report.formatting import printable
from evaluation.runs.curves import bits_limits, label_axes, save_png, time_unit
from evaluation.runs.metrics_log import Curve
from evaluation.runs.run_dir import FLAC, TRAIN, VALID, Run

_STYLES = ("-", "--", "-.", ":")
_MARKERS = "os^Dv"
_COLORS = ("#12355b", "#b5452c", "#4f8a6b", "#c58b1b", "#7a4f9a", "#5f6b76", "#1b8fb5")
_MARKERS_A_CURVE = 12
_LABEL_HEIGHT = 0.085  # of the picture's; two lines


def draw_comparison(runs: Sequence[Run], path: str | os.PathLike[str]) -> None:
    """Draws bits per sample of validation, against steps and against time, into a PNG.

    A run without validation shows its training. Raises OSError if it cannot be written.
    """
    from matplotlib.figure import Figure

    unit, length = time_unit(*(run.metrics for run in runs))
    figure = Figure(figsize=(11, 4.5 + 0.2 * len(runs)), layout="constrained")
    by_steps, by_time = figure.subplots(1, 2, sharey=True)
    label_axes(by_steps, "steps", "bits per sample")
    label_axes(by_time, f"time ({unit})", "")
    flac = {run.last(FLAC) for run in runs} - {None}
    levels = sorted(filter(None, flac))
    limits = bits_limits(*(_curve(run) for run in runs), levels=levels)
    if limits:
        by_steps.set_ylim(limits)
    lines = []
    for number, run in enumerate(runs):
        curve, style = _curve(run), _style(number, len(_curve(run).steps))
        lines += by_steps.plot(curve.steps, curve.values, **style)
        by_time.plot(curve.seconds / length, curve.values, **style)
    bottom, top = by_steps.get_ylim()
    for rate, place in zip(levels, apart(levels, _LABEL_HEIGHT * (top - bottom)), strict=True):
        whose = [str(number) for number, run in enumerate(runs, 1) if run.last(FLAC) == rate]
        text = "FLAC -8" + (f" of {', '.join(whose)}" if len(flac) > 1 else "") + f"\n{rate:.3f}"
        for axes in (by_steps, by_time):
            axes.axhline(rate, color="black", linestyle=(0, (6, 3)), linewidth=1, zorder=0)
        by_time.annotate(  # Beside the picture, where it hides no curve.
            text,
            (1, rate),
            (1.04, place),
            xycoords=by_time.get_yaxis_transform(),
            va="center",
            fontsize="small",
            arrowprops={"arrowstyle": "-", "linewidth": 0.6, "relpos": (0, 0.5)},
        )
    labels = [_label(number, run) for number, run in enumerate(runs, 1)]
    figure.legend(lines, labels, loc="outside lower left", frameon=False)
    save_png(figure, path)


def apart(places: Sequence[float], distance: float) -> list[float]:
    """Returns places that are a distance apart, as near as can be to the given ones, in order.

    Less the distances it is an isotonic regression, which has a closed form: max-min of means.
    """
    count = len(places)
    free = [place - i * distance for i, place in enumerate(places)]
    return [
        max(min(fmean(free[j:k]) for k in range(i + 1, count + 1)) for j in range(i + 1))
        + i * distance
        for i in range(count)
    ]


def _curve(run: Run) -> Curve:
    return run.metrics[VALID if VALID in run.metrics else TRAIN]


def _label(number: int, run: Run) -> str:
    name = printable(run.name).replace("$", r"\$")  # else it begins a formula
    return f"{number}  {name}" + ("" if VALID in run.metrics else " (training)")


def _style(number: int, points: int) -> dict[str, Any]:
    """No two of many runs look alike, in grey either."""
    return {
        "linestyle": _STYLES[number % len(_STYLES)],
        "marker": _MARKERS[number % len(_MARKERS)],
        "markersize": 5,
        "markevery": max(1, points // _MARKERS_A_CURVE),
        "color": _COLORS[number % len(_COLORS)],
    }
