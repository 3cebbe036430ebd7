"""Codecs in this process: they count what they would write, and nothing else."""

import gzip
import lzma
import subprocess

import numpy as np
import pytest
import soundfile
import zstandard

from evaluation.baselines.libraries import CODEC_KEYS, GZIP, XZ, ZSTD, Flac, all_codecs
from evaluation.baselines.pcm import CodecError, PcmFormat
from runtime.errors import ConfigError
from tests.evaluation.baselines.signals import music, require, stream

IN_PROCESS = [Flac(level=5), Flac(level=8), GZIP, XZ, ZSTD]


def encode(codec, samples, depth):
    return codec.encode(*stream(samples, depth))


def metadata_bytes(flac: bytes) -> int:
    """An independent reading of the format: "fLaC", then blocks whose last one has a flag."""
    assert flac[:4] == b"fLaC"
    end, flags = 4, 0
    while flags < 128:
        flags, size = flac[end], int.from_bytes(flac[end + 1 : end + 4], "big")
        end += 4 + size
    return end


@pytest.mark.parametrize("level", [5, 8])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("depth", [8, 16, 24])
def test_flac_is_as_long_as_the_programs_without_its_metadata(tmp_path, depth, channels, level):
    require("flac")
    samples = music(100_000, channels, depth)
    subtype = "PCM_U8" if depth == 8 else f"PCM_{depth}"
    soundfile.write(tmp_path / "a.wav", samples << (32 - depth), 44100, subtype=subtype)
    subprocess.run(
        ["flac", "--silent", f"-{level}", tmp_path / "a.wav"], check=True, stderr=subprocess.DEVNULL
    )
    flac = (tmp_path / "a.flac").read_bytes()

    encoded = encode(Flac(level=level), samples, depth)
    ours = encoded.total_bytes - encoded.container_bytes
    assert ours == pytest.approx(len(flac) - metadata_bytes(flac), rel=0.005)


def test_flac_levels_differ():
    samples = music(100_000, 2, 16)
    sizes = [encode(Flac(level=level), samples, 16).total_bytes for level in (0, 5, 8)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3


@pytest.mark.parametrize("depth", [8, 16, 24])
def test_flac_counts_what_it_would_write(tmp_path, depth):
    samples = music(50_000, 2, depth)
    subtype = "PCM_S8" if depth == 8 else f"PCM_{depth}"
    path = tmp_path / "a.flac"
    soundfile.write(path, samples << (32 - depth), 44100, subtype=subtype, compression_level=1.0)
    encoded = encode(Flac(level=8), samples, depth)
    assert encoded == (path.stat().st_size, metadata_bytes(path.read_bytes()))


@pytest.mark.parametrize("codec", IN_PROCESS, ids=lambda codec: codec.name)
def test_blocks_do_not_matter(codec):
    samples = music(20_000, 2, 16)
    pcm, _ = stream(samples, 16)
    whole = codec.encode(pcm, [samples])
    assert codec.encode(pcm, np.split(samples, [1, 4097, 19_999])) == whole


@pytest.mark.parametrize("codec", IN_PROCESS, ids=lambda codec: codec.name)
@pytest.mark.parametrize("depth", [8, 16, 24])
def test_white_noise_costs_all_its_bits(codec, depth):
    noise = np.random.default_rng(0).integers(
        -(2 ** (depth - 1)), 2 ** (depth - 1), (50_000, 1), np.int32
    )
    encoded = encode(codec, noise, depth)
    bits = 8 * (encoded.total_bytes - encoded.container_bytes) / noise.size
    assert 0.999 * depth < bits < 1.01 * depth


@pytest.mark.parametrize("codec", IN_PROCESS, ids=lambda codec: codec.name)
def test_silence_costs_next_to_nothing(codec):
    encoded = encode(codec, np.zeros((100_000, 1), np.int32), 16)
    assert 0 < 8 * (encoded.total_bytes - encoded.container_bytes) / 100_000 < 0.05


@pytest.mark.parametrize("codec", IN_PROCESS, ids=lambda codec: codec.name)
def test_no_samples_cost_nothing(codec):
    encoded = encode(codec, np.zeros((0, 1), np.int32), 16)
    assert encoded.total_bytes == encoded.container_bytes


@pytest.mark.parametrize(
    ("codec", "compress"),
    [
        (GZIP, lambda data: gzip.compress(data, 9)),
        (XZ, lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)),
        (ZSTD, zstandard.ZstdCompressor(level=19).compress),
    ],
    ids=["gzip", "xz", "zstd"],
)
@pytest.mark.parametrize(("depth", "dtype"), [(8, np.uint8), (16, "<i2"), (32, "<i4")])
def test_compressors_get_the_bytes_and_nothing_else(codec, compress, depth, dtype):
    samples = music(30_000, 2, depth)
    data = (samples + (128 if depth == 8 else 0)).astype(dtype).tobytes()
    encoded = encode(codec, samples, depth)
    assert encoded.total_bytes == pytest.approx(len(compress(data)), rel=1e-3)
    assert encoded.container_bytes == pytest.approx(len(compress(b"")), abs=4)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"depth": 32}, "24 bits"),
        ({"channels": 9}, "8 channels"),
        ({"sample_rate": 100_001}, "100001 Hz"),
        ({"sample_rate": 2**20}, "1048576 Hz"),
    ],
)
def test_what_flac_cannot_take(changes, reason):
    fields = {"sample_rate": 44100, "channels": 1, "depth": 16, "frames": 10, **changes}
    samples = np.zeros((10, fields["channels"]), np.int32)
    with pytest.raises(CodecError, match=reason):
        Flac(level=5).encode(PcmFormat(**fields), [samples])


def test_an_error_of_the_blocks_passes():
    def blocks():
        yield np.zeros((10, 1), np.int32)
        raise OSError("gone")

    pcm = PcmFormat(sample_rate=44100, channels=1, depth=16, frames=20)
    for codec in IN_PROCESS:
        with pytest.raises(OSError, match="gone"):
            codec.encode(pcm, blocks())


def test_versions():
    assert Flac(level=5).version.startswith("libFLAC 1.")
    assert GZIP.version.startswith("zlib 1.")
    assert ZSTD.version.startswith("zstd 1.")


def test_codecs_are_chosen_by_key(monkeypatch):
    monkeypatch.setenv("PATH", "")
    names = ["FLAC -5", "FLAC -8", "gzip -9", "xz -9e", "zstd -19"]
    assert [codec.name for codec in all_codecs()] == names
    assert [codec.name for codec in all_codecs(["zstd", "flac"])] == [*names[:2], "zstd -19"]
    with pytest.raises(ConfigError, match=r"not on the PATH: WavPack -hh -x \(wavpack\)"):
        all_codecs(["zstd", "wavpack", "flac"])
    assert all_codecs([]) == []
    with pytest.raises(ConfigError, match=r"'FLAC'.*flac, wavpack, .*zstd"):
        all_codecs(["gzip", "FLAC"])
    assert CODEC_KEYS == ("flac", "wavpack", "gzip", "xz", "zstd")
