"""The curves of a run as a picture, while it goes on."""

import math
import os
import time
from collections.abc import Callable, Mapping

from evaluation.runs.metrics_log import Curve, Metrics, make_curve

_SECONDS_BETWEEN_DRAWINGS = 30.0
_MOST_POINTS = 4096


def draw_curves(metrics: Metrics, path: str | os.PathLike[str]) -> None:
    """Draws the curves of a run into a PNG, which is replaced as a whole. Raises OSError."""
    # matplotlib takes a second: not before something is drawn.
    from evaluation.runs.plots import curves_figure, save_png

    save_png(curves_figure(metrics), path)


class CurvesWriter:
    """Draws the curves of a run while it goes on; a writer of metrics like those of training.

    It draws when a validation comes, but at most every 30 seconds, and when it is closed. What it
    keeps is bounded: of a long run, every second, fourth, eighth ... point of a curve.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        earlier: Metrics | None = None,
        *,
        draw: Callable[[Metrics, str | os.PathLike[str]], None] = draw_curves,
        clock: Callable[[], float] = time.monotonic,
        most_points: int = _MOST_POINTS,
    ) -> None:
        """Makes a writer.

        Args:
          path: of the picture.
          earlier: the curves up to where a run is resumed.
          draw: draws the curves into the picture.
          clock: in seconds.
          most_points: of a curve, to be kept.
        """
        self._path = path
        self._draw_curves = draw
        self._clock = clock
        self._most_points = most_points
        self._points: dict[str, _Points] = {}
        for name, curve in (earlier or {}).items():
            for step, wall_time_s, value in zip(*curve, strict=True):
                self._add(name, int(step), float(wall_time_s), float(value))
        self._drawn = -math.inf
        self._is_drawn = True

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Takes the metrics of a step; `wall_time_s` among them is the time of the run."""
        wall_time_s = float(metrics.get("wall_time_s", math.nan))
        for name, value in metrics.items():
            if "/" in name:
                self._add(name, int(step), wall_time_s, float(value))
                self._is_drawn = False
        due = self._clock() - self._drawn >= _SECONDS_BETWEEN_DRAWINGS
        if due and "valid/bits_per_sample" in metrics:
            self._draw()

    def close(self) -> None:
        """Draws what was not drawn yet."""
        if not self._is_drawn:
            self._draw()

    def _add(self, name: str, step: int, wall_time_s: float, value: float) -> None:
        points = self._points.setdefault(name, _Points(self._most_points))
        points.add(step, wall_time_s, value)

    def _draw(self) -> None:
        curves = {name: points.curve() for name, points in self._points.items()}
        self._draw_curves(curves, self._path)
        self._drawn, self._is_drawn = self._clock(), True


class _Points:
    """Points of a curve, thinned evenly where they become many, and always the last of them."""

    _last: tuple[int, tuple[float, float]]

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: list[tuple[int, tuple[float, float]]] = []
        self._stride = 1
        self._count = 0

    def add(self, step: int, wall_time_s: float, value: float) -> None:
        self._last = (step, (wall_time_s, value))
        if self._count % self._stride == 0:
            self._kept.append(self._last)
        self._count += 1
        if len(self._kept) > self._most:
            self._kept = self._kept[::2]
            self._stride *= 2

    def curve(self) -> Curve:
        return make_curve(dict([*self._kept, self._last]).items())
