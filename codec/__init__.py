"""The lossless codec: any file becomes a smaller one, and comes back byte for byte.

    import codec

    data = codec.compress("song.wav")
    wav_bytes = codec.decompress(data)
    codec.verify("song.wav.wvst", original="song.wav")
    print(codec.info("song.wav.wvst").bits_per_sample)
    frames, sample_rate = codec.read("song.wav.wvst", start=44100, frames=1000)
    with codec.SoundFile("song.wav.wvst") as file:
        for block in file.blocks(65536): ...
    codec.write("other.wav.wvst", frames, sample_rate)

header, blocks: what the file looks like. encoder, decoder: whole files. segments: a stretch of
frames.
exact, neural: how a model codes it. kernel, range_coder: a channel as bits.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codec.api import (
        DifferentError,
        Info,
        SoundFile,
        compress,
        decompress,
        info,
        read,
        verify,
        write,
    )

__all__ = [
    "DifferentError",
    "Info",
    "SoundFile",
    "compress",
    "decompress",
    "info",
    "read",
    "verify",
    "write",
]


def __getattr__(name: str) -> Any:
    """Imports the functions above when they are used: the parts of a codec need not know them."""
    if name in __all__:
        from codec import api

        return getattr(api, name)
    raise AttributeError(f"module 'codec' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__} - {"Any", "TYPE_CHECKING"})
