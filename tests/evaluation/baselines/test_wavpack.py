"""WavPack: how the program is found, run and measured, and how it fails."""

import dataclasses
import math
import os
import stat
import subprocess

import numpy as np
import pytest

from evaluation.baselines.pcm import CodecError, PcmFormat, write_audio
from evaluation.baselines.wavpack import ENCODE, WavPack, container_bytes
from tests.evaluation.baselines.signals import music, require, stream

SAMPLES = music(5000, 2, 16)
TWICE = "cat in.wav in.wav > out.wv"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a shell script in the place of the program, on a PATH that has little else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    def install_script(script: str = TWICE) -> WavPack:
        path = folder / "wavpack"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return WavPack()

    yield install_script
    assert os.listdir(tmp_path) == ["bin"], "it left something behind"


def test_the_output_is_measured(install):
    encoded = install().encode(*stream(SAMPLES, 16))
    assert encoded.total_bytes == 2 * (44 + SAMPLES.nbytes // 2)
    assert math.isnan(encoded.container_bytes)


def test_it_gets_its_arguments(install):
    program = install('test "$*" = "-hh -x -q -y in.wav -o out.wv" && cp in.wav out.wv')
    assert program.encode(*stream(SAMPLES, 16)).total_bytes == 44 + SAMPLES.nbytes // 2


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            f"{TWICE}; echo 1; echo '2\rbad WAV'; exit 3",
            "wavpack exited with status 3: 'bad WAV'",
        ),
        (f"{TWICE}; echo >&2 oh; kill -SEGV $$", "wavpack exited with status -11: 'oh'"),
        ("exit 1", "wavpack exited with status 1: ''"),
        ("true", "wavpack reported no error, but wrote nothing"),
        ("touch out.wv", "wavpack reported no error, but wrote nothing"),
    ],
    ids=["exits", "crashes", "is silent", "no output", "empty output"],
)
def test_a_failure_says_why(install, script, reason):
    with pytest.raises(CodecError, match=reason):
        install(script).encode(*stream(SAMPLES, 16))


def test_a_program_that_hangs_is_ended(install):
    program = install("echo $$ > ../pid; exec sleep 60")
    with pytest.raises(CodecError, match=r"wavpack was killed: it took longer than"):
        dataclasses.replace(program, timeout=0.3).encode(*stream(SAMPLES, 16))
    pid_file = os.path.join(os.environ["TMPDIR"], "pid")
    with open(pid_file) as file:
        pid = int(file.read())
    os.remove(pid_file)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_program_that_cannot_start_is_named(install, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CodecError, match="wavpack cannot be started"):
        WavPack().encode(*stream(SAMPLES, 16))


def test_a_stream_of_4_gib_is_not_written(install):
    pcm = PcmFormat(sample_rate=44100, channels=1, depth=32, frames=2**30)
    with pytest.raises(CodecError, match="4 GiB"):
        install().encode(pcm, [])


def test_the_version_is_found_in_what_it_prints(install):
    script = "test \"$*\" = --version && printf 'wavpack 5.6.0\\nlibwavpack 5.7\\n'"
    assert install(script).version == "wavpack 5.6.0"


def test_no_version_is_empty(install, monkeypatch):
    assert install("echo hello").version == install("exit 1").version == ""
    monkeypatch.setenv("PATH", "")
    assert WavPack().version == ""


def test_it_is_found_on_the_path(install, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert not WavPack().is_installed
    assert install().is_installed


@pytest.mark.parametrize("depth", [8, 16, 24, 32])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_wavpack_encodes_and_its_decoder_returns_every_sample(tmp_path, depth, channels):
    require("wavpack")
    require("wvunpack")
    samples = music(30_000, channels, depth)
    pcm, blocks = stream(samples, depth)
    write_audio(tmp_path / "in.wav", pcm, blocks, format="WAV")
    subprocess.run(ENCODE, cwd=tmp_path, check=True)
    subprocess.run(["wvunpack", "-q", "out.wv", "-o", "back.wav"], cwd=tmp_path, check=True)
    assert (tmp_path / "back.wav").read_bytes() == (tmp_path / "in.wav").read_bytes()

    encoded = WavPack().encode(pcm, blocks)
    assert encoded.total_bytes == (tmp_path / "out.wv").stat().st_size
    bits = 8 * encoded.total_bytes / samples.size
    assert depth - 8 < bits < depth  # the noise is 7 bits below full scale
    assert WavPack().version.startswith("wavpack 5.")


def test_wavpack_silence_and_noise():
    require("wavpack")
    silence = WavPack().encode(*stream(np.zeros((100_000, 1), np.int32), 16))
    assert 8 * silence.total_bytes / 100_000 < 0.05
    noise = np.random.default_rng(0).integers(-128, 128, (100_000, 1), np.int32)
    encoded = WavPack().encode(*stream(noise, 8))
    bits = 8 * (encoded.total_bytes - encoded.container_bytes) / 100_000
    assert 7.99 < bits < 8.5


def test_the_container_of_wavpack_is_what_a_decoder_can_do_without(tmp_path):
    require("wavpack")
    samples = music(100_000, 1, 16)
    pcm, blocks = stream(samples, 16)
    lengths = []
    for name, arguments in [("kept", []), ("made", ["-r"])]:  # -r: stores a WAV header of its own
        write_audio(tmp_path / "a.wav", pcm, blocks, format="WAV")
        path = tmp_path / f"{name}.wv"
        subprocess.run(["wavpack", "-q", *arguments, tmp_path / "a.wav", "-o", path], check=True)
        lengths.append((path.stat().st_size, container_bytes(str(path))))
    (kept, kept_container), (made, made_container) = lengths
    assert 44 < kept_container < made_container < 200
    assert kept - kept_container == made - made_container


def test_what_is_no_wavpack_has_an_unknown_container(tmp_path):
    (tmp_path / "a.wv").write_bytes(bytes(100))
    assert math.isnan(container_bytes(str(tmp_path / "a.wv")))
