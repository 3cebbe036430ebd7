import dataclasses
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalogue import column_file
from pipeline.catalogue.catalogue import Catalogue, Skipped, build_catalogue
from pipeline.catalogue.column_file import ColumnFileError
from pipeline.catalogue.scan import scan_files
from pipeline.catalogue.table import FileTable
from pipeline.wav.encoding import Encoding
from runtime import atomic_files, filesystem
from runtime.find_files import find_files
from tests import wav_files
from tests.files import make_files
from tests.traced_memory import traced_memory

pytestmark = pytest.mark.both_stacks

FRAMES = wav_files.random_frames(Encoding.S16, 10, 2)


def put(path, encoding=Encoding.S16, frames=None, **options) -> str:
    """Writes a WAV, its folder too; returns the path."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    frames = wav_files.random_frames(encoding, 10, 2) if frames is None else frames
    wav_files.write_wav(path, frames, encoding, **options)
    return str(path)


def falsify(cache: str) -> None:
    """Has a cache say that every file holds 7 frames: what is read again has another number."""
    files, about = FileTable.load(cache)
    dataclasses.replace(files, frames=np.full(len(files), 7)).save(cache, about)


def test_columns(tmp_path):
    for encoding in Encoding:
        frames = wav_files.random_frames(encoding, 10 + encoding, 1 + encoding)
        put(tmp_path / f"{encoding.name}.wav", encoding, frames, sample_rate=8000 + encoding)
    catalogue = build_catalogue([str(tmp_path)])
    order = [Encoding[name.removesuffix(".wav")] for name in catalogue.names]
    assert [encoding.name for encoding in order] == sorted(Encoding.__members__)
    assert len(catalogue) == len(Encoding)
    for column, dtype, expected in [
        ("encodings", np.int8, order),
        ("frames", np.int64, [10 + encoding for encoding in order]),
        ("channels", np.int32, [1 + encoding for encoding in order]),
        ("sample_rates", np.int32, [8000 + encoding for encoding in order]),
        ("offsets", np.int64, [44] * len(Encoding)),
        ("sizes", np.int64, [os.path.getsize(path) for path in catalogue.paths]),
        ("mtimes_ns", np.int64, [os.stat(path).st_mtime_ns for path in catalogue.paths]),
    ]:
        assert getattr(catalogue, column).dtype == dtype
        assert getattr(catalogue, column).tolist() == expected
    assert catalogue.paths == tuple(str(tmp_path / name) for name in catalogue.names)
    assert catalogue.notes == ("",) * len(Encoding)
    assert catalogue.skipped == ()


def test_names_are_sorted_within_each_folder(tmp_path):
    for name in ["z/b.wav", "z/a/c.wav", "z/B.WAV", "a/y.Wav", "a/x/1.wav", "a/x.wav"]:
        put(tmp_path / name)
    catalogue = build_catalogue([str(tmp_path / "z"), str(tmp_path / "a")])
    assert catalogue.names == ("B.WAV", "a/c.wav", "b.wav", "x.wav", "x/1.wav", "y.Wav")


def test_what_is_no_audio_is_not_even_skipped(tmp_path):
    put(tmp_path / "good.wav")
    put(tmp_path / "folder.wav" / "inside.wav")
    put(tmp_path / "folder.wav" / ".hidden" / "a.wav")
    for folder in (".Trash-1000", ".ipynb_checkpoints", ".git/annex", "__MACOSX", "@eaDir"):
        put(tmp_path / "deep" / folder / "a.wav")
        put(tmp_path / folder / "deep" / "a.wav")
    put(tmp_path / ".hidden.wav")
    (tmp_path / ".link.wav").symlink_to("good.wav")
    (tmp_path / ".link").symlink_to("folder.wav")
    for name in ["._good.wav", ".wav", "notes.txt", "good.wav.bak", "wav", "a.w64"]:
        (tmp_path / name).write_bytes(b"x")
    os.mkfifo(tmp_path / "fifo.wav")
    (tmp_path / "to_fifo.wav").symlink_to("fifo.wav")
    (tmp_path / "notes_too.txt").symlink_to("nowhere")
    (tmp_path / ".dangling.wav").symlink_to("nowhere")
    catalogue = build_catalogue([str(tmp_path)])
    assert catalogue.names == ("folder.wav/inside.wav", "good.wav")
    assert catalogue.skipped == ()


def test_a_link_whose_audio_is_missing_is_skipped_by_name(tmp_path):
    put(tmp_path / "good.wav")
    (tmp_path / "not_fetched.wav").symlink_to(".git/annex/objects/x")
    (tmp_path / "self.wav").symlink_to("self.wav")
    (tmp_path / "unmounted").symlink_to("/no/such/disk/songs")
    catalogue = build_catalogue([str(tmp_path)])
    assert catalogue.names == ("good.wav",)
    nowhere = "a link that leads nowhere:"
    assert sorted(catalogue.skipped) == [
        (f"{tmp_path}/not_fetched.wav", f"{nowhere} No such file or directory"),
        (f"{tmp_path}/self.wav", f"{nowhere} Too many levels of symbolic links"),
        (f"{tmp_path}/unmounted", f"{nowhere} No such file or directory"),
    ]


def test_a_hidden_root_and_links_to_what_is_hidden(tmp_path):
    for name in (".cache/x/a.wav", ".b.wav", "root/.git/annex/c", "root/.d/e.wav"):
        put(tmp_path / name)
    (tmp_path / "root" / "c.wav").symlink_to(".git/annex/c")
    (tmp_path / "root" / "d").symlink_to(".d")
    roots = [str(tmp_path / name) for name in (".cache", ".b.wav", "root")]
    assert build_catalogue(roots).names == ("x/a.wav", ".b.wav", "c.wav", "d/e.wav")
    assert build_catalogue([f"{tmp_path}/root/.d/."]).names == ("e.wav",)


def test_other_names_of_wav_files(tmp_path):
    for name in ("a.wave", "b.BWF", "c.rf64", "d.Wav"):
        put(tmp_path / name)
    assert build_catalogue([str(tmp_path)]).names == ("a.wave", "b.BWF", "c.rf64", "d.Wav")


def test_a_file_with_several_hard_links_is_listed_once(tmp_path):
    put(tmp_path / "root" / "b" / "1.wav")
    put(tmp_path / "root" / "2.wav")
    put(tmp_path / "elsewhere" / "3.wav")
    for target, link in [
        ("root/b/1.wav", "root/c.wav"),
        ("root/b/1.wav", "root/b/0.wav"),
        ("root/2.wav", "other/2.wav"),
        ("elsewhere/3.wav", "root/3.wav"),
        ("root/2.wav", "root/2.bak"),
    ]:
        (tmp_path / link).parent.mkdir(exist_ok=True)
        os.link(tmp_path / target, tmp_path / link)
    (tmp_path / "root" / "a.wav").symlink_to("c.wav")
    (tmp_path / "root" / "a").symlink_to("../elsewhere")
    # Which name is kept does not depend on the order in which the folder is listed.
    assert build_catalogue([f"{tmp_path}/root"]).names == ("2.wav", "3.wav", "b/0.wav")
    for roots, names in [
        (("other", "root"), ("2.wav", "3.wav", "b/0.wav")),
        (("root/c.wav", "root", "elsewhere"), ("c.wav", "2.wav", "3.wav")),
        (("elsewhere", "root/3.wav"), ("3.wav",)),
    ]:
        assert build_catalogue([str(tmp_path / root) for root in roots]).names == names


@pytest.mark.parametrize(
    "name",
    [b"\xff\xfe.wav", b"new\nline.wav", b"[1]*?.wav", b" .wav", "日本.wav".encode(), b"%00\\.wav"],
)
def test_any_name_survives_scan_and_cache(tmp_path, name):
    path = os.path.join(os.fsencode(tmp_path), b"dir\xfc", name)
    put(path)
    cache = str(tmp_path / "cache.catalogue")
    for _ in range(2):
        catalogue = build_catalogue([str(tmp_path)], cache_path=cache)
        assert [os.fsencode(path) for path in catalogue.paths] == [path]
        assert [os.fsencode(name) for name in catalogue.names] == [b"dir\xfc/" + name]


def test_links_are_followed_and_loops_end(tmp_path):
    put(tmp_path / "elsewhere" / "a.wav")
    put(tmp_path / "root" / "b" / "c.wav")
    (tmp_path / "root" / "b" / "up").symlink_to("..")
    (tmp_path / "root" / "a").symlink_to("b")
    (tmp_path / "root" / "a.wav").symlink_to("b/c.wav")
    (tmp_path / "root" / "link").symlink_to(tmp_path / "elsewhere")
    catalogue = build_catalogue([str(tmp_path / "root")])
    assert catalogue.names == ("b/c.wav", "link/a.wav")


def test_overlapping_folders_list_a_file_once(tmp_path):
    for name in ["a/1.wav", "a/b/2.wav", "3.wav"]:
        put(tmp_path / name)
    roots = [tmp_path / "a", tmp_path / "a" / "b" / "2.wav", tmp_path, tmp_path / "a"]
    assert build_catalogue(
        [f"{root}/./" for root in roots[:1]] + [str(r) for r in roots]
    ).names == (
        "1.wav",
        "b/2.wav",
        "3.wav",
    )


def test_a_single_file_and_the_home_folder(tmp_path, monkeypatch):
    put(tmp_path / "music" / "a.wav")
    put(tmp_path / "b.take2")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert build_catalogue(["~/b.take2", "~/music"]).names == ("b.take2", "a.wav")


@pytest.mark.parametrize("root", ["nowhere", "fifo"])
def test_a_folder_that_does_not_exist(tmp_path, root):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(FileNotFoundError, match=f"there is no folder or file '.*{root}'"):
        build_catalogue([str(tmp_path / root)])


def test_unusable_files_are_skipped_with_their_reason(tmp_path):
    put(tmp_path / "good.wav")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "flac.wav").write_bytes(b"fLaC\0\0\0\0")
    catalogue = build_catalogue([str(tmp_path)])
    assert catalogue.names == ("good.wav",)
    assert catalogue.skipped == (
        Skipped(str(tmp_path / "empty.wav"), "the file is empty"),
        Skipped(str(tmp_path / "flac.wav"), "it is a FLAC file, not a WAV"),
    )


def test_truncated_files_are_used_and_noted(tmp_path):
    path = put(tmp_path / "a.wav")
    os.truncate(path, 60)
    catalogue = build_catalogue([str(tmp_path)])
    assert catalogue.frames.tolist() == [4]
    assert catalogue.notes == ("truncated: 16 of 40 bytes of samples are there",)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("encoding", [Encoding.F32, Encoding.F64])
@pytest.mark.parametrize("frame", [0, 199_999])
def test_floats_without_an_integer_near_them_are_refused(tmp_path, encoding, value, frame):
    frames = np.zeros((200_000, 2))
    good = put(tmp_path / "good.wav", encoding, frames)
    frames[frame, 1] = value
    bad = put(tmp_path / "bad.wav", encoding, frames)
    catalogue = build_catalogue([str(tmp_path)])
    assert catalogue.paths == (good,)
    ((path, reason),) = catalogue.skipped
    assert path == bad
    assert f"NaN or infinity (first in frame {frame})" in reason


BEYOND = [Encoding.F32, Encoding.F64, Encoding.F32_BE]


@pytest.mark.parametrize("encoding", BEYOND)
def test_floats_beyond_full_scale_are_clipped_with_a_note(tmp_path, encoding):
    frames = np.tile([[0.25, -1.0]], (200_000, 1))
    put(tmp_path / "full.wav", encoding, frames)
    frames[199_900:, 0] = -1.3
    put(tmp_path / "loud.wav", encoding, frames)
    put(tmp_path / "mix.wav", encoding, 1.5 * np.sin(np.arange(1000.0))[:, np.newaxis])
    put(tmp_path / "one.wav", encoding, np.array([[1.25]]))
    put(tmp_path / "spike.wav", encoding, np.array([[1e-310], [1e9], [1e-5], [0.0]]))
    catalogue = build_catalogue([str(tmp_path)])
    assert catalogue.notes == (
        "",
        "peak 1.3: 0.025% of its samples are clipped",
        "peak 1.5: 53.6% of its samples are clipped",
        "peak 1.25: 100% of its samples are clipped",
        "peak 1e+09: 25% of its samples are clipped",
    )


@pytest.mark.parametrize("encoding", BEYOND)
@pytest.mark.parametrize("scale", [2**7, 2**15, 2**23, 2**31])
def test_floats_scaled_to_integers_are_refused(tmp_path, encoding, scale):
    rng = np.random.default_rng(0)
    noise = rng.normal(0, scale / 20, (200_000, 2)).clip(-scale, scale)
    noise[:100_000] = 0  # Silence says nothing of the scale.
    put(tmp_path / "integers.wav", encoding, noise.round())
    put(tmp_path / "others.wav", encoding, noise)
    put(tmp_path / "quiet.wav", encoding, np.tile([[0.0, 1.0, -2.0, 3.0]], (9, 1)))
    catalogue = build_catalogue([str(tmp_path)])
    assert len(catalogue) == 0
    for (_, reason), peak in zip(
        catalogue.skipped, (np.abs(noise.round()).max(), np.abs(noise).max(), 3), strict=True
    ):
        assert reason.startswith(f"its floats are scaled to integers (peak {peak:.6g}), expected")


def test_the_scan_of_floats_is_bounded_in_memory(tmp_path):
    put(tmp_path / "a.wav", Encoding.F64, np.full((2**21, 2), 1.5))
    with traced_memory():
        assert build_catalogue([str(tmp_path)]).notes[0].startswith("peak 1.5: 100%")
        assert tracemalloc.get_traced_memory()[1] < 2**23


def test_nan_bits_in_integers_and_behind_the_samples_are_fine(tmp_path):
    ones = np.full((10, 2), -1)
    put(tmp_path / "integers.wav", Encoding.S32, ones)
    put(
        tmp_path / "floats.wav",
        Encoding.F32,
        np.zeros((10, 1)),
        extra_chunks_after=[(b"LIST", b"\xff" * 40)],
    )
    assert len(build_catalogue([str(tmp_path)])) == 2


def test_unreadable_files_and_folders_are_skipped_by_name(tmp_path, monkeypatch):
    good, bad = put(tmp_path / "good.wav"), put(tmp_path / "bad.wav")
    closed = os.path.dirname(put(tmp_path / "closed" / "a.wav"))
    original_open, original_scandir = os.open, os.scandir

    def deny(path):
        raise PermissionError(13, "Permission denied", path)

    # Not by chmod: root may read everything.
    monkeypatch.setattr(
        os, "open", lambda path, *args: deny(path) if path == bad else original_open(path, *args)
    )
    monkeypatch.setattr(
        os, "scandir", lambda path: deny(path) if path == closed else original_scandir(path)
    )
    cache = str(tmp_path / "cache.catalogue")
    catalogue = build_catalogue([str(tmp_path)], cache_path=cache)
    assert catalogue.paths == (good,)
    assert catalogue.skipped == (
        Skipped(bad, "Permission denied"),
        Skipped(closed, "Permission denied"),
    )
    monkeypatch.undo()
    assert len(build_catalogue([str(tmp_path)], cache_path=cache)) == 3


def test_files_that_vanish_during_the_scan_are_skipped(tmp_path):
    put(tmp_path / "a.wav")
    path = put(tmp_path / "b.wav")
    found = list(find_files(str(tmp_path), (".wav",), set()))
    os.unlink(path)
    catalogue = Catalogue.from_table(scan_files(found))
    assert catalogue.names == ("a.wav",)
    assert catalogue.skipped == (Skipped(path, "No such file or directory"),)


def test_progress_sees_every_file(tmp_path):
    for i in range(200):
        put(tmp_path / f"{i}.wav")
    seen = []

    def progress(items, total):
        assert total == 200
        for item in items:
            seen.append(item)
            yield item

    assert len(build_catalogue([str(tmp_path)], progress=progress, num_threads=2)) == 200
    assert len(seen) == 200


def test_unchanged_files_are_not_read_again(tmp_path):
    put(tmp_path / "same.wav")
    changed, touched = put(tmp_path / "changed.wav"), put(tmp_path / "touched.wav")
    removed = put(tmp_path / "removed.wav")
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no")
    cache = str(tmp_path / "cache.catalogue")
    first = build_catalogue([str(tmp_path)], cache_path=cache)
    falsify(cache)

    os.unlink(removed)
    put(tmp_path / "added.wav")
    status = os.stat(changed)
    put(changed, frames=FRAMES[:5])
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.utime(touched, ns=(0, 1))
    status = os.stat(broken)
    broken.write_bytes(b"ID")  # read again, it would begin with b'ID'
    os.utime(broken, ns=(status.st_atime_ns, status.st_mtime_ns))
    second = build_catalogue([str(tmp_path)], cache_path=cache)
    assert dict(zip(second.names, second.frames.tolist(), strict=True)) == {
        "added.wav": 10,
        "changed.wav": 5,
        "same.wav": 7,
        "touched.wav": 10,
    }
    assert second.skipped == first.skipped != ()

    falsify(cache)
    third = build_catalogue([str(tmp_path)], cache_path=cache)
    assert third.frames.tolist() == [7] * 4


def test_a_cache_of_another_version_is_ignored(tmp_path):
    put(tmp_path / "a.wav")
    cache = str(tmp_path / "cache.catalogue")
    build_catalogue([str(tmp_path)], cache_path=cache)
    falsify(cache)
    about, columns = column_file.load(cache)
    column_file.save(cache, {**about, "version": about["version"] - 1}, columns)
    for _ in range(2):  # the second reads what the first has written
        assert build_catalogue([str(tmp_path)], cache_path=cache).frames.tolist() == [10]
    assert column_file.load(cache)[0]["version"] == about["version"]


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_a_damaged_cache_is_ignored(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "damaged"
    kept = make_files(["/root/a.wav", "/root/b.wav"], 1000, 2, Encoding.S16)
    folder.mkdir(exist_ok=True)
    path = str(folder / "cache.catalogue")
    kept.save(path, {"is": "kept"})
    content = bytearray(filesystem.read_bytes(path))
    position = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[position:]
    else:
        content[position] ^= data.draw(st.integers(1, 255))
    atomic_files.write_bytes_atomically(path, bytes(content))
    try:
        loaded, about = FileTable.load(path)
    except ColumnFileError:
        return
    assert loaded.equals(kept) and about["is"] == "kept"


def test_select_keeps_what_was_skipped(tmp_path):
    for name in "abc":
        put(tmp_path / f"{name}.wav", sample_rate=ord(name))
    (tmp_path / "broken.wav").touch()
    selected = build_catalogue([str(tmp_path)]).select([2, 0])
    assert selected.names == ("c.wav", "a.wav")
    assert selected.sample_rates.tolist() == [ord("c"), ord("a")]
    assert (len(selected), len(selected.skipped)) == (2, 1)


def test_local_folders_need_no_tensorflow(tmp_path):
    put(tmp_path / "a.wav")
    script = (
        "import sys; import pipeline.split; "
        "from pipeline.catalogue.catalogue import build_catalogue; "
        "assert len(build_catalogue([sys.argv[1]])) == 1; assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)


def test_remote_folders():
    gfile = pytest.importorskip("tensorflow").io.gfile
    root = "ram://catalogue"
    contents = {
        "b.wav": wav_files.encode(FRAMES, Encoding.S16),
        "sub/a.WAV": b"RIFF",
        "sub/notes.txt": b"",
        "sub/._a.wav": b"",
        ".hidden/a.wav": b"",
        "__MACOSX/a.wav": b"",
    }
    contents["b.wav"] = wav_files.wav_bytes(
        [(b"fmt ", wav_files.fmt_chunk(Encoding.S16, 2)), (b"data", contents["b.wav"])]
    )
    for folder in ("sub", ".hidden", "__MACOSX"):
        gfile.makedirs(f"{root}/{folder}")
    for name, content in contents.items():
        with gfile.GFile(f"{root}/{name}", "wb") as file:
            file.write(content)
    cache = f"{root}/cache.catalogue"
    for roots in [[f"{root}/"], [root, f"{root}/b.wav", f"{root}/sub"]]:
        catalogue = build_catalogue(roots, cache_path=cache)
        assert catalogue.paths == (f"{root}/b.wav",)
        assert catalogue.names == ("b.wav",)
        assert catalogue.frames.tolist() == [10]
        assert catalogue.skipped == (
            Skipped(f"{root}/sub/a.WAV", "the header is truncated: the file has only 4 bytes"),
        )
    falsify(cache)
    assert build_catalogue([root], cache_path=cache).frames.tolist() == [7]
    assert build_catalogue([f"{root}/b.wav"]).names == ("b.wav",)
    with pytest.raises(FileNotFoundError, match="no folder or file 'ram://nowhere'"):
        build_catalogue(["ram://nowhere"])


def test_reads_from_buckets_ask_for_no_more_than_they_need():
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GCS_")},
        "TF_CPP_MIN_LOG_LEVEL": "0",
        "TF_CPP_VMODULE": "gcs_file_system=1",
    }
    run = subprocess.run(
        [sys.executable, "-c", "import pipeline, tensorflow"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "cache max size = 0 ; block size = 524288 ;" in run.stderr
