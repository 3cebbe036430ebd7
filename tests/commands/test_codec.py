"""compress, decompress and verify, as from the command line."""

import dataclasses

import numpy as np
import pytest
import soundfile

from commands import compress, decompress, info, verify
from models.model_file import save_model
from runtime.errors import ConfigError
from runtime.flag_definitions import define
from tests.command_line import error_of, run_main
from tests.models.exact.test_stream import config, make_params, stereo
from tests.wav_files import Encoding, write_wav


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("model") / "small.npz")
    settings = {"model": dataclasses.asdict(config(rate=0.01)), "data": {}, "training": {}}
    save_model(path, make_params(), **settings)
    return path


def run(module, *arguments, **given):
    """The exit status of a command."""
    values = define(module.COMMAND.groups)
    values(["main.py", *(f"--{name}={value}" for name, value in given.items())])
    return module.run(values, arguments)


def test_there_and_back(tmp_path, capsys, model):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    sources = {
        "a.wav": write_wav(tmp_path / "in" / "a.wav", stereo(800), Encoding.S16),
        "deep/b.wav": write_wav(tmp_path / "in" / "deep" / "b.wav", stereo(300), Encoding.S16),
    }
    folders = {name: str(tmp_path / name) for name in ("in", "out", "back")}
    assert run(compress, folders["in"], model=model, output_dir=folders["out"]) is None
    assert "ratio" in capsys.readouterr().out
    assert run(verify, folders["out"], model_dir=tmp_path, model=model) is None
    assert run(decompress, folders["out"], model=model, output_dir=folders["back"]) is None
    for name, content in sources.items():
        assert (tmp_path / "back" / name).read_bytes() == content
    # A second time, nothing is overwritten.
    assert run(decompress, folders["out"], model=model, output_dir=folders["back"]) == 1
    assert "--force" in capsys.readouterr().err


def test_damage_is_the_exit_status(tmp_path, capsys, model):
    write_wav(tmp_path / "a.wav", stereo(800), Encoding.S16)
    run(compress, str(tmp_path / "a.wav"), model=model)
    path = tmp_path / "a.wav.wvst"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    (tmp_path / "a.wav").unlink()
    capsys.readouterr()
    assert run(verify, str(path), model=model) == 1
    assert "a.wav.wvst: the block at byte" in capsys.readouterr().err
    assert run(decompress, str(path), model=model) == 1
    assert not (tmp_path / "a.wav").exists()
    assert run(decompress, str(path), model=model, recover="true") == 1
    assert "silence in its place" in capsys.readouterr().err or (tmp_path / "a.wav").exists()


def test_a_model_is_looked_for_by_its_fingerprint(tmp_path, capsys, model):
    write_wav(tmp_path / "a.wav", np.zeros((50, 1)) + 5, Encoding.S16)
    run(compress, str(tmp_path / "a.wav"), model=model)
    folder = model.rsplit("/", 1)[0]
    assert run(verify, str(tmp_path), model_dir=folder) is None
    assert run(verify, str(tmp_path)) == 1
    assert "not at hand" in capsys.readouterr().err


def test_mistakes(tmp_path, model):
    with pytest.raises(ConfigError, match="no file to compress"):
        run(compress, str(tmp_path), model=model)
    with pytest.raises(FileNotFoundError):
        run(compress, str(tmp_path / "none.wav"), model=model)


def test_a_part(tmp_path, capsys, model):
    frames = stereo(800)
    write_wav(tmp_path / "a.wav", frames, Encoding.S16, sample_rate=1000)
    run(compress, str(tmp_path / "a.wav"), model=model, segment=288)
    path = str(tmp_path / "a.wav.wvst")
    assert run(decompress, path, model=model, start=0.25, duration=0.5) is None
    found, _ = soundfile.read(tmp_path / "a_0.25s-0.75s.wav", dtype="int16")
    np.testing.assert_array_equal(found, frames[250:750])
    assert run(decompress, path, model=model, start=1) == 1
    assert "no frames there, the file is 0.800 s long" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="--recover: expected without --start"):
        run(decompress, path, model=model, start=1, recover="true")


def test_info_needs_no_model(tmp_path, capsys, model):
    write_wav(tmp_path / "a.wav", stereo(800), Encoding.S16, sample_rate=1000)
    (tmp_path / "b.wav").write_bytes(b"no audio")
    run(compress, str(tmp_path), model=model, segment=288)
    capsys.readouterr()
    assert run(info, str(tmp_path)) is None
    shown = capsys.readouterr().out
    for text in ("16-bit, 2 channels, 1,000 Hz", "800 frames, 0:00:01", "not found in --model_dir"):
        assert text in shown
    assert "3 of at most 288 frames" in shown and "no WAV that could be read" in shown
    assert run(info, str(tmp_path), model_dir=model.rsplit("/", 1)[0]) is None
    assert "small.npz" in capsys.readouterr().out
    (tmp_path / "a.wav.wvst").write_bytes(b"wvst")
    assert run(info, str(tmp_path)) == 1
    assert "the header is truncated" in capsys.readouterr().err


def test_sets_of_predictors(tmp_path, model):
    write_wav(tmp_path / "a.wav", stereo(80), Encoding.S16)
    with pytest.raises(ConfigError, match=r"--fast: no model has these predictors.*small\.npz"):
        run(compress, str(tmp_path), model=model, fast="true")
    with pytest.raises(ConfigError, match="--best and --fast: expected one of them"):
        run(compress, str(tmp_path), model=model, fast="true", best="true")


def test_other_codecs(tmp_path, capsys, model):
    write_wav(tmp_path / "a.wav", stereo(3000), Encoding.S16)
    write_wav(tmp_path / "b.wav", stereo(30) / 2**15, Encoding.F32)
    assert (
        run(compress, str(tmp_path), model=model, compare="true", delete_input_file="true") is None
    )
    shown = capsys.readouterr().out
    rows = {line[2:18].rstrip(): line for line in shown.splitlines()}
    size = (tmp_path / "a.wav.wvst").stat().st_size
    assert f"{size:,}" in rows["wavestream"]
    assert f"{44 + 4 * 3000:,}" in rows["WAV"] and "16.0" in rows["WAV"]
    assert "FLAC -8" in rows and "left out, since not every codec can encode them: 1" in shown


def test_short_names_and_stdin(tmp_path, capsys, model):
    write_wav(tmp_path / "a.wav", stereo(80), Encoding.S16)
    path = tmp_path / "a.wav.wvst"
    assert run_main("compress", f"--model={model}", tmp_path / "a.wav") == 0
    assert run_main("-t", f"--model={model}", path) == 0
    assert run_main("-d", f"--model={model}", "--force", path) == 0
    capsys.readouterr()
    for arguments in (("compress", f"--model={model}", "-", path), ("info", "-"), ("-t", "-")):
        assert "stdin" in error_of(capsys, *arguments) or "reads files" in error_of(
            capsys, *arguments
        )
