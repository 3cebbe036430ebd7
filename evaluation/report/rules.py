"""By which rules the codecs are compared: what must be read to believe a figure."""

from evaluation.report.figures import Figures
from evaluation.report.formatting import Shown, Text

COUNTED = "†"
PARTIAL = "‡"


def rules(figures: Figures) -> list[tuple[str, str]]:
    """Returns the rules that apply to these figures, as rows of a term and what it means."""
    bits = figures["raw_bits"]
    settings = figures["settings"]
    mixed = "after the same downmix" if settings.get("pipeline.downmix", True) else "all channels"
    size = settings.get("pipeline.chunk_size")
    chunk = f"{size:,} samples" if size else "chunk"
    rows = [
        ("bits per sample", f"of the very samples the model sees, {mixed}, in {bits} bits."),
        ("of raw", f"compressed over raw bits, {bits} a sample: smaller is better, 100% is none."),
        ("order-0 entropy", "needed by a coder that knows how often each value comes, no more."),
    ]
    if figures["model"]["interval"]:
        rows.append(
            ("interval", "95%, over files drawn anew; too narrow for fewer than twenty files.")
        )
    if figures["codecs"]:
        rows.append(
            ("container", "headers, tables, tags; left out, but for the column “with container”.")
        )
        alone = f"every {chunk} a stream of its own, as they are for the model"
        rows.append(
            ("chunk alone", f"{alone}; the other columns: whole files.")
            if _any(figures, "chunked")
            else ("whole files", f"for the codecs; the model codes every {chunk} alone.")
        )
    if _any(figures, "native"):
        rows.append(
            ("native", "the files' own channels and depth, per own sample: another measure.")
        )
    if figures["model"]["bytes"]:
        rows.append(("model counted", "with the bits of the model file, over the same samples."))
    return rows


def marks(codec: Figures, figures: Figures) -> str:
    """Returns the marks that a codec's rate needs."""
    partial = 0 < codec["files"] < figures["files"]
    counted = codec["files"] and not codec["container_is_known"]
    return COUNTED * bool(counted) + PARTIAL * partial


def notes(figures: Figures) -> list[Text]:
    """Returns what is to be known of single codecs."""
    found: list[Text] = []
    codecs = figures["codecs"]
    if any(COUNTED in marks(codec, figures) for codec in codecs):
        found.append([f"{COUNTED} its container cannot be told apart and is counted."])
    for i, codec in enumerate(codecs):
        name = Shown(f"codecs.{i}.codec", "text")
        if PARTIAL in marks(codec, figures):
            text: Text = [f"{PARTIAL} ", name, " could take ", Shown(f"codecs.{i}.files", "count")]
            text += [" of ", Shown("files", "count"), " files; on these the model needs "]
            text += [Shown(f"codecs.{i}.against_model.model_bits_per_sample"), "."]
            found.append(text)
        if codec["remark"]:
            found.append([name, ": ", Shown(f"codecs.{i}.remark", "text")])
    return found


def _any(figures: Figures, column: str) -> bool:
    return any(codec[column] for codec in figures["codecs"])
