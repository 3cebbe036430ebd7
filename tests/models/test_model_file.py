"""The model file: what goes in comes out, and what is not one is refused by name."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import jax
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from models.build import build_model
from models.config import ModelConfig, TransformerConfig
from models.model_file import FORMAT_VERSION, load_model, save_model
from runtime.errors import DataError

pytestmark = pytest.mark.both_stacks

TEXTS = {
    "model": {"depth": 8},
    "data": {"chunk_size": 2048, "downmix": False, "audio_dirs": ["a", "ü"], "limit": None},
    "training": {"steps": 3},
}
ROOT = pathlib.Path(__file__).parents[2]
EMPTY: dict = {"model": {}, "data": {}, "training": {}}


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
    save_model(path, _params(), **TEXTS)
    model = load_model(path)
    _assert_same(model.params, _params())
    assert {"model": model.config, "data": model.data, "training": model.training} == TEXTS
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.npz"]


_DTYPES = ["<f4", ">f4", "f2", "f8", "i1", "u4", "?", "c8"]


@settings(deadline=None)  # fsync takes what it takes
@given(st.sampled_from(_DTYPES).flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0))))
def test_every_bit_and_type_comes_back(tmp_path_factory, array):
    path = tmp_path_factory.getbasetemp() / "array.npz"
    save_model(path, {"a": array}, **EMPTY)
    _assert_same(load_model(path).params["a"], array)


def test_keys_are_readable_without_this_module(tmp_path):
    save_model(tmp_path / "m.npz", _params(), **TEXTS)
    with np.load(tmp_path / "m.npz", allow_pickle=False) as archive:
        assert "params/block_0/attention/kernel" in archive
        assert {name: json.loads(str(archive[name])) for name in TEXTS} == TEXTS
        assert archive["format_version"] == FORMAT_VERSION


@pytest.mark.parametrize(
    ("params", "data", "message"),
    [
        ({}, {}, "params is empty"),
        ({"a": {}}, {}, "params/a is empty"),
        ({"a/b": np.ones(1)}, {}, "'a/b'.*without '/'"),
        ({1: np.ones(1)}, {}, "name 1: expected text"),
        ({"a": None}, {}, "params/a is a NoneType"),
        ({"a": np.ones(1, ml_dtypes.bfloat16)}, {}, "params/a is a ndarray of type bfloat16"),
        ({"a": np.ones(1)}, {"x": {1, 2}}, "m.npz: settings must be JSON"),
        ({"a": np.ones(1)}, {"x": float("nan")}, "m.npz: settings must be JSON"),
    ],
)
def test_what_cannot_be_stored(tmp_path, params, data, message):
    with pytest.raises(ValueError, match=message):
        save_model(tmp_path / "m.npz", params, **{**EMPTY, "data": data})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_save_leaves_the_old_file_alone(tmp_path, monkeypatch, failing):
    path = tmp_path / "m.npz"
    save_model(path, _params(), **{**EMPTY, "data": {"run": 1}})

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(KeyboardInterrupt):
        save_model(path, _params(), **{**EMPTY, "data": {"run": 2}})
    assert load_model(path).data == {"run": 1}
    assert list(tmp_path.iterdir()) == [path]


def _npz(path, **arrays):
    with open(path, "wb") as file:
        np.savez(file, **arrays)


def _newer(path):
    _npz(path, format_version=FORMAT_VERSION + 1, model="{}")


def _older(path):
    _npz(path, format_version=FORMAT_VERSION - 1, model="{}")


def _without_data(path):
    _npz(path, format_version=FORMAT_VERSION, model="{}", training="{}")


def _truncated(path):
    save_model(path, _params(), **TEXTS)
    path.write_bytes(path.read_bytes()[:-100])


def _flipped(path):
    save_model(path, _params(), **TEXTS)
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
        (_newer, "has format version 4, this wavestream reads version 3: use"),
        (_older, "version 2, this wavestream reads version 3: .* or train the model again"),
        (_without_data, "the model file has no data: copy"),
        (_truncated, "truncated or damaged"),
        (_flipped, "truncated or damaged"),
    ],
)
def test_what_is_not_a_model(tmp_path, write, message):
    path = tmp_path / "odd.npz"
    write(path)
    with pytest.raises(DataError, match=message) as error:
        load_model(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"begin": None}, "begin: found nothing, expected float32 [8]"),
        ({"begin": np.ones((8, 2), "f4")}, "begin: found float32 [8, 2], expected float32 [8]"),
        ({"begin": np.ones(8, "f2")}, "begin: found float16 [8], expected float32 [8]"),
        ({"end": np.ones(1)}, "end: found float64 [1], expected nothing"),
    ],
)
def test_parameters_that_do_not_fit_the_config_are_named(tmp_path, change, message):
    path = tmp_path / "made_by_hand.npz"
    network = TransformerConfig(embedding_dim=8, num_layers=1, num_heads=1)
    config = ModelConfig(network=network)
    params = build_model(config).init(jax.random.key(0))
    save_model(path, params, **{**TEXTS, "model": dataclasses.asdict(config)})
    loaded = load_model(path)
    model = loaded.build()
    assert model.config == config
    loaded.check_params(model)
    embedding = {**loaded.params["feature_embedding"], **change}
    embedding = {name: array for name, array in embedding.items() if array is not None}
    changed = dataclasses.replace(loaded, params={**loaded.params, "feature_embedding": embedding})
    with pytest.raises(DataError) as error:
        changed.check_params(model)
    assert str(error.value) == (
        f"{path}: the parameters do not fit the model's config; the first of 1 that differ, "
        f"params/feature_embedding/{message}"
    )


def test_a_file_without_parameters_is_no_model(tmp_path):
    texts = dict.fromkeys(("model", "data", "training"), "{}")
    _npz(tmp_path / "m.npz", format_version=FORMAT_VERSION, **texts)
    with pytest.raises(DataError, match=r"m\.npz: .* first of [0-9]+ .*: found nothing"):
        load_model(tmp_path / "m.npz").check_params(build_model(ModelConfig()))


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz: no such model file"):
        load_model(tmp_path / "none.npz")


def test_remote_paths_replace_the_file():
    for run in (1, 2):
        save_model("ram://models/m.npz", _params(), **{**EMPTY, "data": {"run": run}})
    assert load_model("ram://models/m.npz").data == {"run": 2}
    with pytest.raises(FileNotFoundError, match=r"ram://models/none\.npz: no such model file"):
        load_model("ram://models/none.npz")


def test_local_files_need_neither_tensorflow_nor_jax(tmp_path):
    save_model(tmp_path / "m.npz", _params(), **EMPTY)
    code = (
        "import sys; from models.model_file import load_model; load_model(sys.argv[1]);"
        "assert not {'tensorflow', 'jax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "m.npz"], check=True, cwd=ROOT)
