"""The curves of a run as one picture, also while it goes on."""

import io
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.runs.metrics_log import Curve, Metrics, last, make_curve
from runtime.filesystem import write_bytes_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SECONDS_BETWEEN_DRAWINGS = 30.0
_MOST_POINTS = 4096
_MOST_MARKERS = 60
_BLUE = "#12355b"
_TRAIN: dict[str, Any] = {"color": "#9a9a9a", "linewidth": 1.0, "label": "training"}
_VALID: dict[str, Any] = {"color": _BLUE, "linewidth": 2.0, "label": "validation"}


class CurvesWriter:
    """Draws the curves of a run while it goes on; a writer of metrics like those of training.

    It draws when a validation comes, but at most every 30 seconds, and when it is closed. What it
    keeps is bounded: of a long run, every second, fourth, eighth ... point of a curve.
    """

    def __init__(self, path: str | os.PathLike[str], earlier: Metrics | None = None) -> None:
        """Makes a writer.

        Args:
          path: of the picture.
          earlier: the curves up to where a run is resumed.
        """
        self._path = path
        self._points: dict[str, _Points] = {}
        for name, curve in (earlier or {}).items():
            points = self._points.setdefault(name, _Points())
            for step, seconds, value in zip(*curve, strict=True):
                points.add(int(step), float(seconds), float(value))
        self._drawn = -math.inf
        self._is_drawn = True

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Takes the metrics of a step; `seconds` among them is the time of the run."""
        seconds = float(metrics.get("seconds", math.nan))
        for name, value in metrics.items():
            if "/" in name:
                self._points.setdefault(name, _Points()).add(int(step), seconds, float(value))
                self._is_drawn = False
        due = time.monotonic() - self._drawn >= _SECONDS_BETWEEN_DRAWINGS
        if due and "valid/bits_per_sample" in metrics:
            self._draw()

    def close(self) -> None:
        """Draws what was not drawn yet."""
        if not self._is_drawn:
            self._draw()

    def _draw(self) -> None:
        draw_curves({name: points.curve() for name, points in self._points.items()}, self._path)
        self._drawn, self._is_drawn = time.monotonic(), True


class _Points:
    """Points of a curve, thinned evenly where they become many, and always the last of them."""

    _last: tuple[int, tuple[float, float]]

    def __init__(self) -> None:
        self._kept: list[tuple[int, tuple[float, float]]] = []
        self._stride = 1
        self._count = 0

    def add(self, step: int, seconds: float, value: float) -> None:
        self._last = (step, (seconds, value))
        if self._count % self._stride == 0:
            self._kept.append(self._last)
        self._count += 1
        if len(self._kept) > _MOST_POINTS:
            self._kept = self._kept[::2]
            self._stride *= 2

    def curve(self) -> Curve:
        return make_curve(dict([*self._kept, self._last]).items())


def draw_curves(metrics: Metrics, path: str | os.PathLike[str]) -> None:
    """Draws loss, bits per sample, learning rate, gradient norm and input wait into a PNG.

    Args:
      metrics: as `read_metrics` gives them; what is missing is left out.
      path: of the PNG, which is replaced as a whole.

    Raises:
      OSError: it cannot be written.
    """
    from matplotlib.figure import Figure  # takes a second: not before something is drawn
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.ticker import PercentFormatter

    layout = ConstrainedLayoutEngine(hspace=0.04, wspace=0.04)
    figure = Figure(figsize=(10, 9.5), layout=layout)
    (by_steps, by_time), (loss, rate), (norm, wait) = figure.subplots(3, 2)
    _draw_bits(by_steps, metrics, lambda curve: curve.steps)
    unit, length = time_unit(metrics)
    _draw_bits(by_time, metrics, lambda curve: curve.seconds / length)
    _draw_curve(loss, metrics, "train/loss", **_TRAIN)
    _draw_curve(loss, metrics, "valid/loss", **_VALID)
    for axes, name in ((rate, "learning_rate"), (norm, "grad_norm"), (wait, "input_wait")):
        _draw_curve(axes, metrics, f"train/{name}", color=_BLUE, clip_on=False)
    for axes, label in (
        (by_steps, "bits per sample"),
        (by_time, "bits per sample"),
        (loss, "loss (nats per symbol)"),
        (rate, "learning rate"),
        (norm, "norm of the gradient"),
        (wait, "input wait (share of the time)"),
    ):
        label_axes(axes, f"time ({unit})" if axes is by_time else "steps", label)
    for axes in (rate, norm, wait):
        axes.set_ylim(bottom=0)
    wait.yaxis.set_major_formatter(PercentFormatter(1))
    handles, labels = by_steps.get_legend_handles_labels()
    if handles:  # Above all of them, where it hides nothing.
        figure.legend(handles, labels, loc="outside upper left", ncols=4, frameon=False)
    save_png(figure, path)


def label_axes(axes: "Axes", x_label: str, y_label: str) -> None:
    """Names the axes, leaves out the frame, and writes thousands of steps as k."""
    from matplotlib.ticker import EngFormatter

    axes.set(xlabel=x_label, ylabel=y_label)
    axes.spines[["top", "right"]].set_visible(False)
    if x_label == "steps":
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def save_png(figure: "Figure", path: str | os.PathLike[str]) -> None:
    """Writes a figure as a PNG, as a whole. Raises OSError."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    write_bytes_atomically(os.fspath(path), content.getvalue())


def time_unit(*runs: Metrics) -> tuple[str, float]:
    """Returns the unit of time that suits the longest of some runs, and its seconds."""
    longest = max(
        (np.nanmax([*curve.seconds, 0.0]) for metrics in runs for curve in metrics.values()),
        default=0.0,
    )
    for unit, seconds in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if longest >= 2 * seconds:
            return unit, seconds
    return "seconds", 1.0


def bits_limits(*curves: Curve, levels: Sequence[float]) -> tuple[float, float] | None:
    """Returns the range of bits per sample to be shown; None where there is nothing to show.

    A run's first figures may be far above all that follow: the highest are cut off, but of a curve
    of few points, whose markers show, none.
    """
    shown = [level for level in levels if math.isfinite(level)]
    for curve in curves:
        finite = curve.values[np.isfinite(curve.values)]
        shown += np.quantile(finite, [0, 0.98], method="higher").tolist() if len(finite) else []
    if not shown:
        return None
    margin = 0.08 * (max(shown) - min(shown)) or 0.1
    return max(0.0, min(shown) - margin), max(shown) + margin


def _draw_bits(axes: "Axes", metrics: Metrics, place: Callable[[Curve], np.ndarray]) -> None:
    """Training and validation; FLAC, and a coder without memory, as levels."""
    names = ("train/bits_per_sample", "valid/bits_per_sample")
    _draw_curve(axes, metrics, names[0], place, **_TRAIN)
    _draw_curve(axes, metrics, names[1], place, **_VALID)
    flac = last(metrics, "valid/flac_bits_per_sample")
    order0 = last(metrics, "valid/order0_bits_per_sample")
    if flac is not None:
        axes.axhline(flac, color="black", linestyle="--", label=f"FLAC -8: {flac:.3f}")
    limits = bits_limits(
        *(metrics[name] for name in names if name in metrics),
        levels=[] if flac is None else [flac],
    )
    if limits:
        axes.set_ylim(limits)
    if order0 is not None:
        beyond = ", above the picture" if limits and order0 > limits[1] else ""
        label = f"order-0 entropy: {order0:.3f}{beyond}"
        axes.axhline(order0, color="black", linestyle=":", label=label)


def _draw_curve(
    axes: "Axes",
    metrics: Metrics,
    name: str,
    place: Callable[[Curve], np.ndarray] = lambda curve: curve.steps,
    **style: Any,
) -> None:
    if name in metrics:
        curve = metrics[name]
        marker = "o" if len(curve.steps) <= _MOST_MARKERS else ""
        axes.plot(place(curve), curve.values, marker=marker, markersize=3, **style)
