"""From folders to two sides of chunks, and what is said where there is nothing."""

import dataclasses

import numpy as np
import pytest

from pipeline.catalogue.catalogue import Skipped
from pipeline.config import PipelineConfig
from pipeline.corpus import NoAudioError, describe_skipped, open_corpus
from pipeline.dataset import make_dataset
from pipeline.wav.encoding import Encoding
from tests.wav_files import random_frames, write_wav

CONFIG = PipelineConfig(chunk_size=16, batch_size=4)


def add(folder, name, frames):
    write_wav(folder / name, random_frames(Encoding.S16, frames, 1), Encoding.S16)


def corpus(folder, **options):
    return open_corpus([str(folder)], CONFIG, **{"valid_fraction": 0.2, **options})


def test_no_wav(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing to hear")
    with pytest.raises(NoAudioError, match=r"no \.wav file in .* or the folders below") as raised:
        corpus(tmp_path)
    assert str(tmp_path) in str(raised.value)


def test_only_broken_wavs(tmp_path):
    for number in range(3):
        (tmp_path / f"empty{number}.wav").write_bytes(b"")
    (tmp_path / "song.wav").write_bytes(b"fLaC" + bytes(100))
    with pytest.raises(NoAudioError) as raised:
        corpus(tmp_path)
    message = str(raised.value)
    assert "none of the 4 .wav files" in message
    assert "empty0.wav' and 2 more (the file is empty)" in message
    assert "song.wav' (it is a FLAC file, not a WAV)" in message
    assert "\n" not in message


def test_a_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone"):
        corpus(tmp_path / "gone")


def test_one_wav_is_split_in_time(tmp_path):
    add(tmp_path, "a.wav", 1000)
    opened = corpus(tmp_path)
    assert opened.train.num_samples == 800
    assert opened.valid.num_samples == 200
    assert opened.batches_per_epoch == 50 / 4


@pytest.mark.parametrize(("frames", "train", "valid"), [(7, 6, 1), (2, 1, 1), (1, 1, 0)])
def test_one_wav_shorter_than_a_chunk(tmp_path, frames, train, valid):
    add(tmp_path, "a.wav", frames)
    opened = corpus(tmp_path)
    assert opened.train.num_samples == train
    assert opened.valid.num_samples == valid
    (batch,) = make_dataset(opened.train, one_pass=True).as_numpy_iterator()
    assert sorted(batch["stop"][0]) == [0, 0, 0, train]


def test_files_are_held_out_whole_and_the_rest_is_capped(tmp_path):
    for number in range(20):
        add(tmp_path, f"{number}.wav", 160)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    opened = corpus(tmp_path, num_chunks=33)
    held_out = len(opened.valid.catalogue)
    assert 0 < held_out < 20
    assert len(opened.valid) == 10 * held_out
    assert len(opened.train.catalogue) == 20 - held_out
    assert len(opened.train) == 33
    assert len(opened.catalogue) == 20
    assert [skipped.path for skipped in opened.catalogue.skipped] == [str(tmp_path / "broken.wav")]


def test_a_cap_takes_of_each_file_and_says_so(tmp_path):
    for number in range(20):
        add(tmp_path, f"{number}.wav", 160)
    opened = corpus(tmp_path, num_chunks=48, valid_fraction=0.5)
    files, of = len(opened.train.catalogue), len(opened.all_train.catalogue)
    assert len(opened.train) == 48 and files == of
    (warning,) = opened.warnings()
    assert warning.startswith(
        f"--num_chunks=48 uses {48 / (10 * of):.1%} of the {10 * of} training"
    )
    assert f"--num_chunks={10 * of} uses all" in warning
    assert not corpus(tmp_path, valid_fraction=0.5).warnings()


@pytest.mark.parametrize(("seed", "frames"), [(1, 10**5), (2, 10**5)])
def test_a_split_that_is_uneven_is_told(tmp_path, seed, frames):
    for number in range(30):
        add(tmp_path, f"{number}.wav", 20)
    add(tmp_path, "long.wav", frames)
    config = dataclasses.replace(CONFIG, seed=seed)
    opened = open_corpus([str(tmp_path)], config, valid_fraction=0.2)
    (warning,) = opened.warnings()
    share = opened.valid.num_samples / (opened.valid.num_samples + opened.train.num_samples)
    assert share < 0.1 or share > 0.4
    assert warning.startswith(f"{share:.1%} of the samples are held out, in ")
    assert "of 31 files: the files differ much in length" in warning


def test_nothing_is_held_out_where_it_is_not_wanted(tmp_path):
    add(tmp_path, "a.wav", 100)
    opened = corpus(tmp_path, valid_fraction=0.0)
    assert (opened.train.num_samples, len(opened.valid)) == (100, 0)


def test_the_catalogue_is_kept(tmp_path):
    add(tmp_path, "a.wav", 100)
    cache = tmp_path / "cache.npz"
    first = corpus(tmp_path, cache_path=str(cache))
    assert cache.exists()
    again = corpus(tmp_path, cache_path=str(cache))
    assert again.catalogue.paths == first.catalogue.paths
    np.testing.assert_array_equal(again.catalogue.frames, first.catalogue.frames)


def test_skipped_files_are_named_by_reason():
    skipped = [Skipped(f"/{number}.wav", reason) for number, reason in enumerate("aababcdd")]
    assert describe_skipped(skipped, 2) == (
        "'/0.wav' and 2 more (a); '/2.wav' and 1 more (b); and 3 more for 2 other reasons"
    )
    assert describe_skipped(skipped, 3).endswith("; '/5.wav' (c); '/6.wav' and 1 more (d)")
    assert describe_skipped(skipped[5:], 2) == "'/5.wav' (c); '/6.wav' and 1 more (d)"
    assert describe_skipped(skipped[5:6], 2) == "'/5.wav' (c)"
