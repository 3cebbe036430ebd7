"""What other codecs make of the files that were compressed."""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from codec.values import integers
from commands.codec_progress import size_of
from evaluation.baselines.libraries import all_codecs
from evaluation.baselines.pcm import Codec, CodecError, PcmFormat
from evaluation.report.formatting import printable
from pipeline.catalogue.catalogue import Skipped
from pipeline.corpus import describe_skipped
from pipeline.wav.header import read_header
from pipeline.wav.riff import WavError
from runtime.devices import available_cores
from runtime.filesystem import open_for_reads
from runtime.formatting import format_number
from runtime.progress import progress_bar
from runtime.threads import map_in_threads

_BLOCK_FRAMES = 2**18
_MOST_REASONS = 5


class _Sizes(NamedTuple):
    wav_bytes: int
    samples: int
    sizes: list[int]  # Bytes by each codec.


class Comparison:
    """The sizes of some files, encoded by every codec that this machine has."""

    def __init__(self, paths: Sequence[str]) -> None:
        """Encodes them."""
        self._codecs = all_codecs()
        sizes = map_in_threads(self._encode, paths, available_cores(), ahead=len(paths))
        shown = progress_bar("other codecs")(sizes, len(paths))
        self._sizes = dict(zip(paths, shown, strict=True))

    def table(self, targets: Mapping[str, str]) -> str:
        """Returns a table: of each codec the bytes, their share of the WAVs', bits per sample.

        Args:
          targets: the compressed files by their sources.
        """
        # Only what every codec can encode: sums over different files say nothing.
        compared = {
            source: found
            for source, found in self._sizes.items()
            if source in targets and isinstance(found, _Sizes)
        }
        left_out = [
            Skipped(printable(source), found)
            for source, found in self._sizes.items()
            if source in targets and isinstance(found, str)
        ]
        files = format_number(len(left_out), "file")
        note = (
            f"left out of all rows, wavestream's too: {files} that not every one of these codecs "
            f"can encode: {describe_skipped(left_out, _MOST_REASONS)}\n"
        )
        if not compared:
            return f"\n{note}" if targets else ""
        samples = sum(found.samples for found in compared.values())
        before = sum(found.wav_bytes for found in compared.values())
        ours = sum(size_of(targets[source]) for source in compared)
        rows = [("> wavestream", float(ours))]
        rows += [
            (f"  {codec.name}", float(sum(found.sizes[k] for found in compared.values())))
            for k, codec in enumerate(self._codecs)
        ]
        rows.append(("  WAV", float(before)))
        lines = [f"{'':<18}{'bytes':>15}{'ratio':>9}{'bits per sample':>17}{'wavestream':>13}"]
        for name, size in rows:
            gain = "" if size == ours or not size else f"{100 * (ours / size - 1):+.1f}%"
            bits = 8 * size / samples
            lines.append(
                f"{name:<18}{size:>15,.0f}{size / before:>9.4f}{bits:>17.3f}{gain:>13}".rstrip()
            )
        rule = "-" * len(lines[0])
        text = "\n".join(["", lines[0], rule, *lines[1:], rule])
        return f"{text}\n{note}" if left_out else text

    def _encode(self, path: str) -> _Sizes | str:
        """Returns the sizes of a file, or why not every codec can encode it."""
        try:
            size = size_of(path)
            with open_for_reads(path) as read_at:
                wav = read_header(read_at, size)
                if wav.encoding.is_float:
                    return "its samples are floats"
                pcm = PcmFormat(
                    sample_rate=wav.sample_rate,
                    channels=wav.channels,
                    depth=wav.encoding.depth,
                    frames=wav.frames,
                )

                def block(first: int) -> np.ndarray:
                    count = min(_BLOCK_FRAMES, wav.frames - first)
                    data = read_at(
                        wav.payload_offset + first * wav.frame_bytes, count * wav.frame_bytes
                    )
                    return integers(data, wav.encoding).reshape(-1, wav.channels)

                starts = range(0, wav.frames, _BLOCK_FRAMES)
                sizes = [_size(codec, pcm, map(block, starts)) for codec in self._codecs]
                return _Sizes(size, wav.frames * wav.channels, sizes)
        except OSError as error:
            return error.strerror or str(error)
        except (WavError, _CannotEncodeError) as error:
            return str(error)


class _CannotEncodeError(Exception):
    """A codec cannot encode a file; the message names the codec."""


def _size(codec: Codec, pcm: PcmFormat, blocks: "map[np.ndarray]") -> int:
    try:
        return codec.encode(pcm, itertools.chain(blocks)).total_bytes
    except CodecError as error:
        raise _CannotEncodeError(f"{codec.name}: {error}") from error
