"""From a file to a smaller one."""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple

from codec import packing
from codec.blocks import MAX_BYTES, Kind, block
from codec.canonical import canonical_header
from codec.frames import frames_payload
from codec.header import HASH_BYTES, MAX_SAMPLES, Format, end_payload, header, round_segment
from codec.model import CodecModel, choose_model
from codec.plain_bytes import pack_bytes
from codec.progress import BlockProgress, Progress, Report, no_progress, no_report
from codec.segments import encode_segment, is_verbatim
from models.native_scale import common_zeros, least_depth
from pipeline.wav.encoding import ADVICE
from pipeline.wav.header import WavHeader, read_header
from pipeline.wav.riff import WavError
from runtime.threads import map_in_threads, threads_each

_MOST_CHANNELS = 4  # With more, segments are shorter, so that memory is that of so many.


class _Task(NamedTuple):
    kind: Kind
    segment: int  # See `blocks.Block`.
    data: bytes


class _Coded(NamedTuple):
    block: bytes
    problem: str = ""  # Why no model codes these samples.


def compress_parts(
    source: IO[bytes],
    size: int,
    models: Sequence[CodecModel],
    *,
    segment: int | None = None,
    num_threads: int = 1,
    progress: Progress = no_progress,
    report: Report = no_report,
    warn: Report = no_report,
) -> Iterator[bytes]:
    """Yields the bytes of the compressed file, one part after the other.

    Segments are coded side by side; memory is that of `num_threads` + 1 of them, whatever the
    length of the source.

    Args:
      source: any file that can seek.
      size: its bytes.
      models: to choose from; one of them is used for all of the file.
      segment: frames of a segment, rounded down by `header.round_segment`; None: what suits the
        model. Fewer where there are many channels.
      num_threads: for segments at once, and their channels.
      progress: is told what has been coded.
      report: is told, at most once, why no model codes the file, or all of it.
      warn: is told, at most once, that the source is truncated; it is kept as it is.

    Raises:
      OSError: the source cannot be read.
    """
    wav, problem = _read_wav(source, size)
    digest = hashlib.blake2b(digest_size=HASH_BYTES)
    format_ = None
    if wav is None:
        report(problem)
        yield header(None)
        for task in _around(source, 0, size, 0, digest):
            coded = block(task.kind, task.segment, pack_bytes(task.data))
            progress(len(task.data), len(coded), 0.0)
            yield coded
    else:
        if wav.truncation:
            warn(wav.truncation)
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

        each = threads_each(num_threads, format_.num_segments)

        def encode(task: _Task) -> _Coded:
            return _encode(model, format_, task, each, progress)

        tasks = itertools.chain(
            _around(source, begin, start, 0, digest),
            _segments(source, format_, start, digest),
            _around(source, start + wav.frames * wav.frame_bytes, size, 1, digest),
        )
        problems: list[str] = []
        for found in map_in_threads(encode, tasks, num_threads, ahead=num_threads):
            problems += [found.problem] if found.problem else []
            yield found.block
        if problems:
            is_all = len(problems) == format_.num_segments
            report(problems[0] if is_all else f"some of it: {problems[0]}")
    yield block(Kind.END, 0, end_payload(digest.digest(), format_))


def _read_wav(source: IO[bytes], size: int) -> tuple[WavHeader | None, str]:
    """Returns the header of a WAV; else None, and why there is none."""

    def read_at(offset: int, count: int) -> bytes:
        source.seek(offset)
        return source.read(count)

    try:
        return read_header(read_at, size), ""
    except WavError as error:
        return None, str(error).removesuffix(ADVICE)  # Whoever archives a file keeps it as it is.


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


def _encode(
    model: CodecModel, format_: Format, task: _Task, num_threads: int, progress: Progress
) -> _Coded:
    """Returns a block; of a segment integers by the model, unless plain bytes are smaller."""
    told = BlockProgress(progress)
    sample_bytes = format_.encoding.bytes_per_sample

    def advance(samples: int, bits: float) -> None:
        seconds = samples / format_.channels / format_.sample_rate
        told.add(samples * sample_bytes, round(bits / 8), seconds)

    coded, problem = None, ""
    if task.kind is Kind.FRAMES:
        found = packing.unpack(task.data, format_.encoding, format_.channels)
        if found is None:
            problem = "floats that are not integers of at most 32 bits"
        else:
            frames, variant = found
            data = encode_segment(model.coder, frames, num_threads=num_threads, advance=advance)
            if not is_verbatim(data):
                data = frames_payload(data, variant, task.data, format_, task.segment)
                coded = block(Kind.FRAMES, task.segment, data)
            elif (depth := least_depth(frames >> common_zeros(frames))) > model.coder.depth:
                problem = f"samples of {depth} bits, expected at most {model.coder.depth}"
    if coded is None:
        kind = Kind.BYTES if task.kind is Kind.BYTES else Kind.FRAMES_AS_BYTES
        coded = block(kind, task.segment, pack_bytes(task.data))
    size = len(task.data)
    is_segment = task.kind is not Kind.BYTES
    seconds = size / format_.frame_bytes / format_.sample_rate if is_segment else 0.0
    told.end(size, len(coded), seconds)
    return _Coded(coded, problem)
