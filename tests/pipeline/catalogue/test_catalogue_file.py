"""A catalogue that is made once and used as it stands."""

import dataclasses
import os
import time

import numpy as np
import pytest

from pipeline.catalogue import column_file
from pipeline.catalogue.catalogue_file import CatalogueError
from pipeline.catalogue.table import FileTable
from pipeline.config import PipelineConfig
from pipeline.corpus import NoAudioError, open_corpus
from pipeline.dataset import make_dataset
from pipeline.reading.chunk_index import Chunks
from pipeline.wav.encoding import Encoding
from tests.wav_files import random_frames, write_wav

CONFIG = PipelineConfig(chunk_size=16, batch_size=4)


@pytest.fixture
def folder(tmp_path):
    """Twenty files, one that is truncated, one that is broken."""
    folder = tmp_path / "audio"
    folder.mkdir()
    for number in range(20):
        write_wav(folder / f"{number}.wav", random_frames(Encoding.S16, 160, 1), Encoding.S16)
    os.truncate(folder / "7.wav", 60)
    (folder / "broken.wav").write_bytes(b"RIFF")
    return folder


def corpus(folder, path, **options):
    return open_corpus(
        [str(folder)], CONFIG, catalogue_path=str(path), **{"valid_fraction": 0.2, **options}
    )


@pytest.mark.parametrize("place", ["{tmp_path}/the.catalogue", "ram://kept/the.catalogue"])
def test_it_is_made_once_and_then_used_without_a_look(folder, tmp_path, place):
    path = place.format(tmp_path=tmp_path)
    plain = open_corpus([str(folder)], CONFIG, valid_fraction=0.2)
    made = corpus(folder, path)
    folder.rename(tmp_path / "away")
    loaded = corpus(f"{folder}/", path)
    (tmp_path / "away").rename(folder)
    for opened in (made, loaded):
        assert opened.catalogue.skipped == plain.catalogue.skipped != ()
        for side in ("train", "valid"):
            expected, actual = getattr(plain, side), getattr(opened, side)
            for texts in ("paths", "names", "notes"):
                assert getattr(actual.catalogue, texts) == getattr(expected.catalogue, texts)
            for column in ("sizes", "mtimes_ns", "offsets", "frames", "channels", "encodings"):
                np.testing.assert_array_equal(
                    getattr(actual.catalogue, column), getattr(expected.catalogue, column)
                )
            assert samples(actual) == samples(expected)


def samples(chunks: Chunks) -> list:
    return [
        batch["samples"].tolist()
        for batch in make_dataset(chunks, one_pass=True).as_numpy_iterator()
    ]


def test_a_user_is_told_how_old_it_is(folder, tmp_path, caplog):
    path = tmp_path / "the.catalogue"
    corpus(folder, path)
    os.utime(path, (1e9, 1e9))
    with caplog.at_level("INFO"):
        corpus(folder, path)
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(1e9))
    assert f"{path}, made {made}; files that came since are not used" in caplog.text


@pytest.mark.both_stacks
def test_the_split_is_kept(folder, tmp_path):
    path = str(tmp_path / "c")
    made = corpus(folder, path, valid_fraction=0.5)
    files, about = FileTable.load(path)
    opposite = {seed: 1 - hashes for seed, hashes in files.split_hashes.items()}
    dataclasses.replace(files, split_hashes=opposite).save(path, about)
    swapped = corpus(folder, path, valid_fraction=0.5)  # worked out again, they would be as before
    assert swapped.valid.catalogue.names == made.train.catalogue.names
    assert swapped.train.catalogue.names == made.valid.catalogue.names


def test_another_seed_has_the_split_that_it_has_without_a_catalogue(folder, tmp_path):
    corpus(folder, tmp_path / "c")
    config = dataclasses.replace(CONFIG, seed=1)
    plain, loaded = (
        open_corpus([str(folder)], config, valid_fraction=0.5, catalogue_path=path)
        for path in (None, str(tmp_path / "c"))
    )
    assert loaded.valid.catalogue.names == plain.valid.catalogue.names


def damage(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda path: path.write_bytes(b"PK\x03\x04" * 100), "not a file of columns"),
        (lambda path: path.write_bytes(b""), "not a file of columns"),
        (lambda path: os.truncate(path, path.stat().st_size - 100), "is truncated"),
        (damage, "its column split hashes of seed 42 is damaged"),
    ],
)
def test_what_is_no_catalogue_is_refused_by_name(folder, tmp_path, change, reason):
    path = tmp_path / "the.catalogue"
    corpus(folder, path)
    change(path)
    with pytest.raises(CatalogueError, match=f"--catalogue={path} is not a usable .*{reason}"):
        corpus(folder, path)


def test_another_version_is_refused(folder, tmp_path):
    path = str(tmp_path / "c")
    corpus(folder, path)
    about, columns = column_file.load(path)
    column_file.save(path, {**about, "version": 4}, columns)
    with pytest.raises(CatalogueError, match="it is of version 4, expected 5"):
        corpus(folder, path)


def test_a_catalogue_of_other_folders_is_refused(folder, tmp_path):
    corpus(folder, tmp_path / "c")
    with pytest.raises(CatalogueError, match=f"is of {folder}, not of --audio_dir={tmp_path}:"):
        corpus(tmp_path, tmp_path / "c")


def test_none_is_made_of_nothing(tmp_path):
    (tmp_path / "broken.wav").touch()
    with pytest.raises(NoAudioError):
        corpus(tmp_path, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_it_cannot_be_written(folder, tmp_path):
    with pytest.raises(CatalogueError, match=r"there is no folder .*nowhere"):
        corpus(folder, tmp_path / "nowhere" / "c")


def test_what_is_gone_since_is_unreadable_and_what_is_new_is_not_seen(folder, tmp_path):
    corpus(folder, tmp_path / "c")
    (folder / "3.wav").unlink()
    write_wav(folder / "new.wav", random_frames(Encoding.S16, 160, 1), Encoding.S16)
    opened = corpus(folder, tmp_path / "c", valid_fraction=0)
    assert "new.wav" not in opened.train.catalogue.names
    unreadable = set()
    for _ in make_dataset(
        opened.train, one_pass=True, on_unreadable=lambda path, _: unreadable.add(path)
    ).as_numpy_iterator():
        pass
    assert unreadable == {str(folder / "3.wav")}
