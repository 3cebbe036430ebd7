"""The verdict on a model, in a sentence or two."""

from evaluation.report.figures import Figures, ranking
from evaluation.report.formatting import Shown, Text, find

_REFERENCE = "FLAC -8"
_AUDIO = {"valid": "held-out audio", "train": "the audio it was trained on"}


def reference(figures: Figures) -> int | None:
    """Returns the codec that the model is held against, an index, or None.

    FLAC -8 is what people know; failing that another FLAC, and then the best codec.
    """
    measured = [i for i, codec in enumerate(figures["codecs"]) if codec["files"]]
    return min(
        measured,
        key=lambda i: (
            figures["codecs"][i]["codec"] != _REFERENCE,
            not figures["codecs"][i]["codec"].startswith("FLAC"),
            i,
        ),
        default=None,
    )


def verdict(figures: Figures) -> Text:
    """Returns what someone should know who reads nothing else."""
    if figures["model"]["bits_per_sample"] is None:
        return ["There was no audio to evaluate the model on."]
    text: Text = ["On ", *_files(figures["files"]), " of "]
    text += [_AUDIO.get(figures["settings"].get("split", ""), "audio"), " the model needs "]
    text += [Shown("model.bits_per_sample"), " bits per sample"]
    if figures["model"]["interval"]:
        text += [" (", Shown("interval.confidence", "share"), " interval over files "]
        text += [Shown("model.interval.low", "bound"), " to "]
        text += [Shown("model.interval.high", "bound"), ")"]
    index = reference(figures)
    if index is None:
        text += [": ", Shown("model.ratio", "ratio"), " of the ", Shown("raw_bits", "count")]
        return [*text, " bits of a raw sample. No other codec was measured."]
    return [*text, *_comparison(figures, index), *_best_codec(figures, index)]


def _files(count: int) -> Text:
    return ["one file"] if count == 1 else [Shown("files", "count"), " files"]


def _comparison(figures: Figures, index: int) -> Text:
    path, codec = f"codecs.{index}", figures["codecs"][index]
    name = Shown(f"{path}.codec", "text")
    if codec["files"] == figures["files"]:
        text: Text = [": "]
    else:
        text = [". ", name, " could take ", Shown(f"{path}.files", "count"), " of the files; on "]
        text += ["these the model needs ", Shown(f"{path}.against_model.model_bits_per_sample")]
        text += [", "]
    text += [*_difference(figures, path), name, "'s ", Shown(f"{path}.bits_per_sample")]
    interval = codec["against_model"]["interval"]
    if interval and interval["low"] <= 0 <= interval["high"]:
        text += [", which is no clear difference: its interval, "]
        text += [Shown(f"{path}.against_model.interval.low", "difference"), " to "]
        text += [Shown(f"{path}.against_model.interval.high", "difference"), ", includes zero"]
    text.append(".")
    return [*text, " One file tells little of others."] if figures["files"] == 1 else text


def _difference(figures: Figures, path: str) -> Text:
    relative = find(figures, f"{path}.against_model.relative")
    if relative is None:  # the codec needs nothing at all
        return ["against "]
    if relative == 0:
        return ["as many as "]
    word = "fewer" if relative < 0 else "more"
    return [Shown(f"{path}.against_model.relative", "share"), f" {word} than "]


def _best_codec(figures: Figures, index: int) -> Text:
    """The best codec, where the model was held against another: who leads the field is news."""
    for path in ranking(figures):
        if path.startswith("codecs.") and find(figures, f"{path}.files") == figures["files"]:
            if path == f"codecs.{index}":
                return []
            name = Shown(f"{path}.codec", "text")
            rate = Shown(f"{path}.bits_per_sample")
            return [" The best of the codecs, ", name, ", needs ", rate, "."]
    return []
