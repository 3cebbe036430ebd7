"""compress, decompress and verify, as from the command line."""

import dataclasses

import numpy as np
import pytest

import flags
from commands import compress, decompress, verify
from models.model_file import save_model
from runtime.errors import ConfigError
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
    values = flags.define(module.COMMAND.groups)
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
    assert run(decompress, str(path), model=model, recover="true") is None
    assert "silence in its place" in capsys.readouterr().err or (tmp_path / "a.wav").exists()


def test_a_model_is_looked_for_by_its_fingerprint(tmp_path, capsys, model):
    write_wav(tmp_path / "a.wav", np.zeros((50, 1)) + 5, Encoding.S16)
    run(compress, str(tmp_path / "a.wav"), model=model)
    folder = model.rsplit("/", 1)[0]
    assert run(verify, str(tmp_path), model_dir=folder) is None
    assert run(verify, str(tmp_path)) == 1
    assert "not at hand" in capsys.readouterr().err


def test_mistakes(tmp_path, model):
    with pytest.raises(ConfigError, match="--model is missing"):
        run(compress, str(tmp_path))
    with pytest.raises(ConfigError, match="no file to compress"):
        run(compress, str(tmp_path), model=model)
    with pytest.raises(FileNotFoundError):
        run(compress, str(tmp_path / "none.wav"), model=model)
