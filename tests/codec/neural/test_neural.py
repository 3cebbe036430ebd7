"""Models that compute in floats as codecs: every bit comes back, or the file is refused."""

import dataclasses
import io
import os
import pathlib
import struct
import subprocess
import sys
import zlib

import jax
import numpy as np
import pytest

from codec.decoder import decompress_parts, open_compressed
from codec.encoder import compress_parts
from codec.files import compress_file, decompress_file
from codec.header import read_header
from codec.jobs import Job
from codec.model import fingerprint, load_codec_model
from codec.segments import encode_segment, is_verbatim
from models.model_file import load_model, save_model
from pipeline.wav.encoding import Encoding
from runtime.errors import DataError
from tests.codec.models import decode_whole, small_model
from tests.codec.neural.models import BLOCK, CHUNK, float_model, neural_model
from tests.codec.test_roundtrip import wav_bytes
from tests.models.predictors.signals import noise, tones
from tests.models.test_adaptive import make_batch

ROWS = 16
KINDS = [("8", 0), ("16", BLOCK), ("adaptive", BLOCK)]


def frames_of(kind, frames, channels):
    left = tones(max(frames, 1))[:frames] >> (8 if kind == "8" else 0)
    others = [np.roll(left, k) // 2 + noise(frames, k, 9) for k in range(1, channels)]
    return np.stack([left, *others], 1).astype(np.int32)


@pytest.mark.parametrize(("kind", "block"), KINDS)
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_every_sample_comes_back(kind, block, channels):
    coder = neural_model(kind, block).coder
    for frames in (0, 1, CHUNK - 1, CHUNK, CHUNK + 1):
        samples = frames_of(kind, frames, channels)
        data = encode_segment(coder, samples)
        assert is_verbatim(data) == (frames <= 1)
        np.testing.assert_array_equal(decode_whole(coder, data, *samples.shape), samples)


@pytest.mark.parametrize("channels", [1, 2])
def test_more_chunks_than_rows(channels):
    coder = neural_model("8").coder
    samples = frames_of("8", ROWS * CHUNK + 100, channels)
    data = encode_segment(coder, samples)
    np.testing.assert_array_equal(decode_whole(coder, data, *samples.shape), samples)


@pytest.mark.parametrize(
    "samples",
    [
        np.where(np.arange(400) // 50 % 2, 127, -128),
        np.where(np.arange(400) % 71 == 0, 127, 0),
        np.random.default_rng(0).integers(-128, 128, 400),
    ],
)
def test_any_signal(samples):
    """What the model foresees badly costs bits, and nothing else."""
    coder = neural_model("8").coder
    flags, code = coder.encode(samples[None].astype(np.int32))
    assert flags == 0
    data = bytes([flags]) + code
    np.testing.assert_array_equal(decode_whole(coder, data, 400, 1)[:, 0], samples)


@pytest.mark.parametrize("kind", ["8", "adaptive"])
def test_the_size_is_what_the_model_says(kind):
    model, params = float_model(kind)
    coder = neural_model(kind).coder
    samples = frames_of(kind, 20 * CHUNK, 1)
    batch = make_batch(*samples.reshape(-1, CHUNK))
    batch["stop"][:] = CHUNK
    batch["frames"][:] = len(samples)
    nats = -np.asarray(jax.jit(model.log_likelihood)(params, model.prepare(batch)), np.float64)
    bits = nats.sum() / np.log(2)
    assert abs(8 * len(encode_segment(coder, samples)) - bits) < 0.0005 * bits + 8 * 4


def pack(data, model, **options):
    return b"".join(compress_parts(io.BytesIO(data), len(data), [model], **options))


def test_a_file_of_several_segments_and_threads():
    model = neural_model("8")
    data = wav_bytes(frames_of("8", 1300, 2) + 128, Encoding.U8)
    packed = [pack(data, model, segment=500, num_threads=threads) for threads in (1, 3)]
    assert packed[0] == packed[1]
    opened = open_compressed(io.BytesIO(packed[0]), [model])
    assert b"".join(decompress_parts(opened, num_threads=2)) == data
    assert len(packed[0]) < len(data)


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A WAV beside its model's file, and the file that it is compressed to."""
    folder = tmp_path_factory.mktemp("neural")
    model, params = float_model("8")
    pipeline = {"chunk_size": CHUNK, "downmix": True, "stereo_blocking_n": 1024}
    save_model(
        folder / "model.npz",
        params,
        model=dataclasses.asdict(model.config),
        data={"pipeline": pipeline},
        training={},
    )
    (folder / "a.wav").write_bytes(wav_bytes(frames_of("8", 700, 1) + 128, Encoding.U8))
    return Job(str(folder / "a.wav"), str(folder / "a.wav.wvst"))


@pytest.fixture(scope="module")
def model(job):
    return load_codec_model(os.path.join(os.path.dirname(job.source), "model.npz"))


def test_a_file_says_which_floats_it_needs(job, model):
    compress_file(job, [model], force=True)
    with open(job.target, "rb") as file:
        format_ = read_header(file)
    assert format_.probe == model.coder.probe != neural_model("16", BLOCK).coder.probe
    assert format_.made_with == f"JAX {jax.__version__} on cpu"
    assert format_.probe.hex() in model.promise and "same floating-point results" in model.promise
    assert small_model().promise == "on every machine, to the same bits"


def test_other_floats_are_refused_before_anything_is_written(job, model, tmp_path):
    data = pack(pathlib.Path(job.source).read_bytes(), model)
    probe = model.coder.probe
    changed = bytearray(data)
    place = data.index(probe)
    changed[place] ^= 1
    end = 6 + data[5]
    changed[end : end + 4] = struct.pack("<I", zlib.crc32(changed[:end]))
    (tmp_path / "a.wvst").write_bytes(changed)
    with pytest.raises(DataError, match=f"{probe.hex()}.*decompress it where it was made"):
        decompress_file(Job(str(tmp_path / "a.wvst"), str(tmp_path / "a")), [model])
    assert [path.name for path in tmp_path.iterdir()] == ["a.wvst"]


def test_another_layout_is_another_model(job, model, tmp_path):
    file = load_model(model.name)
    file.data["pipeline"]["chunk_size"] = 64
    assert fingerprint(file) != model.fingerprint


_DECOMPRESS = """
import sys
import jax
from codec.files import decompress_file
from codec.jobs import Job
from codec.model import load_codec_model
assert jax.device_count() == int(sys.argv[4])
decompress_file(Job(*sys.argv[2:4]), [load_codec_model(sys.argv[1])])
"""


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 4])
def test_another_process_decompresses_it_on_any_number_of_devices(job, model, devices, tmp_path):
    compress_file(job, [model], force=True)
    target = tmp_path / "a.wav"
    flag = f"--xla_force_host_platform_device_count={devices}"
    command = [sys.executable, "-c", _DECOMPRESS, model.name, job.target, target, str(devices)]
    subprocess.run(command, env={**os.environ, "XLA_FLAGS": flag}, check=True)
    assert target.read_bytes() == pathlib.Path(job.source).read_bytes()
