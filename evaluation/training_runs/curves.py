"""Plots the curves of a run during training."""

import collections
import gc
import math
import os
import time
from collections.abc import Callable, Mapping

from evaluation.training_runs.metrics_log import Curve, Metrics, make_curve
from runtime.logging import logger

_SECONDS_BETWEEN_DRAWINGS = 30.0
_MAX_POINTS = 4096


def draw_curves(metrics: Metrics, path: str | os.PathLike[str]) -> None:
    """Draws the curves of a run into a PNG, which is replaced atomically. Raises OSError."""
    # Importing matplotlib takes a second: not before something is drawn.
    from evaluation.training_runs.plots import curves_figure, save_png

    save_png(curves_figure(metrics), path)


class CurvesWriter:
    """A metrics writer, like those of training, that plots the curves of a run.

    It draws after a validation, but at most every 30 seconds, and when it is closed. Its memory is
    bounded: of a long run it keeps every second, fourth, eighth ... point of a curve.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        earlier: Metrics | None = None,
        *,
        draw: Callable[[Metrics, str | os.PathLike[str]], None] = draw_curves,
        clock: Callable[[], float] = time.monotonic,
        max_points: int = _MAX_POINTS,
    ) -> None:
        """Starts with the curves of `earlier`.

        Args:
          path: path of the PNG.
          earlier: the curves of a resumed run up to its checkpoint.
          draw: draws curves into the file at a path.
          clock: monotonic time in seconds.
          max_points: limit on the points kept per curve.
        """
        self._path = path
        self._draw_curves = draw
        self._clock = clock
        self._points = collections.defaultdict[str, _Points](lambda: _Points(max_points))
        for name, curve in (earlier or {}).items():
            for point in zip(*(column.tolist() for column in curve), strict=True):
                self._points[name].add(*point)
        self._drawn = -math.inf
        self._is_drawn = True
        self._is_failing = False

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Adds the metrics of a step; `wall_time_s` among them is the time since the run began."""
        wall_time_s = float(metrics.get("wall_time_s", math.nan))
        # "train/loss" is a metric; names without a slash are of the line, such as its time.
        for name, value in metrics.items():
            if "/" in name:
                self._points[name].add(int(step), wall_time_s, float(value))
                self._is_drawn = False
        due = self._clock() - self._drawn >= _SECONDS_BETWEEN_DRAWINGS
        # Not with every line: a drawing takes a second, in which nothing is trained.
        if due and "valid/bits_per_sample" in metrics:
            self._draw()

    def close(self) -> None:
        """Draws the curves if there are new points."""
        if not self._is_drawn:
            self._draw()

    def _draw(self) -> None:
        curves = {name: points.curve() for name, points in self._points.items()}
        # Not left to the caller: to it, a point that needs no drawing is a success.
        try:
            self._draw_curves(curves, self._path)
        except OSError as error:
            if not self._is_failing:
                logger.warning("%s is not drawn: %s", self._path, error)
            self._is_failing = True
            return
        finally:
            gc.collect()  # A figure is a web of cycles, megabytes of it.
        if self._is_failing:
            logger.warning("%s is drawn again", self._path)
        self._is_failing = False
        self._drawn, self._is_drawn = self._clock(), True


class _Points:
    """Points of a curve, evenly thinned as they become too many; the last one is always kept."""

    _last: tuple[int, tuple[float, float]]

    def __init__(self, max_points: int) -> None:
        self._max = max_points
        self._kept: list[tuple[int, tuple[float, float]]] = []
        self._stride = 1
        self._count = 0

    def add(self, step: int, wall_time_s: float, value: float) -> None:
        self._last = (step, (wall_time_s, value))
        if self._count % self._stride == 0:
            self._kept.append(self._last)
        self._count += 1
        if len(self._kept) > self._max:
            self._kept = self._kept[::2]
            self._stride *= 2

    def curve(self) -> Curve:
        return make_curve(dict([*self._kept, self._last]).items())
