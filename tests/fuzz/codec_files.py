"""Compressed files and sources that a fuzzer makes: each ends well, or with a DataError.

The first byte of an input says what becomes of the others: "f", fields of a compressed file, whose
checksums are made right, since no fuzzer guesses them; "s", a source; else a compressed file.
"""

import contextlib
import io
import pathlib
import sys

import atheris

import codec.kernel  # noqa: F401 - What is compiled bears no instruments, and is imported before.

with atheris.instrument_imports(include=["codec", "pipeline.wav", "models.predictors.lags"]):
    from codec.blocks import Kind, block
    from codec.damage import Findings, open_damaged
    from codec.decoder import decompress_parts, open_compressed
    from codec.encoder import compress_parts
    from codec.header import Format, end_payload, header, round_segment
    from codec.model import load_codec_model
    from codec.recover import recover_parts
    from codec.seek import SeekableFile

from pipeline.wav.encoding import Encoding
from runtime.errors import DataError

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
MODELS = [load_codec_model(str(GOLDEN / "model.npz"))]


def test_one_input(data: bytes) -> None:
    """Raises whatever a user would see a traceback of."""
    kind, data = data[:1], data[1:]
    if kind == b"s":
        assert decompress(compress(data)) == data
        return
    if kind == b"f":
        data = repaired(data)
    with contextlib.suppress(DataError):
        decompress(data)
    with contextlib.suppress(DataError):
        recover(data)
    with contextlib.suppress(DataError):
        seek(data)


def compress(data: bytes) -> bytes:
    """The compressed file."""
    return b"".join(compress_parts(io.BytesIO(data), len(data), MODELS, segment=64))


def decompress(data: bytes) -> bytes:
    """The source."""
    return b"".join(decompress_parts(open_compressed(io.BytesIO(data), MODELS)))


def recover(data: bytes) -> int:
    """The bytes of what is intact."""
    found = Findings()
    opened = open_damaged(io.BytesIO(data), MODELS, (), found)
    return sum(map(len, recover_parts(opened, found)))


def seek(data: bytes) -> int:
    """The bytes of the frames, without the whole being checked."""
    file = SeekableFile(open_compressed(io.BytesIO(data), MODELS))
    return sum(map(len, file.payload(0, file.format.frames)))


def repaired(data: bytes) -> bytes:
    """A file of any fields and payloads, with checksums that are right."""
    fields = atheris.FuzzedDataProvider(data)
    format_ = None
    if fields.ConsumeBool():
        format_ = Format(
            fingerprint=MODELS[0].fingerprint,
            encoding=Encoding(fields.ConsumeIntInRange(0, len(Encoding) - 1)),
            channels=fields.ConsumeIntInRange(1, 8),
            sample_rate=fields.ConsumeIntInRange(0, 2**20),
            frames=fields.ConsumeIntInRange(0, 1100),
            segment=round_segment(fields.ConsumeIntInRange(1, 1100)),
            has_plain_header=fields.ConsumeBool(),
        )
    parts = [header(format_)]
    number = 0
    while fields.remaining_bytes():
        kind = Kind(fields.ConsumeIntInRange(0, 3))
        place = number if fields.ConsumeBool() else fields.ConsumeIntInRange(0, 9)
        size = fields.ConsumeIntInRange(0, 300)
        payload = fields.ConsumeBytes(size)
        if kind is Kind.END:
            payload = end_payload(payload[:16].ljust(16, b"\0"), format_)
        number += kind >= Kind.FRAMES
        # Of what is missing there may be checksums before.
        missing = fields.ConsumeIntInRange(2**15, 2**16) if fields.ConsumeBool() else 0
        whole = block(kind, place, payload + bytes(missing))
        parts.append(whole[: len(whole) - missing])
    return b"".join(parts)


def main() -> None:
    """Runs until it is stopped, or an input fails."""
    compress(decompress((GOLDEN / "s16_2.wav.wvst").read_bytes()))  # What is compiled, is.
    folders = [pathlib.Path(x) for x in sys.argv[1:] if not x.startswith("-")]
    if folders and folders[0].is_dir() and not any(folders[0].iterdir()):
        for path in GOLDEN.glob("*.wvst"):
            packed = path.read_bytes()
            (folders[0] / path.name).write_bytes(b"c" + packed)
            (folders[0] / path.stem).write_bytes(b"s" + decompress(packed))
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
