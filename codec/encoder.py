"""From a file to a smaller one."""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple

from codec import packing
from codec.blocks import MAX_BYTES, Kind, block
from codec.canonical import canonical_header
from codec.header import HASH_BYTES, MAX_SAMPLES, Format, end_payload, header, round_segment
from codec.model import CodecModel, choose_model
from codec.plain_bytes import pack_bytes
from codec.progress import Progress, no_progress
from codec.segments import encode_segment, is_verbatim
from pipeline.wav.header import WavHeader, read_header
from pipeline.wav.riff import WavError
from runtime.threads import map_in_threads

_MOST_CHANNELS = 4  # With more, segments are shorter, so that memory is that of so many.


class _Task(NamedTuple):
    kind: Kind
    segment: int  # See `blocks.Block`.
    data: bytes


def compress_parts(
    source: IO[bytes],
    size: int,
    models: Sequence[CodecModel],
    *,
    segment: int | None = None,
    num_threads: int = 1,
    progress: Progress = no_progress,
) -> Iterator[bytes]:
    """Yields the bytes of the compressed file, one part after the other.

    Segments are coded side by side; memory is that of `num_threads` + 1 of them, whatever the
    length of the source.

    Args:
      source: any file that can seek.
      size: its bytes.
      models: those at hand; one of them is used for all of the file.
      segment: frames of a segment, rounded down by `header.round_segment`; None: what suits the
        model. Fewer where there are many channels.
      num_threads: segments at once.
      progress: is told what has been coded.

    Raises:
      OSError: the source cannot be read.
    """
    wav = _read_wav(source, size)
    digest = hashlib.blake2b(digest_size=HASH_BYTES)
    format_ = None
    if wav is None:
        yield header(None)
        for task in _around(source, 0, size, 0, digest):
            coded = block(task.kind, task.segment, pack_bytes(task.data))
            progress(len(task.data), len(coded), 0.0)
            yield coded
    else:
        model = choose_model(models, packing.depth_of(wav.encoding))
        segment = segment or model.coder.segment
        most = min(MAX_SAMPLES, _MOST_CHANNELS * segment) // wav.channels
        format_ = Format(
            fingerprint=model.fingerprint,
            encoding=wav.encoding,
            channels=wav.channels,
            sample_rate=wav.sample_rate,
            frames=wav.frames,
            segment=round_segment(max(1, min(segment, most))),
            probe=model.coder.probe,
            made_with=model.coder.made_with,
        )
        begin, start = 0, wav.payload_offset
        expected = canonical_header(format_)
        source.seek(0)
        if start == len(expected) and source.read(start) == expected:
            format_ = dataclasses.replace(format_, has_plain_header=True)
            digest.update(expected)
            begin = start
        yield header(format_)

        def encode(task: _Task) -> tuple[bytes, int, float]:
            size = len(task.data)
            is_segment = task.kind is not Kind.BYTES
            seconds = size / format_.frame_bytes / format_.sample_rate if is_segment else 0.0
            return _encode(model, format_, task), size, seconds

        tasks = itertools.chain(
            _around(source, begin, start, 0, digest),
            _segments(source, format_, start, digest),
            _around(source, start + wav.frames * wav.frame_bytes, size, 1, digest),
        )
        for coded, size, seconds in map_in_threads(encode, tasks, num_threads, ahead=num_threads):
            progress(size, len(coded), seconds)
            yield coded
    yield block(Kind.END, 0, end_payload(digest.digest(), format_))


def _read_wav(source: IO[bytes], size: int) -> WavHeader | None:
    def read_at(offset: int, count: int) -> bytes:
        source.seek(offset)
        return source.read(count)

    try:
        return read_header(read_at, size)
    except WavError:
        return None


def _around(source: IO[bytes], start: int, end: int, place: int, digest) -> Iterator[_Task]:  # type: ignore[no-untyped-def]
    for offset in range(start, end, MAX_BYTES):
        data = _read(source, offset, min(MAX_BYTES, end - offset), digest)
        yield _Task(Kind.BYTES, place, data)


def _segments(source: IO[bytes], format_: Format, offset: int, digest) -> Iterator[_Task]:  # type: ignore[no-untyped-def]
    for number in range(format_.num_segments):
        count = format_.frames_of(number) * format_.frame_bytes
        yield _Task(Kind.FRAMES, number, _read(source, offset, count, digest))
        offset += count


def _read(source: IO[bytes], offset: int, count: int, digest) -> bytes:  # type: ignore[no-untyped-def]
    source.seek(offset)
    data = source.read(count)
    if len(data) != count:
        raise OSError(f"the file has become shorter: {count} bytes expected at byte {offset}")
    digest.update(data)
    return data


def _encode(model: CodecModel, format_: Format, task: _Task) -> bytes:
    """Returns a block; of a segment integers by the model, unless plain bytes are smaller."""
    if task.kind is Kind.BYTES:
        return block(task.kind, task.segment, pack_bytes(task.data))
    found = packing.unpack(task.data, format_.encoding, format_.channels)
    if found is not None:
        frames, variant = found
        coded = encode_segment(model.coder, frames)
        if not is_verbatim(coded):
            return block(
                Kind.FRAMES, task.segment, packing.pack_variant(variant, format_.encoding) + coded
            )
    return block(Kind.FRAMES_AS_BYTES, task.segment, pack_bytes(task.data))
