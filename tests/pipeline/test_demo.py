import functools
import hashlib
import pathlib

import numpy as np
import pytest
import soundfile

from pipeline.demo import corpus, instruments, synthesize_demo_corpus


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    directory = tmp_path_factory.mktemp("demo")
    synthesize_demo_corpus(str(directory))
    return directory


def _snapshot(directory: pathlib.Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("recording", corpus.CORPUS, ids=lambda recording: recording.path)
def test_files_are_what_they_are_declared_to_be(demo, recording):
    info = soundfile.info(demo / recording.path)
    subtype = {8: "PCM_U8", 16: "PCM_16", 24: "PCM_24"}[recording.depth]
    assert (info.samplerate, info.channels, info.subtype) == (
        recording.sample_rate,
        recording.channels,
        subtype,
    )
    assert info.frames == recording.sample_rate * recording.seconds
    assert (demo / recording.path).stat().st_size == recording.size

    samples = soundfile.read(demo / recording.path, always_2d=True)[0]
    peak_db = 20 * np.log10(np.abs(samples).max())
    assert peak_db == pytest.approx(recording.peak_db, abs=0.2)
    whole_chunks = len(samples) // 2048 * 2048
    chunks = (samples[:whole_chunks, 0] * 128).astype(int).reshape(-1, 2048)
    assert np.mean(np.ptp(chunks, axis=1) <= 1) < 0.5  # even 8 bits leave something to learn
    if recording.channels == 2:
        assert (samples[:, 0] != samples[:, 1]).mean() > 0.5


def test_the_corpus_covers_formats_and_lasts_minutes():
    assert {recording.depth for recording in corpus.CORPUS} == {8, 16, 24}
    assert {recording.channels for recording in corpus.CORPUS} == {1, 2}
    rates = {recording.sample_rate for recording in corpus.CORPUS}
    assert min(rates) == 8000 and max(rates) == 48000 and len(rates) >= 5
    assert 180 <= sum(recording.seconds for recording in corpus.CORPUS) <= 300


def test_samples_never_change(demo):
    # Floating-point functions may differ in the last bit between machines, so samples could in
    # principle round differently; none did on numpy 1.26 and 2.4.
    content = (demo / "speech/telephone.wav").read_bytes()
    assert hashlib.blake2b(content, digest_size=8).hexdigest() == "14ce866f674536f3"


def test_a_second_call_writes_nothing(demo):
    before = {path: path.stat().st_mtime_ns for path in demo.rglob("*")}
    written = []
    synthesize_demo_corpus(str(demo), progress=written.append)
    assert written == []
    assert {path: path.stat().st_mtime_ns for path in demo.rglob("*")} == before


def test_a_damaged_corpus_is_repaired(demo):
    before = _snapshot(demo)
    (demo / "speech/telephone.wav").unlink()
    (demo / "percussion/sampler.wav").write_bytes(before["percussion/sampler.wav"][:1000])
    written = []
    synthesize_demo_corpus(str(demo), progress=written.append)
    assert sorted(written) == ["percussion/sampler.wav", "speech/telephone.wav"]
    assert _snapshot(demo) == before


def test_an_older_version_is_replaced_and_other_files_stay(tmp_path):
    synthesize = functools.partial(
        synthesize_demo_corpus, str(tmp_path), recordings=corpus.CORPUS[5:6]
    )
    synthesize()
    expected = _snapshot(tmp_path)
    (path,) = tmp_path.rglob("*.wav")
    path.write_bytes(bytes(path.stat().st_size))
    (tmp_path / "mine.wav").write_bytes(b"mine")
    (tmp_path / "MANIFEST.txt").write_text("wavestream demo corpus, version 0")
    synthesize()
    assert _snapshot(tmp_path) == {**expected, "mine.wav": b"mine"}


def test_an_interrupted_call_leaves_whole_files_only(tmp_path):
    class InterruptionError(Exception):
        pass

    def interrupt(path: str) -> None:
        if path == corpus.CORPUS[1].path:
            raise InterruptionError

    with pytest.raises(InterruptionError):
        synthesize_demo_corpus(str(tmp_path), progress=interrupt)
    sizes = {name: len(content) for name, content in _snapshot(tmp_path).items()}
    assert sizes == {recording.path: recording.size for recording in corpus.CORPUS[:2]}


@pytest.mark.parametrize("sample_rate", [8000, 22050, 48000])
@pytest.mark.parametrize("hz", [110.0, 261.6, 659.3])
def test_strings_are_in_tune_at_every_sample_rate(sample_rate, hz):
    sound = instruments.pluck(np.random.default_rng(0), sample_rate, hz, 1.0)[: sample_rate // 2]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 16 * sample_rate))
    near = slice(int(16 * hz * 0.9), int(16 * hz * 1.1))
    found = (np.argmax(spectrum[near]) + near.start) / 16
    assert abs(1200 * np.log2(found / hz)) < 8  # cents
