"""Codecs that are programs: how they are found, run and measured, and how they fail."""

import dataclasses
import math
import os
import stat
import subprocess

import numpy as np
import pytest

from evaluation.baselines.pcm import CodecError, PcmFormat, write_wav
from evaluation.baselines.programs import (
    PROGRAMS,
    Program,
    find_programs,
    missing_programs,
    wavpack_container,
)
from tests.evaluation.baselines.signals import music, require, stream

SAMPLES = music(5000, 2, 16)
(WAVPACK,) = PROGRAMS
ENCODE = "cat in.wav in.wav > out.fake"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts shell scripts on a PATH that has little else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    def install_script(name: str, script: str = ENCODE) -> Program:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return Program(
            key="fake", name="Fake -9", executable=name, arguments="-9 in.wav", output="out.fake"
        )

    yield install_script
    assert os.listdir(tmp_path) == ["bin"], "it left something behind"


def test_the_output_is_measured(install):
    encoded = install("fake").encode(*stream(SAMPLES, 16))
    assert encoded.total_bytes == 2 * (44 + SAMPLES.nbytes // 2)
    assert math.isnan(encoded.container_bytes)


def test_it_gets_its_arguments(install):
    program = install("fake", 'test "$*" = "-9 in.wav" && cp in.wav out.fake')
    assert program.encode(*stream(SAMPLES, 16)).total_bytes == 44 + SAMPLES.nbytes // 2


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            f"{ENCODE}; echo 1; echo '2\rbad WAV'; exit 3",
            "fake exited with status 3: 'bad WAV'",
        ),
        (f"{ENCODE}; echo >&2 oh; kill -SEGV $$", "fake exited with status -11: 'oh'"),
        ("exit 1", "fake exited with status 1: ''"),
        ("true", "fake reported no error, but wrote nothing"),
        ("touch out.fake", "fake reported no error, but wrote nothing"),
    ],
    ids=["exits", "crashes", "is silent", "no output", "empty output"],
)
def test_a_failure_says_why(install, script, reason):
    with pytest.raises(CodecError, match=reason):
        install("fake", script).encode(*stream(SAMPLES, 16))


def test_a_program_that_hangs_is_ended(install):
    program = install("fake", "echo $$ > ../pid; exec sleep 60")
    with pytest.raises(CodecError, match=r"fake was killed: it took longer than"):
        dataclasses.replace(program, timeout=0.3).encode(*stream(SAMPLES, 16))
    pid_file = os.path.join(os.environ["TMPDIR"], "pid")
    with open(pid_file) as file:
        pid = int(file.read())
    os.remove(pid_file)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_program_that_cannot_start_is_named(install):
    program = dataclasses.replace(install("fake"), executable="no-such-program")
    with pytest.raises(CodecError, match="no-such-program cannot be started"):
        program.encode(*stream(SAMPLES, 16))


def test_a_stream_of_4_gib_is_not_written(install):
    pcm = PcmFormat(sample_rate=44100, channels=1, depth=32, frames=2**30)
    with pytest.raises(CodecError, match="4 GiB"):
        install("fake").encode(pcm, [])


def test_the_version_is_found_in_what_it_prints(install):
    script = "test \"$*\" = --version && printf 'fake 5.6.0\\nlibfake 5.7\\n'"
    assert install("fake", script).version == "fake 5.6.0"


def test_no_version_is_empty(install):
    assert install("fake", "echo hello").version == ""
    assert dataclasses.replace(install("fake"), executable="no-such-program").version == ""


def test_programs_are_found_on_the_path(install, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find_programs() == []
    assert missing_programs(["wavpack", "flac"]) == ["WavPack -hh -x (wavpack)"]
    install("wavpack")
    assert [program.key for program in find_programs()] == ["wavpack"]
    assert missing_programs(["wavpack", "flac"]) == []


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.executable)
def test_arguments_name_the_files(program):
    words = program.arguments.split()
    assert words.count("in.wav") == words.count(program.output) == 1


@pytest.mark.parametrize("depth", [8, 16, 24, 32])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_wavpack_encodes_and_its_decoder_returns_every_sample(tmp_path, depth, channels):
    require("wavpack")
    require("wvunpack")
    samples = music(30_000, channels, depth)
    pcm, blocks = stream(samples, depth)
    with open(tmp_path / "in.wav", "wb") as file:
        write_wav(file, pcm, blocks)
    subprocess.run([WAVPACK.executable, *WAVPACK.arguments.split()], cwd=tmp_path, check=True)
    subprocess.run(["wvunpack", "-q", "out.wv", "-o", "back.wav"], cwd=tmp_path, check=True)
    assert (tmp_path / "back.wav").read_bytes() == (tmp_path / "in.wav").read_bytes()

    encoded = WAVPACK.encode(pcm, blocks)
    assert encoded.total_bytes == (tmp_path / "out.wv").stat().st_size
    bits = 8 * encoded.total_bytes / samples.size
    assert depth - 8 < bits < depth  # the noise is 7 bits below full scale
    assert WAVPACK.version.startswith("wavpack 5.")


def test_wavpack_silence_and_noise():
    require("wavpack")
    silence = WAVPACK.encode(*stream(np.zeros((100_000, 1), np.int32), 16))
    assert 8 * silence.total_bytes / 100_000 < 0.05
    noise = np.random.default_rng(0).integers(-128, 128, (100_000, 1), np.int32)
    encoded = WAVPACK.encode(*stream(noise, 8))
    bits = 8 * (encoded.total_bytes - encoded.container_bytes) / 100_000
    assert 7.99 < bits < 8.5


def test_the_container_of_wavpack_is_what_a_decoder_can_do_without(tmp_path):
    require("wavpack")
    samples = music(100_000, 1, 16)
    pcm, blocks = stream(samples, 16)
    lengths = []
    for name, arguments in [("kept", []), ("made", ["-r"])]:  # -r: stores a WAV header of its own
        with open(tmp_path / "a.wav", "wb") as file:
            write_wav(file, pcm, blocks)
        path = tmp_path / f"{name}.wv"
        subprocess.run(["wavpack", "-q", *arguments, tmp_path / "a.wav", "-o", path], check=True)
        lengths.append((path.stat().st_size, wavpack_container(str(path))))
    (kept, kept_container), (made, made_container) = lengths
    assert 44 < kept_container < made_container < 200
    assert kept - kept_container == made - made_container


def test_what_is_no_wavpack_has_an_unknown_container(tmp_path):
    (tmp_path / "a.wv").write_bytes(bytes(100))
    assert math.isnan(wavpack_container(str(tmp_path / "a.wv")))
