"""The columns of the tables, on the console and in the report.

A column makes a row's cell from the row's path in the dict of figures: "model", "order0" or a
codec's, such as "codecs.0". A cell that does not apply is empty.
"""

from collections.abc import Callable

from evaluation.report.figures import Figures
from evaluation.report.formatting import Shown, Text, find
from evaluation.report.rules import marks

Column = Callable[[Figures, str], Text]


def name(figures: Figures, path: str) -> Text:
    """Who it is, and the marks that a codec's figures need."""
    if path == "model":
        return ["the model", ""]
    if path == "order0":
        return ["order-0 entropy", ""]
    return [Shown(f"{path}.codec", "text"), marks(find(figures, path), figures)]


def rate(figures: Figures, path: str) -> Text:
    """Bits per sample; a dash where the codec took no file."""
    return [Shown(f"{path}.bits_per_sample")]


def ratio(figures: Figures, path: str) -> Text:
    """Compressed over raw bits."""
    return _known(figures, f"{path}.ratio", "ratio")


def interval(figures: Figures, path: str) -> Text:
    """The interval of the rate over files."""
    return _interval(figures, f"{path}.interval", "bound")


def difference(figures: Figures, path: str) -> Text:
    """The model's rate less the codec's, on the files that the codec took."""
    return _known(figures, f"{path}.against_model.difference", "difference")


def difference_interval(figures: Figures, path: str) -> Text:
    """The interval of the difference over files."""
    return _interval(figures, f"{path}.against_model.interval", "difference")


def with_container(figures: Figures, path: str) -> Text:
    """Bits per sample of the codec's files as they are."""
    return _known(figures, f"{path}.bits_per_sample_with_container")


def chunk_alone(figures: Figures, path: str) -> Text:
    """Bits per sample with every chunk a stream of its own."""
    if path == "model" and any(codec["chunked"] for codec in figures["codecs"]):
        return rate(figures, path)  # it knows no other way
    return _known(figures, f"{path}.chunked.bits_per_sample")


def native(figures: Figures, path: str) -> Text:
    """Bits per sample of the files' own samples."""
    return _known(figures, f"{path}.native.bits_per_sample")


def native_ratio(figures: Figures, path: str) -> Text:
    """Compressed over raw bits of the files' own samples."""
    return _known(figures, f"{path}.native.ratio", "ratio")


def with_model(figures: Figures, path: str) -> Text:
    """Bits per sample, those of the model file included."""
    return _known(figures, f"{path}.bits_per_sample_with_model")


def _known(figures: Figures, path: str, kind: str = "rate") -> Text:
    return [Shown(path, kind)] if _has(figures, path) else []


def _interval(figures: Figures, path: str, kind: str) -> Text:
    if not _has(figures, path):
        return []
    return [Shown(f"{path}.low", kind), " to ", Shown(f"{path}.high", kind)]


def _has(figures: Figures, path: str) -> bool:
    try:
        return find(figures, path) is not None
    except KeyError:  # order-0 entropy has no interval, most codecs no native rate
        return False
