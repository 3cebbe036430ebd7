"""The verdict on an evaluation in a sentence or two, and the rules by which it was measured."""

from evaluation.report.formatting import bits, bound, difference, printable, ratio, share
from evaluation.report.summary import Coder, Comparison, Summary

_NATIVE = (
    "the files as they are, in all their channels and bits (all floats as 32-bit integers, A-law "
    "and mu-law as 16-bit)"
)
_AUDIO = {"valid": "held-out audio", "train": "the audio it was trained on"}


def verdict(summary: Summary) -> str:
    """Returns the main result, for a reader of nothing else."""
    model, codec = summary.model, summary.reference
    if model.cost.bits_per_sample is None:
        return "There was no audio to evaluate the model on."
    files = "one file" if summary.files == 1 else f"{summary.files:,} files"
    audio = _AUDIO.get(summary.settings.get("split", ""), "audio")
    text = (
        f"On {files} of {audio} the model needs {bits(model.cost.bits_per_sample)} bits per sample"
    )
    if model.interval:
        low, high = bound(model.interval.low), bound(model.interval.high)
        text += f" ({share(summary.confidence)} interval over files {low} to {high})"
    if codec is None or codec.against_model is None:
        return (
            f"{text}: {ratio(model.cost.ratio)} of {raw_bits(summary)}. No "
            "other codec was measured."
        )
    text += _against(summary, codec, codec.against_model)
    if summary.files == 1:
        text += " One file is not representative of others."
    # Of all files, or its figure is of another set than the model's.
    best = next((x for x in summary.codecs if x.cost.files == summary.files), codec)
    if best is not codec:  # FLAC is the reference, but not always the best codec.
        name, cost = printable(best.name), bits(best.cost.bits_per_sample)
        text += f" The best of the codecs, {name}, needs {cost}."
    return text


def raw_bits(summary: Summary) -> str:
    """Returns the bits of a sample without compression, such as "16 bits"."""
    return "raw bits" if summary.raw_depth is None else f"{summary.raw_depth} bits"


def _shares_of(depth: int) -> str:
    """Returns what files of fewer bits, which are scaled up, have of these without any coding."""
    fewer = [own for own in (8, 16) if own < depth]
    shares = " and ".join(f"{ratio(own / depth)} of a file of {own} bits" for own in fewer)
    return f": without compression, {shares}" if fewer else ""


def _against(summary: Summary, codec: Coder, comparison: Comparison) -> str:
    name = printable(codec.name)
    text = ": "
    if codec.cost.files < summary.files:
        text = (
            f". {name} could encode {codec.cost.files:,} of the files; on these the model needs "
            f"{bits(comparison.model_bits_per_sample)}, "
        )
    text += f"{_than(comparison.relative)} {name}'s {bits(codec.cost.bits_per_sample)}"
    interval = comparison.interval
    if interval and interval.low <= 0 <= interval.high:
        low, high = difference(interval.low), difference(interval.high)
        text += f", which is no clear difference: its interval, {low} to {high}, includes zero"
    return f"{text}."


def _than(relative: float | None) -> str:
    if relative is None:  # the codec needs nothing at all
        return "against"
    if relative == 0:
        return "as many as"
    return f"{share(relative)} {'fewer' if relative < 0 else 'more'} than"


def rules(summary: Summary) -> list[tuple[str, str]]:
    """Returns how the figures were measured, as rows of a term and its meaning."""
    rows = _rules_of_native(summary) if summary.native else _rules_as_read(summary)
    if summary.model.interval:
        rows.append(
            ("interval", "95%, bootstrap over files; too narrow for fewer than twenty files.")
        )
    if summary.codecs:
        rows.append(
            ("container", "headers, tables, tags; counted only in the column “with container”.")
        )
        rows.append(_unit_rule(summary))
    if summary.model.native:
        rows.append(
            (
                "native",
                f"{_NATIVE}, per native sample; of the model, what `compress` makes of the files. "
                "To be compared with each other only.",
            )
        )
        rows.append(("native file", "the same with the container, all bytes of a file."))
    if summary.model_bytes:
        rows.append(("model counted", "with the bits of the model file, over the same samples."))
    return rows


def _rules_of_native(summary: Summary) -> list[tuple[str, str]]:
    rows = [
        (
            "bits per sample",
            f"{_NATIVE}; of the model, what `compress` makes of them.",
        ),
        (f"of {raw_bits(summary)}", "compressed over raw bits."),
    ]
    if cost := summary.model.as_read:
        how = f"{_mixed(summary)}, in {summary.depth} bits"
        rows.append(
            (
                "as the model reads",
                f"{bits(cost.bits_per_sample)} bits per sample: {how}, as in training.",
            )
        )
    return rows


def _rules_as_read(summary: Summary) -> list[tuple[str, str]]:
    depth = summary.depth
    return [
        (
            "bits per sample",
            f"on the same samples as the model, {_mixed(summary)}, in {depth} bits.",
        ),
        (
            f"of {depth} bits",
            f"compressed over raw bits, {depth} a sample, which is what the model reads of every "
            f"file{_shares_of(depth)}.",
        ),
        ("order-0 entropy", "bits of a memoryless coder that knows the frequency of each value."),
    ]


def _mixed(summary: Summary) -> str:
    return (
        "after the same downmix"
        if summary.settings.get("pipeline.downmix", True)
        else "all channels"
    )


def _unit_rule(summary: Summary) -> tuple[str, str]:
    settings = summary.settings
    size = settings.get("pipeline.chunk_size")
    chunk = f"{size:,} samples" if size else "chunk"
    segment = settings.get("segment")
    unit = f"segment of up to {segment:,} frames" if segment else chunk
    if any(codec.chunked for codec in summary.codecs):
        alone = f"every {chunk} a separate stream, as for the model"
        return "chunk alone", f"{alone}; the other columns: whole files."
    return "whole files", f"for the codecs; the model codes every {unit} alone."
