"""compress, decompress and verify, as from the command line."""

import dataclasses
import errno
import io
import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading
import time

import numba
import numpy as np
import pytest
import soundfile

from codec import damage
from codec.decoder import decompress_parts, open_compressed
from codec.encoder import compress_parts
from codec.files import compress_file
from codec.jobs import find_jobs
from codec.left_out import LeftOut
from codec.model import load_codec_model
from codec.shipped import shipped_models
from commands import compress, decompress, info, verify
from commands.codec_runner import MOST_LINES, Wording, run_all
from models.model_file import save_model
from models.predictors import compile
from runtime.errors import ConfigError, DataError
from runtime.flag_definitions import define
from tests.command_line import ROOT, error_of, run_main
from tests.fork_server import python
from tests.models.exact.test_stream import config, make_params, stereo
from tests.runtime.test_appended_file import room_for
from tests.wav_files import Encoding, write_wav


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("model") / "small.npz")
    settings = {"model": dataclasses.asdict(config(rate=0.01)), "data": {}, "training": {}}
    save_model(path, make_params(), **settings)
    return path


def run(module, *arguments, segment=None, **given):
    """The exit status of a command, also with shorter segments than its flag takes."""
    values = define(module.COMMAND.groups)
    values(["main.py", *(f"--{name}={value}" for name, value in given.items())])
    if segment is not None:
        values["segment"].value = segment
    return module.run(values, arguments)


def test_there_and_back(tmp_path, capsys, model):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    sources = {
        "a.wav": write_wav(tmp_path / "in" / "a.wav", stereo(800), Encoding.S16),
        "deep/b.wav": write_wav(tmp_path / "in" / "deep" / "b.wav", stereo(300), Encoding.S16),
    }
    folders = {name: str(tmp_path / name) for name in ("in", "out", "back")}
    assert run(compress, folders["in"], model=model, output_dir=folders["out"]) is None
    said = capsys.readouterr().out
    size = (tmp_path / "out" / "a.wav.wvst").stat().st_size
    line = f"{folders['in']}/a.wav: wrote {folders['out']}/a.wav.wvst, {size:,} bytes, ratio 0."
    assert line in said and "files            2\n" in said and "left out" not in said
    assert run(verify, folders["out"], model_dir=tmp_path, model=model) is None
    assert f"{folders['out']}/deep/b.wav.wvst: ok\n" in capsys.readouterr().out
    assert run(decompress, folders["out"], model=model, output_dir=folders["back"]) is None
    assert (
        f"wrote {folders['back']}/a.wav, {len(sources['a.wav']):,} bytes" in capsys.readouterr().out
    )
    for name, content in sources.items():
        assert (tmp_path / "back" / name).read_bytes() == content
    # Also of files that are named, as `in/*.wav` does.
    names = [f"{folders['in']}/{name}" for name in sources]
    assert run(compress, *names, model=model) is None
    (tmp_path / "in" / "a.wav.wvst").unlink()
    capsys.readouterr()
    for count in (1, 2):
        assert run(compress, *names, model=model) is None
        said = capsys.readouterr()
        assert f"there already; --force overwrites ({count})\n" in said.out and not said.err
    for name in names:
        os.unlink(f"{name}.wvst")
    # A second time, nothing is overwritten, and what is missing is done.
    (tmp_path / "back" / "a.wav").unlink()
    (tmp_path / "out" / "a.wav.wvst").rename(tmp_path / "a.wav.wvst")
    assert run(compress, folders["in"], model=model, output_dir=folders["out"]) is None
    said = capsys.readouterr()
    assert "left out         there already; --force overwrites (1)\n" in said.out and not said.err
    assert (tmp_path / "out" / "a.wav.wvst").read_bytes() == (tmp_path / "a.wav.wvst").read_bytes()
    assert run(decompress, folders["out"], model=model, output_dir=folders["back"]) is None
    assert "there already; --force overwrites (1)" in capsys.readouterr().out
    for name, content in sources.items():
        assert (tmp_path / "back" / name).read_bytes() == content


def test_what_is_there_and_differs_or_is_named_is_an_error(tmp_path, capsys, model):
    source, target = tmp_path / "in" / "a.wav", tmp_path / "in" / "a.wav.wvst"
    source.parent.mkdir()
    write_wav(source, stereo(800), Encoding.S16)
    run(compress, str(source), model=model)
    before = target.read_bytes()
    assert run(compress, str(source), model=model) == 1
    assert run(compress, str(source.parent), model=model, delete_input_file=True) == 1
    write_wav(source, stereo(700), Encoding.S16)
    assert capsys.readouterr().err.count("is there already: --force overwrites it") == 2
    later = target.stat().st_mtime + 10
    for time_of_source, compressed, decompressed in (
        (later, "older than its source", "modified later than what was compressed"),
        (later - 20, "newer than its source", "older than what was compressed"),
    ):
        os.utime(source, (time_of_source, time_of_source))
        assert run(compress, str(source.parent), model=model) == 1
        said = f"{target} is there already, {compressed}: --force overwrites it"
        assert said in capsys.readouterr().err
        assert run(decompress, str(target), model=model) == 1
        said = f"{source} is there already, {decompressed}: --force overwrites it"
        assert said in capsys.readouterr().err
    assert target.read_bytes() == before


def test_force_overwrites_files_only(tmp_path, capsys, model):
    """Neither what a link leads to, which may be the source itself, nor a FIFO or a device."""
    source, target = tmp_path / "a.wav", tmp_path / "a.wav.wvst"
    content = write_wav(source, stereo(300), Encoding.S16)
    os.mkfifo(tmp_path / "fifo")
    for place in ("a.wav", "fifo", "nowhere"):
        target.symlink_to(place)
        assert run(compress, str(source), model=model, force=True, delete_input_file=True) == 1
        assert "a.wav.wvst is a link, device, FIFO or folder, expected" in capsys.readouterr().err
        assert os.readlink(target) == place and source.read_bytes() == content
        target.unlink()
    assert run(compress, str(source), model=model) is None
    source.unlink()
    os.mkfifo(source)
    assert run(decompress, str(target), model=model, force=True) == 1
    assert f"{source} is a link, device, FIFO" in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path)) == ["a.wav", "a.wav.wvst", "fifo"]


def test_deeper_samples_than_the_model_codes(tmp_path, capsys, model):
    folder = tmp_path / "in"
    folder.mkdir()
    deep = write_wav(folder / "a.wav", stereo(800) * 200, Encoding.S24)
    write_wav(folder / "b.wav", stereo(800), Encoding.S16)
    assert run(compress, str(folder), model=model, output_dir=tmp_path / "out") is None
    said = capsys.readouterr().err
    assert "codes samples of at most 16 bits: 1 file is of more, coded by wavestream's own" in said
    assert run(decompress, str(tmp_path / "out"), model=model, output_dir=tmp_path / "back") is None
    assert (tmp_path / "back" / "a.wav").read_bytes() == deep
    assert 0.7 * len(deep) > (tmp_path / "out" / "a.wav.wvst").stat().st_size


def test_a_file_that_needs_no_model(tmp_path, model):
    """Floats that are not integers: no model codes them."""
    frames = np.random.default_rng(0).normal(size=(300, 1)).astype(np.float32)
    source = write_wav(tmp_path / "a.wav", frames, Encoding.F32)
    packed = b"".join(compress_parts(io.BytesIO(source), len(source), [load_codec_model(model)]))
    assert b"".join(decompress_parts(open_compressed(io.BytesIO(packed), []))) == source
    coded = write_wav(tmp_path / "b.wav", stereo(800), Encoding.S16)
    packed = b"".join(compress_parts(io.BytesIO(coded), len(coded), [load_codec_model(model)]))
    with pytest.raises(DataError, match="was not found"):
        open_compressed(io.BytesIO(packed), [])


def test_damage_is_the_exit_status(tmp_path, capsys, monkeypatch, model):
    write_wav(tmp_path / "a.wav", stereo(800), Encoding.S16, sample_rate=1000)
    run(compress, str(tmp_path / "a.wav"), model=model, segment=100)
    path = tmp_path / "a.wav.wvst"
    data = bytearray(path.read_bytes())
    for place in (0.3, 0.31, 0.6):
        data[int(place * len(data))] ^= 1
    path.write_bytes(data)
    (tmp_path / "a.wav").unlink()
    capsys.readouterr()
    looks = []
    index_blocks = damage.index_blocks
    monkeypatch.setattr(damage, "index_blocks", lambda *x: looks.append(x) or index_blocks(*x))
    assert run(verify, str(path), model=model) == 1
    assert len(looks) == 1  # Each reads the whole file.
    said = capsys.readouterr().err
    assert "a.wav.wvst: the block at byte" in said and "(decompress --recover writes what" in said
    times = ("0:00:00.192 to 0:00:00.288", "0:00:00.480 to 0:00:00.576")
    assert f"is damaged (segment 3 of 9, {times[0]}); 2 of 9 segments lost: " in said
    assert f"lost: {', '.join(times)}\n" in said
    assert run(decompress, str(path), model=model) == 1
    assert not (tmp_path / "a.wav").exists()
    capsys.readouterr()
    assert run(decompress, str(path), model=model, recover="true") == 1
    out, err = capsys.readouterr()
    assert f"segment 6 of 9, {times[1]}: silence in its place" in err
    assert "bytes; from a damaged file (" in out and (tmp_path / "a.wav").exists()


def test_recover_says_whether_anything_is_lost(tmp_path, capsys, model):
    write_wav(tmp_path / "a.wav", stereo(800), Encoding.S16, sample_rate=1000)
    (tmp_path / "notes.txt").write_text("no audio " * 100)
    run(compress, str(tmp_path / "a.wav"), str(tmp_path / "notes.txt"), model=model, segment=100)
    data, text = ((tmp_path / name).read_bytes() for name in ("a.wav.wvst", "notes.txt.wvst"))
    (tmp_path / "in").mkdir()
    capsys.readouterr()
    path = tmp_path / "in" / "a.wav.wvst"
    for damaged, verdict, is_same in (
        (data[:8] + b"!" + data[9:], "nothing is lost: the hash of the source matches", True),
        (data + data, "nothing is lost: the hash of the source matches", True),
        (
            data[:-1],
            "are lost is not known: the hash of the source is damaged",
            True,
        ),
        (data[:400] + b"!" + data[401:], "1 of 9 segments lost", False),
    ):
        path.write_bytes(damaged)
        assert run(decompress, str(path), model=model, recover="true", force="true") == 1
        out, err = capsys.readouterr()
        assert err.endswith(f"{verdict}\n") and err.startswith(f"damaged: {path}: ")
        assert ("; from a damaged file, nothing is lost (" in out) == ("nothing" in verdict)
        same = (tmp_path / "in" / "a.wav").read_bytes() == (tmp_path / "a.wav").read_bytes()
        assert same == is_same
    lost = tmp_path / "in" / "notes.txt.wvst"
    lost.write_bytes(text[:40] + b"!" + text[41:])
    assert run(decompress, str(lost), model=model, recover="true") == 1
    assert "no block is intact: nothing could be recovered\n" in capsys.readouterr().err
    assert not (tmp_path / "in" / "notes.txt").exists()


def test_where_nothing_can_be_recovered_nothing_else_is_said(tmp_path, capsys, model):
    write_wav(tmp_path / "a.wav", stereo(800), Encoding.S16)
    run(compress, str(tmp_path / "a.wav"), model=model)
    path = tmp_path / "a.wav.wvst"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1  # In the only segment.
    capsys.readouterr()
    for damaged in (data, b""):
        path.write_bytes(damaged)
        assert run(verify, str(path), model=model) == 1
        assert "--recover" not in capsys.readouterr().err
        assert run(decompress, str(path), model=model, recover="true", force="true") == 1
        err = capsys.readouterr().err
        assert err.startswith(f"error: {path}: ") and err.count("\n") == 1


def test_what_is_lost_of_a_file_is_told_together(tmp_path, capsys, monkeypatch, model):
    barrier = threading.Barrier(2)

    def recover_side_by_side(job, *_, recover, **__):
        for text in ("first", "second"):
            barrier.wait(10)
            recover.damage.append(text)
        raise DataError("the rest is damaged, too")

    monkeypatch.setattr("codec.files.decompress_file", recover_side_by_side)
    paths = [tmp_path / f"{name}.wav.wvst" for name in "ab"]
    for path in paths:
        path.touch()
    assert run(decompress, *map(str, paths), model=model, recover="true", jobs=2) == 1
    lost = [x for x in capsys.readouterr().err.splitlines() if x.startswith("damaged: ")]
    expected = [f"damaged: {path}: {text}" for path in paths for text in ("first", "second")]
    assert lost in (expected, expected[2:] + expected[:2])


def test_what_is_left_out_and_removed_is_told(tmp_path, capsys, model):
    write_wav(tmp_path / "a.wav", stereo(80), Encoding.S16)
    (tmp_path / "notes.txt").write_text("no audio")
    (tmp_path / "cover.jpg").write_text("no audio")
    for name, target in (("x.jpg", "nowhere"), ("disk", "nowhere"), ("loop", ".")):
        (tmp_path / name).symlink_to(target)
    assert run(compress, str(tmp_path), model=model, delete_input_file="true") is None
    said = capsys.readouterr().out
    assert f"; removed {tmp_path}/a.wav (" in said and not (tmp_path / "a.wav").exists()
    label, others, loop, disk = re.split("; |(?<=left out)  +", said.splitlines()[-1])
    assert label == "left out" and others.startswith("not WAV: ")
    assert {*re.findall(r"\w+\.\w+(?=')", others)} == {"notes.txt", "cover.jpg", "x.jpg"}
    assert loop == f"'{tmp_path}/loop' (a link to a folder: not followed)"
    assert disk == f"'{tmp_path}/disk' (a link that leads nowhere: No such file or directory)"
    (tmp_path / "live.flac").touch()
    match = (
        r"no WAV file in .*left out: not WAV: .* and 1 more; compressed already \(1\); .*loop.*"
        r"live.flac' is audio, but no WAV: `ffmpeg -i IN OUT.wav` makes one"
    )
    with pytest.raises(ConfigError, match=match):
        run(compress, str(tmp_path), model=model)


def test_empty_folders_come_back(tmp_path, capsys, model):
    source, out, back = (tmp_path / name for name in ("in", "in/out", "back"))
    for folder in ("empty/deeper", "notes", "taken", "é\n"):
        (source / folder).mkdir(parents=True)
    (source / "notes" / "notes.txt").touch()
    write_wav(source / "a.wav", stereo(80), Encoding.S16)

    def folders_of(root):
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_dir())

    for _ in range(2):  # The results, which are below the source, are not taken for sources.
        assert run(compress, str(source), model=model, output_dir=out) is None
        assert folders_of(out) == ["empty", "empty/deeper", "taken", "é\n"]
    back.mkdir()
    (back / "taken").touch()
    capsys.readouterr()
    assert run(decompress, str(out), model=model, output_dir=back) == 1
    said = capsys.readouterr()
    assert said.err == f"error: {back}/taken: File exists\n" and "1 failed" in said.out
    assert folders_of(back) == ["empty", "empty/deeper", "é\n"]
    assert (back / "a.wav").read_bytes() == (source / "a.wav").read_bytes()
    assert run(decompress, str(out), model=model, output_dir=tmp_path) is None  # Above the source.
    assert folders_of(tmp_path / "empty") == ["deeper"]


def test_a_folder_comes_back_with_all_its_files(tmp_path, capsys, model):
    source, out, back = (tmp_path / name for name in ("in", "out", "back"))
    (source / "notes").mkdir(parents=True)
    write_wav(source / "a.wav", stereo(80), Encoding.S16)
    (source / "notes" / "notes.txt").write_text("of the session\n" * 20)
    (source / "cover.jpg").write_bytes(bytes(range(256)))
    (source / ".hidden").touch()
    assert run(compress, str(source), model=model, output_dir=out, all_files=True) is None
    said = capsys.readouterr().out
    assert "files            4\n" in said and "left out" not in said
    assert run(decompress, str(out), model=model, output_dir=back) is None

    def contents(root):
        return {path.relative_to(root): path.read_bytes() for path in files_below(root)}

    assert len(contents(source)) == 4 and contents(back) == contents(source)
    # Given again, it goes on; results beside their sources are not compressed again.
    assert run(compress, str(source), model=model, all_files=True) is None
    capsys.readouterr()
    assert run(compress, str(source), model=model, all_files=True) is None
    assert "compressed already (4)" in capsys.readouterr().out


def files_below(root):
    return [path for path in root.rglob("*") if path.is_file()]


def test_what_cannot_be_read_is_named_and_the_rest_is_done(tmp_path, capsys, monkeypatch, model):
    """A folder of another user, and audio that was not fetched."""
    scandir = os.scandir
    (tmp_path / "locked").mkdir()
    write_wav(tmp_path / "locked" / "z.wav", stereo(80), Encoding.S16)
    write_wav(tmp_path / "a.wav", stereo(80), Encoding.S16)
    (tmp_path / "x.wav").symlink_to("nowhere")

    def refuse(path):
        if os.fspath(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert run(compress, str(tmp_path), model=model) == 1
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        f"error: {tmp_path}/x.wav: a link that leads nowhere: No such file or directory",
        f"error: {tmp_path}/locked: Permission denied",
    ]
    assert "files            1 of 3, 2 failed\n" in out and (tmp_path / "a.wav.wvst").exists()
    for module, status in ((verify, 1), (info, 1)):
        assert run(module, str(tmp_path), model_dir=os.path.dirname(model)) == status
        assert capsys.readouterr().err == f"error: {tmp_path}/locked: Permission denied\n"
    with pytest.raises(PermissionError):
        run(compress, str(tmp_path / "locked"), model=model)


def test_a_result_that_is_there_is_whole_or_named(tmp_path, capsys, model):
    folders = [tmp_path / name for name in ("in", "out", "back")]
    folders[0].mkdir()
    chunks = [(b"LIST", b"INFOINAM\5\0\0\0song\0\0")]
    write_wav(folders[0] / "a.wav", stereo(300), Encoding.S16, extra_chunks_after=chunks)
    (folders[0] / "b.wav").write_bytes(np.random.default_rng(0).bytes(2**20 + 9))
    write_wav(folders[0] / "c.wav", stereo(90), Encoding.S16)
    steps = [(compress, *folders[:2], ".wav.wvst"), (decompress, *folders[1:], ".wav")]
    for module, source, target, suffix in steps:
        for _ in range(2):
            assert run(module, str(source), model=model, output_dir=target) is None
        assert "there already; --force overwrites (3)" in capsys.readouterr().out
        for name in "abc":
            path = target / f"{name}{suffix}"
            whole, times = path.read_bytes(), path.stat()
            path.write_bytes(whole[: len(whole) - 5])
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
            assert run(module, str(source), model=model, output_dir=target) == 1
            assert f"{path} is there already, but " in capsys.readouterr().err
            path.write_bytes(whole)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert run(compress, str(folders[0]), fast="true", output_dir=folders[1]) is None
    said = capsys.readouterr().out
    assert "by another model; --force overwrites (2), there already; --force overwrites (1)" in said


def test_a_truncated_source_is_kept_and_told(tmp_path, capsys, model):
    data = write_wav(tmp_path / "a.wav", stereo(800), Encoding.S16)
    (tmp_path / "a.wav").write_bytes(data[:-1000])
    assert run(compress, str(tmp_path), model=model) is None
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"warnings         1 file, kept byte for byte: '{tmp_path}/a.wav' (truncated: 2200 of 3200 "
        "bytes of samples are there)"
    )


def test_files_that_no_model_codes_are_named(tmp_path, capsys, monkeypatch, model):
    noise = np.random.default_rng(0).normal(size=(300, 1)).astype(np.float32)
    half = np.where(np.arange(300)[:, None] < 96, 0.5, noise)
    for name, frames in (("a.wav", noise), ("b.wav", noise), ("c.wav", half)):
        write_wav(tmp_path / name, frames, Encoding.F32)
    write_wav(tmp_path / "d.wav", stereo(80), Encoding.S16)
    (tmp_path / "e.wav").write_bytes(b"no audio")
    assert run(compress, str(tmp_path), model=model, segment=96) is None
    why = "floats that are not integers of at most 32 bits"
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"without a model  4 files, kept by LZMA: '{tmp_path}/a.wav' and 1 more ({why}); "
        f"'{tmp_path}/c.wav' (some of it: {why}); "
        f"'{tmp_path}/e.wav' (it is not a WAV: it begins with b'no a' in place of b'RIFF')"
    )
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"no audio")))
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO()))
    assert run(compress, "-", model=model) is None
    assert "stdin is kept by LZMA, without a model: it is not a WAV" in capsys.readouterr().err


def test_an_empty_file_has_no_ratio(tmp_path, capsys, model):
    path = tmp_path / "a.wav"
    path.touch()
    assert run(compress, str(path), model=model, compare="true") is None
    size = (tmp_path / "a.wav.wvst").stat().st_size
    assert f"wrote {path}.wvst, {size} bytes (" in capsys.readouterr().out
    assert run(decompress, f"{path}.wvst", model=model, force="true") is None
    assert f"wrote {path}, 0 bytes (" in capsys.readouterr().out
    (tmp_path / "b.wav").touch()
    assert run(compress, str(tmp_path), model=model, force="true") is None
    assert "ratio" not in capsys.readouterr().out


def test_many_files_have_no_line_each(tmp_path, capsys, model):
    for number in range(MOST_LINES + 1):
        write_wav(tmp_path / f"{number}.wav", stereo(2), Encoding.S16)
    assert run(compress, str(tmp_path), model=model, force="true") is None
    said = capsys.readouterr().out
    assert said.startswith("files            21 (--verbose prints a line for each)\nsource ")
    assert "wrote" not in said
    for module, text, more in (
        (compress, "wrote", {"force": "true"}),
        (verify, "ok", {}),
        (decompress, "wrote", {"force": "true"}),
    ):
        assert run(module, str(tmp_path), model=model, verbose="true", **more) is None
        said = capsys.readouterr().out
        assert said.count(f"wav{'' if module is compress else '.wvst'}: {text}") == 21
        intact = ", all intact" if module is verify else ""
        assert f"files            21{intact}\n" in said


def test_what_cannot_be_written_is_one_line(tmp_path, capsys, model):
    path = tmp_path / "a.wav"
    write_wav(path, stereo(800), Encoding.S16)
    for folder in ("/dev/null/x", "gs://bucket/x"):
        message = error_of(capsys, "compress", f"--output_dir={folder}", path)
        assert message.startswith(f"--output_dir={folder}")
    with room_for(50):
        assert run_main("compress", f"--model={model}", path) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"error: {path}.wvst: File too large\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


_STUCK = """
import os, time
import codec.encoder
encode_segment = codec.encoder.encode_segment
def stuck(coder, frames, **options):
    if len(frames) == 300:
        with open(os.environ["STUCK"], "a") as file:
            file.write("!")
        time.sleep(100)
    return encode_segment(coder, frames, **options)
codec.encoder.encode_segment = stuck
from commands import parser
from main import COMMANDS
parser.run(COMMANDS)
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_ends_it_at_once_and_keeps_what_is_finished(tmp_path, model, number, status):
    """Also behind one that is not."""
    folder, stuck = tmp_path / "in", tmp_path / "stuck"
    folder.mkdir()
    for name, frames in (("a", 300), ("b", 80), ("c", 300)):
        write_wav(folder / f"{name}.wav", stereo(frames), Encoding.S16)
    process = subprocess.Popen(
        python("-c", _STUCK, "compress", f"--model={model}", "--jobs=2", folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "STUCK": str(stuck)},
    )
    try:
        deadline = time.monotonic() + 100
        while not stuck.exists() or stuck.read_text() != "!!":
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        assert len([*folder.glob(".*.tmp")]) == 2
        process.send_signal(number)
        _, err = process.communicate(timeout=50)  # Not as long as it is stuck.
    finally:
        process.kill()
    assert process.returncode == status
    assert re.search(
        r"^error: interrupted: 1 of 3 files are finished; the same command ", err, re.MULTILINE
    )
    assert {path.name for path in folder.iterdir()} == {"a.wav", "b.wav", "b.wav.wvst", "c.wav"}


def test_what_compiles_is_announced(tmp_path, monkeypatch, model):
    announced = []
    monkeypatch.setattr(compile, "announce_compilation", announced.append)
    write_wav(tmp_path / "a.wav", stereo(80), Encoding.S16)
    run(compress, str(tmp_path / "a.wav"), model=model)
    run(verify, str(tmp_path / "a.wav.wvst"), model=model)
    assert len({*announced}) == len(announced) == 2
    kept = pathlib.Path(numba.config.CACHE_DIR)
    assert all(any(kept.rglob(f"{name}-*.nbi")) for name in announced)


def test_a_file_that_vanishes_is_named_and_the_others_are_done(tmp_path, capsys, model):
    for name in "ab":
        write_wav(tmp_path / f"{name}.wav", stereo(80), Encoding.S16)
    jobs = find_jobs([str(tmp_path)], None, compress=True)
    (tmp_path / "a.wav").unlink()
    done = run_all(
        jobs,
        lambda job, progress: compress_file(job, [load_codec_model(model)]),
        1,
        Wording(lambda *_: "done", "source", "compressed", None),
        LeftOut(),
    )
    out, err = capsys.readouterr()
    assert (done.status, [job.source for job in done.jobs]) == (1, [f"{tmp_path}/b.wav"])
    assert err == f"error: {tmp_path}/a.wav: No such file or directory\n"
    assert "files            1 of 2, 1 failed\n" in out


def test_a_model_is_looked_for_by_its_fingerprint(tmp_path, capsys, model):
    write_wav(tmp_path / "a.wav", np.zeros((50, 1)) + 5, Encoding.S16)
    run(compress, str(tmp_path / "a.wav"), model=model)
    folder = model.rsplit("/", 1)[0]
    assert run(verify, str(tmp_path), model_dir=folder) is None
    assert run(verify, str(tmp_path)) == 1
    said = capsys.readouterr().err
    assert "was not found" in said and "--recover" not in said  # It is not damaged.
    shutil.copy(tmp_path / "a.wav.wvst", tmp_path / "b.wav.wvst")
    assert run(verify, str(tmp_path)) == 1
    assert re.fullmatch(
        rf"error: {tmp_path}/a\.wav\.wvst and 1 more: compressed with the model [0-9a-f]{{16}}, "
        "which was not found: name it with --model=FILE, or its folder with --model_dir\n",
        capsys.readouterr().err,
    )


def test_a_model_that_is_named_and_another_is_told(tmp_path, capsys, monkeypatch, model):
    write_wav(tmp_path / "a.wav", np.zeros((50, 1)) + 5, Encoding.S16)
    path = tmp_path / "a.wav.wvst"
    run(compress, str(tmp_path / "a.wav"), model=model)
    data, folder = path.read_bytes(), os.path.dirname(model)
    run(compress, str(tmp_path / "a.wav"), model="fast", output_dir=tmp_path / "out")
    capsys.readouterr()
    assert run(verify, str(tmp_path), model="normal", model_dir=folder) is None
    assert capsys.readouterr().err == (
        "warning: 2 files were compressed with another model than --model=normal: decoded with "
        f"{model} (1), wavestream's own fast (1)\n"
    )
    for flags in ({}, {"recover": "true"}, {"start": 0.001}):
        given = {"model": "fast", "model_dir": folder, "force": "true"}
        run(decompress, str(path), **given, **flags)
        assert "warning: 1 file was compressed with another model than" in capsys.readouterr().err
    for given in ({}, {"model": model}):
        run(decompress, str(path), model_dir=folder, force="true", **given)
        assert not capsys.readouterr().err
    (tmp_path / "a.wav").unlink()
    for source in (str(path), "-"):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO()))
        assert run(decompress, source, model="fast") == 1
        assert re.search(
            "it was compressed with the model [0-9a-f]{16}, which was not found and is not "
            "--model=fast: name it with --model=FILE, or",
            capsys.readouterr().err,
        )


def test_compressed_files_that_are_named_are_left_out(tmp_path, capsys, model):
    source = tmp_path / "a.wav"
    write_wav(source, stereo(80), Encoding.S16)
    (tmp_path / "B.WVST").touch()
    names = [str(source), str(tmp_path / "B.WVST")]
    assert run(compress, *names, model=model) is None
    assert "\nleft out         compressed already (1)\n" in capsys.readouterr().out
    anew = r"is compressed already; to compress anew, decompress first$"
    with pytest.raises(ConfigError, match=rf"^{source}\.wvst {anew}"):
        run(compress, f"{source}.wvst", model=model)
    assert sorted(os.listdir(tmp_path)) == ["B.WVST", "a.wav", "a.wav.wvst"]


def test_mistakes(tmp_path, model):
    with pytest.raises(ConfigError, match=f"^no WAV file in {tmp_path} or the folders below$"):
        run(compress, str(tmp_path), model=model)
    (tmp_path / "notes.txt").touch()
    for module in (decompress, verify, info):
        with pytest.raises(
            ConfigError, match=r"^no \.wvst file in .* \(left out: not \.wvst \(1\)\)$"
        ):
            run(module, str(tmp_path))
    with pytest.raises(
        ConfigError, match="expected WAV files, folders that have some, or - for stdin; got none"
    ):
        run(compress, model=model)
    for module in (decompress, verify, info):
        with pytest.raises(ConfigError, match=r"^--model_dir=.*none: there is no such folder$"):
            run(module, str(tmp_path), model_dir=tmp_path / "none")
    for module, flag in (
        (compress, "output_dir"),
        (compress, "compare"),
        (decompress, "output_dir"),
    ):
        with pytest.raises(ConfigError, match=f"^--{flag}: expected files, got stdin"):
            run(module, "-", **{flag: "true"})
    with pytest.raises(FileNotFoundError):
        run(compress, str(tmp_path / "none.wav"), model=model)
    (tmp_path / "a.wav").touch()
    with pytest.raises(IsADirectoryError, match=f"^{tmp_path} is a folder: expected the .npz"):
        run(compress, str(tmp_path / "a.wav"), model=tmp_path)


def test_a_part(tmp_path, capsys, model):
    frames = stereo(800)
    write_wav(tmp_path / "a.wav", frames, Encoding.S16, sample_rate=1000)
    run(compress, str(tmp_path / "a.wav"), model=model, segment=288)
    capsys.readouterr()
    path = str(tmp_path / "a.wav.wvst")
    assert run(decompress, path, model=model, start=0.25, duration=0.5) is None
    found, _ = soundfile.read(tmp_path / "a_0.25s-0.75s.wav", dtype="int16")
    np.testing.assert_array_equal(found, frames[250:750])
    said = capsys.readouterr().out
    assert "a_0.25s-0.75s.wav, 2,044 bytes (" in said and "ratio" not in said
    assert run(decompress, path, model=model, start=1) == 1
    assert "no frames there, the file is 0.800 s long" in capsys.readouterr().err
    (tmp_path / "a_0.25s-0.75s.wav").unlink()
    assert run(decompress, path, model=model, start="0:00:00.250", duration="00:0.5") is None
    assert (tmp_path / "a_0.25s-0.75s.wav").exists()
    with pytest.raises(ConfigError, match=r"--recover: expected without --start .*, recover the"):
        run(decompress, path, model=model, start=1, recover="true")


def test_info_needs_no_model(tmp_path, capsys, model):
    write_wav(tmp_path / "a.wav", stereo(800), Encoding.S16, sample_rate=1000)
    (tmp_path / "b.wav").write_bytes(b"no audio")
    run(compress, str(tmp_path), model=model, segment=288)
    capsys.readouterr()
    assert run(info, str(tmp_path), verbose="true") is None
    shown = capsys.readouterr().out
    for text in (
        "16-bit, 2 channels, 1,000 Hz",
        "800 frames, 0:00:00.800",
        ", which was not found (--model_dir names folders to look in)",
    ):
        assert text in shown
    assert "3 of at most 288 frames" in shown and "no WAV that could be read" in shown
    size = (tmp_path / "a.wav.wvst").stat().st_size
    assert "original size    3,244 bytes\n" in shown
    assert f"ratio            {size / 3244:.4f} of the original size\n" in shown
    assert f"bits per sample  {8 * size / 1600:.3f}, of 16 bits" in shown
    assert run(info, str(tmp_path / "a.wav.wvst"), model_dir=os.path.dirname(model)) is None
    assert "small.npz" in capsys.readouterr().out
    with open(tmp_path / "a.wav.wvst", "ab") as file:
        file.write(b"x" * 700)
    assert run(info, str(tmp_path / "a.wav.wvst")) == 1
    out, err = capsys.readouterr()
    assert err == f"error: {tmp_path}/a.wav.wvst: 700 bytes after the end\n"
    assert f"size             {size:,} bytes: segments " in out and "; 700 bytes after the" in out
    assert f"ratio            {size / 3244:.4f} of the original size" in out
    (tmp_path / "a.wav.wvst").write_bytes(b"wvst")
    assert run(info, str(tmp_path)) == 1
    assert "the header is truncated" in capsys.readouterr().err


def test_info_of_several_files_is_a_line_each(tmp_path, capsys, model):
    write_wav(tmp_path / "a.wav", stereo(800), Encoding.S16, sample_rate=1000)
    write_wav(tmp_path / "b.wav", stereo(400), Encoding.S16, sample_rate=1000)
    (tmp_path / "c.wav").write_bytes(b"no audio")
    run(compress, str(tmp_path), model=model)
    capsys.readouterr()
    dash = "\N{EN DASH}"
    sizes = [(tmp_path / f"{name}.wav.wvst").stat().st_size for name in "abc"]
    fingerprint = load_codec_model(model).fingerprint.hex()
    for given, name in (({}, fingerprint), ({"model_dir": os.path.dirname(model)}, model)):
        assert run(info, str(tmp_path), **given) is None
        lines = [line.split() for line in capsys.readouterr().out.splitlines()]
        header = "bytes ratio bits/sample encoding channels Hz model length file"
        assert " ".join(lines[0]) == header
        assert [line[3:] for line in lines[2:4]] == [
            ["16-bit", "2", "1,000", name, "0:00:00.800", f"{tmp_path}/a.wav.wvst"],
            ["16-bit", "2", "1,000", name, "0:00:00.400", f"{tmp_path}/b.wav.wvst"],
        ]
        cells = [f"{sizes[2]:,}", f"{sizes[2] / 8:.4f}", *6 * [dash]]
        assert lines[4] == [*cells, f"{tmp_path}/c.wav.wvst"]
        assert lines[6][3:] == ["0:00:01.200", "3", "files"]
        for line, size, frames, total, original in (
            (lines[2], sizes[0], 800, sizes[0], 3244),
            (lines[6], sizes[0] + sizes[1], 1200, sum(sizes), 3244 + 1644 + 8),
        ):
            ratio, bits = total / original, 8 * size / (2 * frames)
            assert line[:3] == [f"{total:,}", f"{ratio:.4f}", f"{bits:.3f}"]
    (tmp_path / "b.wav.wvst").write_bytes(b"wvst")
    assert run(info, str(tmp_path)) == 1
    out, err = capsys.readouterr()
    assert "2 files" in out and "a.wav" in out and "b.wav" in err


def test_sets_of_predictors(tmp_path, model):
    write_wav(tmp_path / "a.wav", stereo(80), Encoding.S16)
    with pytest.raises(
        ConfigError, match=r"^--fast and --model=.*small\.npz: expected one of them"
    ):
        run(compress, str(tmp_path), model=model, fast="true")
    with pytest.raises(ConfigError, match=r"^--best and --fast: expected one of them"):
        run(compress, str(tmp_path), fast="true", best="true")


def test_other_codecs(tmp_path, capsys, model):
    write_wav(tmp_path / "a.wav", stereo(3000), Encoding.S16)
    write_wav(tmp_path / "b.wav", stereo(30) / 2**15, Encoding.F32)
    write_wav(tmp_path / "c.wav", np.zeros((30, 9)), Encoding.S16)
    assert (
        run(compress, str(tmp_path), model=model, compare="true", delete_input_file="true") is None
    )
    shown = capsys.readouterr().out
    rows = {line[2:18].rstrip(): line for line in shown.splitlines()}
    size = (tmp_path / "a.wav.wvst").stat().st_size
    assert f"{size:,}" in rows["wavestream"]
    assert f"{44 + 4 * 3000:,}" in rows["WAV"] and "16.0" in rows["WAV"]
    assert "FLAC -8" in rows
    assert (
        "left out of all rows, wavestream's too: 2 files that not every one of these codecs can "
        f"encode: '{tmp_path}/b.wav' (its samples are floats); '{tmp_path}/c.wav' (FLAC -5: FLAC "
        "has at most 8 channels)\n"
    ) in shown


def test_damage_from_stdin_is_the_exit_status_too(tmp_path, capsys, monkeypatch, model):
    write_wav(tmp_path / "a.wav", stereo(800), Encoding.S16)
    run(compress, str(tmp_path / "a.wav"), model=model)
    data = (tmp_path / "a.wav.wvst").read_bytes()[:-40]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO()))
    assert run(decompress, "-", model=model) == 1
    assert "error: stdin: " in capsys.readouterr().err


def test_deeper_samples_from_stdin_are_told_too(tmp_path, capsys, monkeypatch, model):
    source = write_wav(tmp_path / "a.wav", stereo(800) * 200, Encoding.S24)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(source)))
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(packed := io.BytesIO()))
    assert run(compress, "-", model=model) is None
    assert "at most 16 bits: 1 file is of more" in capsys.readouterr().err
    opened = open_compressed(io.BytesIO(packed.getvalue()), shipped_models())
    assert b"".join(decompress_parts(opened)) == source


def test_a_full_disk_behind_stdout_is_one_line(tmp_path, model):
    write_wav(tmp_path / "a.wav", stereo(800), Encoding.S16)
    with open("/dev/full", "wb") as full, open(tmp_path / "a.wav", "rb") as source:
        arguments = python("main.py", "compress", f"--model={model}", "-")
        done = subprocess.run(
            arguments, cwd=ROOT, stdin=source, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2 and done.stderr.endswith("error: stdout: No space left on device\n")
    assert "Traceback" not in done.stderr


def test_a_reader_that_is_gone_is_the_exit_status_quietly(tmp_path, model):
    source = write_wav(tmp_path / "a.wav", stereo(800), Encoding.S16)
    packed = b"".join(compress_parts(io.BytesIO(source), len(source), [load_codec_model(model)]))
    (tmp_path / "b").write_bytes(packed)
    for command, name in (("compress", "a.wav"), ("decompress", "b")):
        read, write = os.pipe()
        os.close(read)
        with open(write, "wb") as pipe, open(tmp_path / name, "rb") as file:
            arguments = python("main.py", command, f"--model={model}", "-")
            done = subprocess.run(
                arguments, cwd=ROOT, stdin=file, stdout=pipe, stderr=subprocess.PIPE, text=True
            )
        assert (done.returncode, done.stderr) == (141, "")


def test_short_names_and_stdin(tmp_path, capsys, model):
    write_wav(tmp_path / "a.wav", stereo(80), Encoding.S16)
    path = tmp_path / "a.wav.wvst"
    assert run_main("compress", f"--model={model}", tmp_path / "a.wav") == 0
    assert run_main("-t", f"--model={model}", path) == 0
    assert run_main("-d", f"--model={model}", "--force", path) == 0
    capsys.readouterr()
    for arguments in (("compress", f"--model={model}", "-", path), ("info", "-"), ("-t", "-")):
        assert "stdin" in error_of(capsys, *arguments)
