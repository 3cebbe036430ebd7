"""Makes the files beside it anew: `python -m tests.golden.make`.

A file that differs afterwards has other bytes than before: that is a new version of the format.
Sources are made of integers, and so the same on every machine.
"""

import dataclasses
import hashlib
import io
import json
import pathlib
import struct
import tempfile
from collections.abc import Iterator

import numpy as np

from codec.encoder import compress_parts
from codec.model import CodecModel, load_codec_model
from models.model_file import save_model
from pipeline.wav.encoding import Encoding
from tests.models.exact.test_stream import config, make_params, repeated, stereo
from tests.models.predictors.signals import noise, tones
from tests.wav_files import G711_TABLES, fmt_chunk, raw_fmt, wav_bytes, write_wav

FOLDER = pathlib.Path(__file__).parent
FRAMES, SEGMENT = 500, 288


def wav(frames: np.ndarray, encoding: Encoding = Encoding.S16, **options) -> bytes:
    """A WAV of frames on the scale of its encoding."""
    with tempfile.TemporaryDirectory() as folder:
        return write_wav(pathlib.Path(folder, "a.wav"), frames, encoding, **options)


def encoded(encoding: Encoding, channels: int) -> np.ndarray:
    """Frames of any encoding."""
    frames = np.stack([np.roll(tones(FRAMES), 3 * k) for k in range(channels)], 1)
    if encoding in G711_TABLES:
        table = np.sort(G711_TABLES[encoding])
        return table[np.searchsorted(table, frames).clip(0, len(table) - 1)]
    if encoding is Encoding.U8:
        return (frames >> 8) + 128
    if encoding.is_float:
        return frames / 2**15
    # The low bits are zero, but in the last segment.
    frames = frames.astype(np.int64) << encoding.depth - 16
    frames[SEGMENT:] += encoding.depth > 16
    return frames


def sources() -> Iterator[tuple[str, bytes, int]]:
    """Yields a name, the source, and frames of a segment."""
    for encoding in Encoding:
        for count in (1, 2):
            data = wav(encoded(encoding, count), encoding)
            yield f"{encoding.name.lower()}_{count}", data, SEGMENT
    floats = noise(200, 3, 1000)[:, None] / 977
    yield "floats", wav(floats.astype(np.float32), Encoding.F32), SEGMENT
    yield "floats_24", wav(tones(FRAMES)[:, None] / 2**23, Encoding.F32), SEGMENT
    yield "floats_32", wav(tones(FRAMES)[:, None] / 2**31, Encoding.F64), SEGMENT
    special = np.array([[np.nan, -0.0], [np.inf, 0.5]])
    yield "floats_special", wav(special, Encoding.F64), SEGMENT
    yield "lags", wav(repeated(3000)), 3000
    yield "second_leads", wav(stereo(1500)[:, ::-1]), 1500
    loud = np.stack([noise(12000, k, 2**11) for k in (1, 2)], 1)
    yield "checksums", wav(loud), 12000
    yield "white_noise", wav(noise(600, 1, 2**15)[:, None]), SEGMENT
    yield "values", wav((tones(2000)[:, None] >> 11) * 2049), 2000
    yield "shift", wav(tones(FRAMES)[:, None] // 16 * 16), SEGMENT
    left = tones(FRAMES)
    seven, none = np.full(FRAMES, -7), np.zeros(FRAMES, int)
    six = np.stack([left, seven, left, np.roll(left, 5), none, left], 1)
    yield "channels", wav(six), SEGMENT
    yield "silence", wav(np.zeros((FRAMES, 2))), SEGMENT
    yield "one_frame", wav(np.array([[5, -6]])), SEGMENT
    yield "extensible", wav(stereo(FRAMES), extensible=True), SEGMENT
    yield "rf64", wav(stereo(FRAMES), container="RF64"), SEGMENT
    tags = [(b"LIST", b"INFOINAM\5\0\0\0song\0\0"), (b"id3 ", b"odd")]
    yield "tags", wav(stereo(FRAMES), extra_chunks_before=tags, extra_chunks_after=tags), SEGMENT
    yield "truncated", wav(stereo(FRAMES))[:-3], SEGMENT
    yield "trailing_bytes", wav(stereo(FRAMES)) + b"RIFF and more" * 9, SEGMENT
    yield "no_frames", wav(np.zeros((0, 2))), SEGMENT
    adpcm = struct.pack("<HHH", 2, 512, 0)
    content = noise(300, 5, 128).astype(np.int8).tobytes()
    yield (
        "adpcm",
        wav_bytes([(b"fmt ", raw_fmt(2, 1, 8000, 256, 4) + adpcm), (b"data", content)]),
        9,
    )
    yield "two_formats", wav_bytes([(b"fmt ", fmt_chunk(Encoding.S16, 1))] * 2), SEGMENT
    yield "text", b"a text that is named .wav\n" * 20, SEGMENT
    yield "empty", b"", SEGMENT


def compress(model: CodecModel, source: bytes, segment: int, num_threads: int = 1) -> bytes:
    """The compressed file."""
    parts = compress_parts(
        io.BytesIO(source), len(source), [model], segment=segment, num_threads=num_threads
    )
    return b"".join(parts)


def main() -> None:
    """Writes the model, the files and the manifest."""
    for path in (*FOLDER.glob("*.wvst"), *FOLDER.glob("*.npz")):
        path.unlink()
    settings = {
        "model": dataclasses.asdict(config(rate=0.01, depth=24)),
        "data": {},
        "training": {},
    }
    path = FOLDER / "model.npz"
    save_model(path, make_params(), **settings)
    model = load_codec_model(str(path))
    manifest = {}
    for name, source, segment in sources():
        (FOLDER / f"{name}.wav.wvst").write_bytes(compress(model, source, segment))
        manifest[name] = {"sha256": hashlib.sha256(source).hexdigest(), "segment": segment}
    (FOLDER / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


if __name__ == "__main__":
    main()
