"""Files compared with their originals, plans, and lines of JSON, as from the command line."""

import json
import pathlib
import shutil

import pytest

from codec.jobs import find_jobs
from commands import compress, decompress, info, verify
from commands.codec_runner import MOST_LINES
from runtime.errors import ConfigError
from tests.commands.test_codec import model, run
from tests.models.exact.test_stream import stereo
from tests.wav_files import Encoding, write_wav

__all__ = ["model"]  # The fixture.


@pytest.fixture
def folders(tmp_path, model):
    """Originals, and what has become of them."""
    originals, archive = tmp_path / "originals", tmp_path / "archive"
    (originals / "deep").mkdir(parents=True)
    write_wav(originals / "a.wav", stereo(800), Encoding.S16)
    write_wav(originals / "deep" / "b.wav", stereo(300), Encoding.S16)
    assert run(compress, str(originals), model=model, output_dir=archive) is None
    return originals, archive


def tree(folder):
    return {p: p.read_bytes() if p.is_file() else None for p in pathlib.Path(folder).rglob("*")}


def lines(captured):
    return [json.loads(line) for line in captured.out.splitlines()]


def change(path, how):
    content = path.read_bytes()
    path.write_bytes(how(content))


CHANGES = {
    "differs from byte 100 on": lambda x: x[:100] + bytes([x[100] ^ 1]) + x[101:],
    "is longer: it goes on after byte": lambda x: x + b"!",
    "is shorter: it ends after byte": lambda x: x[:-1],
}


@pytest.mark.parametrize("problem", CHANGES)
def test_an_original_that_differs_is_an_error(folders, model, capsys, problem):
    originals, archive = folders
    given = {"model": model, "against": originals}
    capsys.readouterr()
    assert run(verify, str(archive), **given) is None
    said = capsys.readouterr().out
    assert "b.wav.wvst: ok, identical to its original\n" in said
    assert "2, all intact, identical to their originals\n" in said
    change(originals / "deep" / "b.wav", CHANGES[problem])
    assert run(verify, str(archive), **given) == 1
    said = capsys.readouterr()
    assert f"b.wav.wvst: intact, but {originals}/deep/b.wav {problem}" in said.err
    assert "a.wav.wvst: ok, identical to its original\n" in said.out and "--recover" not in said.err


def test_originals_and_files_without_the_other_are_errors(folders, model, capsys):
    originals, archive = folders
    (originals / "deep" / "b.wav").rename(originals / "c.wav")
    (originals / "notes.txt").write_text("of no WAV")
    (originals / "lost.wav").symlink_to("nowhere")
    capsys.readouterr()
    given = {"model": model, "against": originals, "json": True}
    assert run(verify, str(archive), **given) == 1
    said = capsys.readouterr()
    found = {line["path"]: line for line in lines(said)}
    assert found[f"{archive}/a.wav.wvst"]["status"] == "ok"
    assert (
        f"intact, but its original cannot be read: {originals}/deep/b.wav: No such file"
        in found[f"{archive}/deep/b.wav.wvst"]["error"]
    )
    assert found[f"{originals}/c.wav"]["error"] == "it has no compressed file"
    assert "leads nowhere" in found[f"{originals}/lost.wav"]["error"]
    row = f"not archived     1 WAV of {originals}; not WAV: '{originals}/notes.txt'\n"
    assert row in said.err and len(found) == 4
    # Of one file alone others are not missed.
    assert run(verify, str(archive / "a.wav.wvst"), **given) is None
    one = archive / "deep" / "b.wav.wvst"
    assert run(verify, str(one), model=model, against=originals / "c.wav") is None
    with pytest.raises(ConfigError, match=r"folder of the originals of 2 files"):
        run(verify, str(archive), model=model, against=originals / "c.wav")
    with pytest.raises(ConfigError, match="--against=gs://bucket: expected a local"):
        run(verify, str(archive), model=model, against="gs://bucket")
    with pytest.raises(FileNotFoundError, match="--against"):
        run(verify, str(archive), model=model, against=originals / "d.wav")
    with pytest.raises(
        FileNotFoundError, match=r"none of the 2 originals is there; that of .*a\.wav"
    ):
        run(verify, str(archive), model=model, against=originals / "deep")


def test_an_archive_lies_beside_its_originals_or_is_one_of_two(tmp_path, folders, model, capsys):
    originals, archive = folders
    shutil.copytree(archive, originals, dirs_exist_ok=True)
    for archives in ([originals], [archive, originals]):
        capsys.readouterr()
        assert run(verify, *map(str, archives), model=model, against=originals) is None
        said = capsys.readouterr()
        count = 2 * len(archives)
        assert f"{count}, all intact, identical to their originals\n" in said.out
        assert "not archived" not in said.out and not said.err


def test_of_many_originals_without_a_file_the_first_are_named(folders, model, capsys):
    originals, archive = folders
    for number in range(MOST_LINES + 2):
        shutil.copy(originals / "a.wav", originals / f"c{number:02}.wav")
    for verbose in (False, True):
        capsys.readouterr()
        given = {"against": originals, "verbose": verbose}
        assert run(verify, str(archive), model=model, **given) == 1
        said = capsys.readouterr()
        count = said.err.count("it has no compressed file")
        assert count == (MOST_LINES + 2 if verbose else MOST_LINES)
        assert ("and 2 more without one (--verbose names them)" in said.err) != verbose
        assert "not archived     22 WAVs of" in said.out


def test_damage_comes_before_a_difference(folders, model, capsys):
    originals, archive = folders
    change(originals / "a.wav", lambda x: x + b"!")
    change(archive / "a.wav.wvst", lambda x: x[:-30])
    assert run(verify, str(archive), model=model, against=originals) == 1
    assert "a.wav.wvst: a block is truncated" in capsys.readouterr().err
    (originals / "a.wav").unlink()
    assert run(verify, str(archive), model=model, against=originals) == 1
    assert "a.wav.wvst: a block is truncated" in capsys.readouterr().err


def test_a_dry_run_names_what_the_run_writes(tmp_path, folders, model, capsys):
    originals, archive = folders
    before = tree(tmp_path)
    given = {"dry_run": True, "json": True}
    capsys.readouterr()
    for command, source, target in (
        (compress, originals, tmp_path / "new"),
        (decompress, archive, tmp_path / "back"),
    ):
        assert run(command, str(source), output_dir=target, **given) is None
        jobs = find_jobs([str(source)], str(target), compress=command is compress)
        planned = [(line["path"], line["output"]) for line in lines(capsys.readouterr())]
        assert planned == jobs and len(jobs) == 2
        assert tree(tmp_path) == before
        assert run(command, str(source), output_dir=target, model=model) is None
        assert all(pathlib.Path(job.target).is_file() for job in jobs)
        before = tree(tmp_path)
        capsys.readouterr()
        # They are there now: left out, one that is named alone is an error, unless it may be.
        assert run(command, str(source), output_dir=target, **given) is None
        said = capsys.readouterr()
        assert not said.out and "there already; --force overwrites (2)" in said.err
        one = jobs[0].source
        assert run(command, one, output_dir=target, dry_run=True) == 1
        assert "is there already: --force overwrites it" in capsys.readouterr().err
        assert run(command, one, output_dir=target, dry_run=True, force=True) is None
        assert f"{one}: would overwrite {target}" in capsys.readouterr().out
        assert tree(tmp_path) == before


@pytest.mark.parametrize("force", [False, True])
def test_a_dry_run_fails_as_the_run_does(folders, model, capsys, force):
    originals, archive = folders
    target = archive / "a.wav.wvst"
    if force:
        target.unlink()
        target.symlink_to("deep")
    else:
        target.write_bytes(target.read_bytes()[:-9])
        shutil.copystat(originals / "a.wav", target)
    (originals / "lost.wav").symlink_to("nowhere")
    (originals / "c.wav").write_bytes(b"no WAV")
    said = []
    for dry_run in (True, False):
        capsys.readouterr()
        given = {"model": model, "output_dir": archive, "force": force, "dry_run": dry_run}
        assert run(compress, str(originals), **given) == 1
        said.append(capsys.readouterr())
    assert said[0].err == said[1].err and said[0].err.count("error: ") == 2
    ending = "link, device" if force else "cannot be used (a block is truncated: at least 9 bytes"
    assert ending in said[0].err
    assert f"{originals}/c.wav: would write {archive}/c.wav.wvst\n" in said[0].out
    sums = "2 of 4, 2 failed" if force else "1 of 3, 2 failed"
    assert f"files            {sums} (--dry_run: nothing is written)\n" in said[0].out
    assert f"files            {sums}\n" in said[1].out


def test_a_dry_run_says_what_is_removed(tmp_path, folders, capsys):
    originals, _ = folders
    capsys.readouterr()
    given = {"dry_run": True, "delete_input_file": True}
    assert run(compress, str(originals), **given) is None
    said = capsys.readouterr().out
    assert said.count(".wav.wvst, and remove the source\n") == 2 and len(tree(originals)) == 3
    assert "files            2 (--dry_run: nothing is written)\n" in said
    assert run(compress, str(originals), json=True, **given) is None
    line = lines(capsys.readouterr())[0]
    assert line["removes_source"] and not line["overwrites"] and line["status"] == "planned"


def test_json_has_a_line_for_each_file_and_nothing_else(tmp_path, folders, model, capsys):
    originals, archive = folders
    change(archive / "deep" / "b.wav.wvst", lambda x: x[: len(x) // 2])
    capsys.readouterr()
    packed = archive / "a.wav.wvst"
    sizes = {
        "input_bytes": packed.stat().st_size,
        "output_bytes": (originals / "a.wav").stat().st_size,
    }
    target = tmp_path / "back"
    for command, output, given in (
        (verify, None, {}),
        (decompress, str(target / "a.wav"), {"output_dir": target}),
    ):
        assert run(command, str(archive), model=model, json=True, **given) == 1
        good, bad = lines(capsys.readouterr())
        assert good.items() >= {"status": "ok", "output": output, "warning": None, **sizes}.items()
        assert (bad["status"], bad["path"]) == ("error", f"{archive}/deep/b.wav.wvst")
        assert "truncated" in bad["error"]
    assert run(info, str(archive), json=True, model_dir=pathlib.Path(model).parent) == 1
    good, bad = lines(capsys.readouterr())
    assert (good["frames"], good["channels"], good["subtype"]) == (800, 2, "PCM_16")
    assert good["bits_per_sample"] == 8 * good["size"] / 1600 and good["model"] == model
    assert good["original_size"] == sizes["output_bytes"] and good["status"] == "ok"
    assert bad["status"] == "error" and "truncated" in bad["error"]
    with packed.open("ab") as file:
        file.write(b"more")
    assert run(info, str(packed), json=True) == 1
    [cut] = lines(capsys.readouterr())
    assert (cut["status"], cut["error"]) == ("error", "4 bytes after the end")
    assert cut.items() >= {"size": good["size"], "frames": 800, "model": None}.items()
    with pytest.raises(ConfigError, match="--json and --compare"):
        run(compress, str(originals), json=True, compare=True)


def test_a_dry_run_of_parts_names_them(tmp_path, folders, model, capsys):
    _, archive = folders  # Of 800 and 300 frames, at 44.1 kHz.
    given = {"start": 0.01, "output_dir": tmp_path / "parts", "model": model}
    said = []
    for dry_run in (True, False):
        capsys.readouterr()
        assert run(decompress, str(archive), dry_run=dry_run, **given) == 1
        said.append(capsys.readouterr())
        assert (tmp_path / "parts").exists() != dry_run
    assert said[0].err == said[1].err and f"{archive}/deep/b.wav.wvst: " in said[0].err
    [part] = [path for path in tree(tmp_path / "parts") if path.suffix == ".wav"]
    assert f"a.wav.wvst: would write {part}\n" in said[0].out
    assert run(decompress, str(archive / "a.wav.wvst"), dry_run=True, **given) == 1
    assert f"{part} is there already: --force overwrites it" in capsys.readouterr().err
