"""The model file: what goes in comes out, and what is not one is refused by name."""

import dataclasses
import json
import subprocess
import sys

import jax
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from models import model_file as export
from models.config import ModelConfig
from models.networks.transformer import init_params

SETTINGS = {"chunk_size": 2048, "use_16bit": False, "audio_dir": ["a", "ü"], "schedule": None}


def _params():
    kernel = np.arange(6, dtype=np.float32).reshape(2, 3)
    return {"embed": np.float32([-0.0, np.nan]), "block_0": {"attention": {"kernel": kernel}}}


def _assert_same(actual, expected):
    if isinstance(expected, dict):
        assert list(actual) == list(expected)
        for name in expected:
            _assert_same(actual[name], expected[name])
    else:
        assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
        assert actual.tobytes() == expected.tobytes()


def test_round_trip(tmp_path):
    path = tmp_path / "model.npz"
    export.save_model(path, _params(), SETTINGS)
    model = export.load_model(path)
    _assert_same(model.params, _params())
    assert model.settings == SETTINGS
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.npz"]


_DTYPES = ["<f4", ">f4", "f2", "f8", "i1", "u4", "?", "c8"]


@settings(deadline=None)  # fsync takes what it takes
@given(st.sampled_from(_DTYPES).flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0))))
def test_every_bit_and_type_comes_back(tmp_path_factory, array):
    path = tmp_path_factory.getbasetemp() / "array.npz"
    export.save_model(path, {"a": array}, {})
    _assert_same(export.load_model(path).params["a"], array)


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn])
def test_types_that_npy_cannot_name(tmp_path, dtype):
    unsigned = np.dtype(f"u{np.dtype(dtype).itemsize}")
    array = np.arange(256, dtype=unsigned).view(dtype).reshape(4, 64).T  # NaN payloads too
    export.save_model(tmp_path / "m.npz", {"a": array, "scalar": array[0, 0]}, {})
    params = export.load_model(tmp_path / "m.npz").params
    _assert_same(params, {"a": array, "scalar": np.asarray(array[0, 0])})


def test_keys_are_readable_without_this_module(tmp_path):
    export.save_model(tmp_path / "m.npz", _params(), SETTINGS)
    with np.load(tmp_path / "m.npz", allow_pickle=False) as archive:
        assert "params/block_0/attention/kernel" in archive
        assert json.loads(str(archive["settings"])) == SETTINGS
        assert archive["format_version"] == export.FORMAT_VERSION


@pytest.mark.parametrize(
    ("params", "settings", "message"),
    [
        ({}, {}, "params is empty"),
        ({"a": {}}, {}, "params/a is empty"),
        ({"a/b": np.ones(1)}, {}, "'a/b'.*without '/'"),
        ({1: np.ones(1)}, {}, "name 1: expected text"),
        ({"a": None}, {}, "params/a is a NoneType"),
        ({"a": np.ones(1)}, {"x": {1, 2}}, "m.npz: the settings must be JSON"),
        ({"a": np.ones(1)}, {"x": float("nan")}, "m.npz: the settings must be JSON"),
    ],
)
def test_what_cannot_be_stored(tmp_path, params, settings, message):
    with pytest.raises(ValueError, match=message):
        export.save_model(tmp_path / "m.npz", params, settings)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_save_leaves_the_old_file_alone(tmp_path, monkeypatch, failing):
    path = tmp_path / "m.npz"
    export.save_model(path, _params(), {"run": 1})

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(export.os, failing, fail)
    with pytest.raises(KeyboardInterrupt):
        export.save_model(path, _params(), {"run": 2})
    assert export.load_model(path).settings == {"run": 1}
    assert list(tmp_path.iterdir()) == [path]


def _npz(path, **arrays):
    with open(path, "wb") as file:
        np.savez(file, **arrays)


def _newer(path):
    version = export.FORMAT_VERSION + 1
    _npz(path, format_version=version, settings="{}", dtypes="{}")


def _truncated(path):
    export.save_model(path, _params(), SETTINGS)
    path.write_bytes(path.read_bytes()[:-100])


def _flipped(path):
    export.save_model(path, _params(), SETTINGS)
    content = path.read_bytes()
    kernel = _params()["block_0"]["attention"]["kernel"].tobytes()
    assert kernel in content
    path.write_bytes(content.replace(kernel, kernel[::-1]))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b""), "not a model file"),
        (lambda path: path.write_bytes(b"RIFF1234WAVE"), "not a model file"),
        (lambda path: _npz(path, weights=np.ones(2)), r"not of a wavestream model \(.*weights"),
        (_newer, "format version 2.*reads up to 1: update"),
        (_truncated, "truncated or damaged"),
        (_flipped, "truncated or damaged"),
    ],
)
def test_what_is_not_a_model(tmp_path, write, message):
    path = tmp_path / "odd.npz"
    write(path)
    with pytest.raises(ValueError, match=message) as error:
        export.load_model(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norm": {}}, "norm/scale: found none, expected the shape [8]"),
        (
            {"norm": {"scale": np.ones((8, 2))}},
            "norm/scale: found the shape [8, 2], expected the shape [8]",
        ),
        (
            {"blocks_1": {"sharpness": np.ones(1)}},
            "blocks_1/sharpness: found the shape [1], expected none",
        ),
    ],
)
def test_parameters_that_do_not_fit_the_settings_are_named(tmp_path, change, message):
    path = tmp_path / "made_by_hand.npz"
    config = {"embedding_dim": 8, "num_layers": 1, "num_heads": 1}
    params = init_params(ModelConfig(**config), jax.random.key(0))["params"]
    export.save_model(path, params, {"model": config})
    loaded = export.load_model(path)
    loaded.check_params()
    changed = dataclasses.replace(loaded, params={**loaded.params, **change})
    with pytest.raises(ValueError) as error:
        changed.check_params()
    assert str(error.value) == (
        f"{path}: the parameters are not those of the model in its settings; the first of 1 that "
        f"differ, params/{message}"
    )


def test_a_file_without_parameters_is_no_model(tmp_path):
    _npz(tmp_path / "m.npz", format_version=1, settings='{"model": {}}', dtypes="{}")
    with pytest.raises(ValueError, match=r"m\.npz: .* first of [0-9]+ .*: found none, expected"):
        export.load_model(tmp_path / "m.npz").check_params()


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz: no such model file"):
        export.load_model(tmp_path / "none.npz")


def test_remote_paths_replace_the_file():
    for run in (1, 2):
        export.save_model("ram://models/m.npz", _params(), {"run": run})
    assert export.load_model("ram://models/m.npz").settings == {"run": 2}
    with pytest.raises(FileNotFoundError, match=r"ram://models/none\.npz: no such model file"):
        export.load_model("ram://models/none.npz")


def test_local_files_need_neither_tensorflow_nor_jax(tmp_path):
    export.save_model(tmp_path / "m.npz", _params(), {})
    code = (
        "import sys; from training import export; export.load_model(sys.argv[1]);"
        "assert not {'tensorflow', 'jax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "m.npz"], check=True, cwd=_root())


def _root():
    return export.__file__.rsplit("/training/", 1)[0]
