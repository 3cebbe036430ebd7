"""Codecs that are programs: how they are found, run, measured, and how they fail."""

import dataclasses
import math
import os
import stat
import subprocess

import numpy as np
import pytest

from evaluation.baselines import programs
from evaluation.baselines.pcm import CodecError, PcmFormat
from evaluation.baselines.programs import (
    PROGRAMS,
    find_programs,
    missing_programs,
    wavpack_container,
)
from tests.evaluation.baselines.signals import music, require, stream

SAMPLES = music(5000, 2, 16)
ENCODE = "cat in.wav in.wav > out.fake"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts shell scripts on a PATH that has little else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    def install_script(name: str, script: str = ENCODE) -> programs.Program:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return programs.Program(
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
        (f"{ENCODE}; echo one; echo 'two\rbad WAV'; exit 3", "fake ended with code 3.*'bad WAV'"),
        (f"{ENCODE}; echo >&2 oh; kill -SEGV $$", "fake ended with code -11.*'oh'"),
        ("exit 1", "fake ended with code 1.*''"),
        ("true", "fake reported no error, but wrote nothing"),
        ("touch out.fake", "fake reported no error, but wrote nothing"),
    ],
    ids=["exits", "crashes", "is silent", "no output", "empty output"],
)
def test_failures_are_told(install, script, reason):
    with pytest.raises(CodecError, match=reason):
        install("fake", script).encode(*stream(SAMPLES, 16))


def test_a_program_that_hangs_is_ended(install):
    program = install("fake", "echo $$ > ../pid; exec sleep 60")
    with pytest.raises(CodecError, match=r"fake was ended: it took longer than"):
        dataclasses.replace(program, timeout=0.3).encode(*stream(SAMPLES, 16))
    pid_file = os.path.join(os.environ["TMPDIR"], "pid")
    with open(pid_file) as file:
        pid = int(file.read())
    os.remove(pid_file)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_program_that_cannot_start_is_told(install):
    program = dataclasses.replace(install("fake"), executable="no-such-program")
    with pytest.raises(CodecError, match="no-such-program cannot be started"):
        program.encode(*stream(SAMPLES, 16))


def test_a_stream_of_4_gib_is_not_written(install):
    pcm = PcmFormat(rate=44100, channels=1, depth=32, frames=2**30)
    with pytest.raises(CodecError, match="4 GiB"):
        install("fake").encode(pcm, [])


@pytest.mark.parametrize(
    ("banner", "version"),
    [
        ("wavpack 5.6.0\nlibwavpack 5.6.0", "5.6.0"),
        ("--- Monkey's Audio Console Front End (v 3.99) (c) Matthew T. Ashland ---", "3.99"),
        ("TTA1 lossless audio encoder/decoder, release 3.4.1\nCopyright (c) 2007", "3.4.1"),
        ("TTA1 lossless audio encoder/decoder, version 2.3", "2.3"),
        ("Reference Model Codec\nVersion 23 for Linux", "23"),
    ],
)
def test_versions_are_found_in_banners(install, banner, version):
    assert install("fake", f"cat <<'END'\n{banner}\nEND\nexit 1").version == f"fake {version}"


def test_no_version_is_empty(install):
    assert install("fake", "echo hello").version == ""
    assert dataclasses.replace(install("fake"), executable="no-such-program").version == ""


def test_programs_are_found_by_the_first_of_their_names(install, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find_programs() == []
    install("ttaenc")
    assert [program.executable for program in find_programs()] == ["ttaenc"]
    install("mp4als")
    install("tta")
    assert [program.executable for program in find_programs()] == ["tta", "mp4als"]

    assert missing_programs(["tta", "monkeys", "flac"]) == ["Monkey's Audio -c4000 (mac)"]
    assert len(missing_programs([program.key for program in PROGRAMS])) == 3
    os.remove(tmp_path / "bin" / "mp4als")
    assert missing_programs(["als"]) == ["MPEG-4 ALS -z3 -b -p (mp4alsRM23 or mp4als)"]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.executable)
def test_arguments_name_the_files(program):
    words = program.arguments.split()
    assert words.count("in.wav") == words.count(program.output) == 1


@pytest.mark.parametrize("depth", [8, 16, 24, 32])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_every_program_here_encodes(depth, channels):
    found = find_programs()
    if not found:
        pytest.skip("no codec's program is on the PATH")
    samples = music(30_000, channels, depth)
    for program in found:
        encoded = program.encode(*stream(samples, depth))
        bits = 8 * encoded.total_bytes / samples.size
        assert depth - 8 < bits < depth, program.name  # the noise is 7 bits below full scale
        assert program.version


def test_wavpack_silence_and_noise():
    require("wavpack")
    (program,) = (program for program in find_programs() if program.key == "wavpack")
    silence = program.encode(*stream(np.zeros((100_000, 1), np.int32), 16))
    assert 8 * silence.total_bytes / 100_000 < 0.05
    noise = np.random.default_rng(0).integers(-128, 128, (100_000, 1), np.int32)
    encoded = program.encode(*stream(noise, 8))
    bits = 8 * (encoded.total_bytes - encoded.container_bytes) / 100_000
    assert 7.99 < bits < 8.5


def test_wavpacks_container_is_what_it_can_do_without(tmp_path):
    require("wavpack")
    samples = music(100_000, 1, 16)
    pcm, blocks = stream(samples, 16)
    lengths = []
    for name, arguments in [("kept", []), ("made", ["-r"])]:  # -r: stores a WAV header of its own
        with open(tmp_path / "a.wav", "wb") as file:
            programs.write_wav(file, pcm, blocks)
        path = tmp_path / f"{name}.wv"
        subprocess.run(["wavpack", "-q", *arguments, tmp_path / "a.wav", "-o", path], check=True)
        lengths.append((path.stat().st_size, wavpack_container(str(path))))
    (kept, kept_container), (made, made_container) = lengths
    assert 44 < kept_container < made_container < 200
    assert kept - kept_container == made - made_container


def test_what_is_no_wavpack_has_an_unknown_container(tmp_path):
    (tmp_path / "a.wv").write_bytes(bytes(100))
    assert math.isnan(wavpack_container(str(tmp_path / "a.wv")))
