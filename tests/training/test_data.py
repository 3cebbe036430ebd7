"""The corpus of a run, and batches on their way to the devices."""

import numpy as np
import pytest

from commands import train
from pipeline.wav.encoding import Encoding
from runtime.errors import TrainingError
from tests.command_line import parsed
from tests.wav_files import random_frames, write_noise, write_wav
from training.data import (
    describe_shuffle,
    error_budget,
    find_corpus,
    valid_batches,
    warn_of_block_size,
)


@pytest.fixture
def audio(tmp_path):
    """Five files; returns their folder."""
    folder = tmp_path / "audio"
    folder.mkdir()
    write_noise(folder, 5000)
    (tmp_path / "out").mkdir()
    return folder


def _open(audio, *args):
    """Returns the corpus of a run, and its configuration."""
    folders = f"--audio_dir={audio}", f"--output_dir={audio.parent / 'out'}"
    config = train.run_config(parsed(*folders, "--chunk_size=4096", *args))
    return find_corpus(config, config.path(".catalogue")), config


def test_a_catalogue_that_is_given_is_used_in_place_of_the_runs_own(audio):
    path, own = audio.parent / "given.catalogue", audio.parent / "out" / "audio_model.catalogue"
    for _ in range(2):
        corpus, _ = _open(audio, f"--catalogue={path}")
        assert len(corpus.catalogue) == 5
        assert path.exists() and not own.exists()
    _open(audio)
    assert own.exists()


@pytest.mark.parametrize(
    ("args", "warning"),
    [
        (("--stereo_blocking_n=1024",), "2 * --stereo_blocking_n = 2048 is less than --chunk"),
        (("--stereo_blocking_n=4096",), "2 * --stereo_blocking_n = 8192 is more than --chunk"),
        (("--stereo_blocking_n=2048",), None),
        (("--stereo_blocking_n=1024", "--downmix"), None),
    ],
)
def test_blocks_that_do_not_fit_a_chunk(audio, caplog, args, warning):
    write_wav(audio / "stereo.wav", random_frames(Encoding.U8, 5000, 2), Encoding.U8)
    warn_of_block_size(*_open(audio, "--nodownmix", *args))
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == (warning is not None)
    for message in warnings:
        assert message.startswith(warning)
        assert message.endswith("; --stereo_blocking_n=2048 makes it exactly one")


def test_no_warning_of_blocks_where_all_is_mono(audio, caplog):
    warn_of_block_size(*_open(audio, "--nodownmix", "--stereo_blocking_n=1"))
    assert "stereo_blocking_n" not in caplog.text


@pytest.mark.parametrize(
    ("broken", "args", "message"),
    [
        (1, ("--strict",), r"0\.broken\.wav' cannot be used \(.*\), and --strict allows no "),
        (6, (), r"6 of 11 files cannot be used, more than --max_skipped_fraction=0\.5: "),
        (1, ("--max_skipped_fraction=0.1",), "1 of 6 files cannot be used, more than"),
    ],
)
def test_too_many_skipped_files_are_an_error(audio, broken, args, message):
    for number in range(broken):
        (audio / f"{number}.broken.wav").write_bytes(b"RIFF")
    with pytest.raises(TrainingError, match=message):
        error_budget(*_open(audio, *args))


def test_skipped_files_are_counted(audio, caplog):
    (audio / "broken.wav").write_bytes(b"RIFF")
    assert len(error_budget(*_open(audio))) == 1
    assert caplog.messages == ["1 of 6 files skipped, see above"]


def test_a_short_validation_is_an_even_sample_the_same_every_time(audio):
    for number in range(5, 40):
        frames = np.full((64 * (1 + number), 1), number)  # Its own value in each file.
        write_wav(audio / f"{number:02}.wav", frames, Encoding.U8)
    small = ("--chunk_size=64", "--batch_size=8", "--valid_fraction=0.5")
    corpus, config = _open(audio, *small, "--eval_steps=5")
    held_out = len(corpus.valid.catalogue)
    batches = valid_batches(config, corpus, pytest.fail)
    passes = [[batch["samples"] for batch in batches()] for _ in range(2)]
    np.testing.assert_array_equal(*passes)
    assert len(passes[0]) <= 5
    rows = np.concatenate([batch.reshape(-1, 64) for batch in passes[0]])
    numbers = [128 + int(row[0]) for row in rows if (row == row[0]).all()]
    assert len(rows) == 40 and len({*numbers}) > held_out / 2
    # As evenly as 40 chunks can be drawn: file n has 1 + n of them.
    for number in {*numbers}:
        assert abs(numbers.count(number) - 40 * (1 + number) / len(corpus.valid)) <= 1
    whole, config = _open(audio, *small, "--eval_steps=0")
    batches = valid_batches(config, whole, pytest.fail)
    assert len(list(batches())) == -(-len(whole.valid) // 8)


def test_the_log_tells_how_chunks_are_shuffled(audio):
    corpus, _ = _open(
        audio, "--chunks_per_read=2", "--batch_size=4", "--shuffle_window=80", "--chunk_size=64"
    )
    assert describe_shuffle(corpus) == (
        "reads of 2 chunks, 40 of them, from all over the corpus, in a window of 20 steps (0 MiB)"
    )
