"""What a user is told of a corpus."""

import dataclasses
import re

import numpy as np
import pytest

from pipeline.config import PipelineConfig
from pipeline.corpus import open_corpus
from pipeline.inspect import describe_batch, describe_chunks, describe_files
from pipeline.wav.encoding import Encoding
from tests.wav_files import random_frames, write_wav

CONFIG = PipelineConfig(chunk_size=16, batch_size=4)


@pytest.fixture
def folder(tmp_path):
    for name, frames, channels in (("a", 8000, 2), ("b", 24000, 1)):
        written = random_frames(Encoding.S16, frames, channels)
        write_wav(tmp_path / f"{name}.wav", written, Encoding.S16, sample_rate=8000)
    whole = write_wav(tmp_path / "c.wav", random_frames(Encoding.F32, 44100, 3), Encoding.F32)
    (tmp_path / "d.wav").write_bytes(whole[:-1000])
    (tmp_path / "e.wav").write_bytes(b"")
    return str(tmp_path)


def opened(folder, config=CONFIG, **options):
    return open_corpus([folder], config, **{"valid_fraction": 0.25, **options})


def test_files(folder):
    rows = dict(describe_files(opened(folder)))
    assert rows["files"] == "4 with 6.00 seconds of audio"
    assert rows["length of a file"] == "1.00 to 3.00 s, median 1.00 s"
    assert rows["sample rates"] == "8,000 Hz (2), 44,100 Hz (2)"
    assert rows["channels"] == "3 channels (2), mono (1), stereo (1)"
    assert rows["encodings"] == "16-bit (2), 32-bit float (2)"
    assert rows["warnings"].startswith("1: ")
    assert "d.wav' (truncated: 528200 of 529200 bytes of samples are there)" in rows["warnings"]
    assert rows["skipped"].startswith("1: ")
    assert "e.wav' (the file is empty)" in rows["skipped"]


def test_files_that_are_all_alike_and_well(tmp_path):
    write_wav(tmp_path / "a.wav", random_frames(Encoding.U8, 100, 2), Encoding.U8)
    rows = dict(describe_files(opened(str(tmp_path))))
    assert rows["sample rates"] == "all 44,100 Hz"
    assert rows["channels"] == "all stereo"
    assert rows["encodings"] == "all 8-bit unsigned"
    assert rows["skipped"] == "none"
    assert "warnings" not in rows


def test_notes_that_differ_in_numbers_only_are_one_kind(folder):
    for number in range(3):
        content = write_wav(f"{folder}/g{number}.wav", np.zeros((50, 1)), Encoding.S16)
        with open(f"{folder}/g{number}.wav", "ab") as file:
            file.write(content if number == 2 else bytes(100 + number))
    write_wav(f"{folder}/h.wav", np.array([[0.5], [2e-5], [1.25]]), Encoding.F32)
    rows = dict(describe_files(opened(folder)))
    assert rows["warnings"] == "5: " + "; ".join(
        [
            f"'{folder}/g0.wav' and 1 more (100 bytes behind the samples are no RIFF chunks: they "
            "are not used)",
            f"'{folder}/d.wav' (truncated: 528200 of 529200 bytes of samples are there)",
            f"'{folder}/g2.wav' (another WAV follows in the same file: it is not used)",
            f"'{folder}/h.wav' (peak 1.25: 33.3% of its samples are clipped)",
        ]
    )


def test_of_many_rates_the_most_frequent_are_shown(tmp_path):
    for number in range(30):
        frames = random_frames(Encoding.S16, 10, 1)
        rate = 8000 + max(0, number - 10)
        write_wav(tmp_path / f"{number}.wav", frames, Encoding.S16, sample_rate=rate)
    rates = dict(describe_files(opened(str(tmp_path))))["sample rates"]
    assert rates.startswith("8,000 Hz (11), 8,001 Hz (1), ")
    assert rates.endswith(", 8,009 Hz (1), 10 others (10)")


def test_chunks(tmp_path):
    write_wav(tmp_path / "a.wav", random_frames(Encoding.S16, 1000, 1), Encoding.S16)
    assert describe_chunks(opened(str(tmp_path))) == [
        ("training", "1 file, 47 chunks, 750 samples"),
        ("validation", "1 file, 16 chunks, 250 samples, 25.0% of all"),
        ("epoch", "11.8 batches of 4 chunks of 16 samples"),
    ]
    rows = dict(describe_chunks(opened(str(tmp_path), num_chunks=3, valid_fraction=0.0)))
    assert rows["training"] == "1 file, 3 chunks, 48 samples (limited by --num_chunks)"
    assert rows["validation"] == "no file is held out"
    rows = dict(describe_chunks(opened(str(tmp_path), num_chunks=47)))
    assert "limited" not in rows["training"]


def test_of_few_files_the_held_out_share_is_explained(tmp_path):
    for name, frames in (("a", 100), ("b", 100), ("c", 300)):
        write_wav(tmp_path / f"{name}.wav", random_frames(Encoding.S16, frames, 1), Encoding.S16)

    def validation(fraction):
        return dict(describe_chunks(opened(str(tmp_path), valid_fraction=fraction)))["validation"]

    found = validation(0.05)  # One file at least.
    share = int(re.search(r"(\d+) samples", found)[1]) / 500
    assert f"{share:.1%} of all (--valid_fraction=0.05: whole files are held out" in found
    assert found.endswith("another --seed holds out others)")
    assert "(" not in validation(share)


@pytest.mark.parametrize(
    ("depth", "text"),
    [
        (8, "from -125 to 72, mean -26.5 of -128 to 127"),
        (16, "from -32000 to 18432, mean -6784.0 of -32768 to 32767"),
    ],
)
def test_a_batch(tmp_path, depth, text):
    frames = np.array([[3], [200]] * 20)
    write_wav(tmp_path / "a.wav", frames, Encoding.U8)
    config = dataclasses.replace(CONFIG, batch_size=3, depth=depth)
    ((label, value),) = describe_batch(opened(str(tmp_path), config, valid_fraction=0.0))
    assert label == "one batch"
    assert value == f"int{depth} [1, 3, 16] (devices, chunks, samples); {text}; 16.7% is padding"


def test_a_batch_that_cannot_be_read(tmp_path):
    write_wav(tmp_path / "a.wav", random_frames(Encoding.S16, 100, 1), Encoding.S16)
    corpus = opened(str(tmp_path))
    (tmp_path / "a.wav").unlink()
    rows = dict(describe_batch(corpus))
    assert rows["one batch"].endswith("of -128 to 127")
    assert rows["unreadable"] == f"1: '{tmp_path}/a.wav' (No such file or directory)"
