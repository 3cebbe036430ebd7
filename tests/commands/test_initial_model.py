"""--init_from: which settings come from the model, and which flags are refused."""

import dataclasses

import numpy as np
import pytest

from codec.model import fingerprint
from commands.initial_model import load_initial_model
from commands.run_flag_file import as_flagfile
from commands.train import make_model_config, run_config
from models.config import MlpConfig, config_from_json
from models.model_file import load_model, save_model
from models.shipped import shipped_path
from runtime.errors import ConfigError
from tests.command_line import error_of, parsed
from tests.models.exact.test_stream import config, make_params

FAST = load_model(shipped_path("fast"))


def _loaded(*args):
    values = parsed("--demo", *args)
    return load_initial_model(values), values


@pytest.fixture
def custom(tmp_path):
    """A model whose predictors are none of the sets that flags name."""
    path = tmp_path / "custom.npz"
    data = {"pipeline": {"chunk_size": 64, "downmix": False, "stereo_blocking_n": 32}}
    model = dataclasses.asdict(config(rate=0.5))
    save_model(path, make_params(), model=model, data=data, training={})
    return path


def test_the_settings_of_a_model_that_ships_become_those_of_the_run():
    initial, values = _loaded("--init_from=fast", "--batch_size=2")
    assert make_model_config(values) == initial.config == config_from_json(FAST.config)
    run = run_config(values)
    pipeline = dataclasses.asdict(run.pipeline)
    ours = ("depth", "downmix", "stereo_blocking_n", "chunk_size")
    assert {name: pipeline[name] for name in ours} == {
        name: FAST.data["pipeline"][name] for name in ours
    }
    assert run.pool and run.pipeline.batch_size == 2  # Of training, not of the model.
    assert (initial.name, initial.fingerprint) == ("fast", fingerprint(FAST).hex())
    assert initial.record() == {
        "name": "fast",
        "fingerprint": "30349aa7b9dd5656",  # That of `docs/reference/shipped_models.md`.
        "steps": 15000,
    }
    assert "--mlp_width=32" in initial.settings and "--downmix=false" in initial.settings
    for name, array in FAST.params["network"]["layer_0"].items():
        assert initial.file.params["network"]["layer_0"][name].tobytes() == array.tobytes()


def test_a_path_is_absolute_in_the_flag_file_and_a_name_is_none():
    names = {"fast": "fast", "gs://b/m.npz": "gs://b/m.npz", "/a/../m.npz": "/m.npz"}
    for given, written in names.items():
        assert f"--init_from={written}\n" in as_flagfile(parsed("--demo", f"--init_from={given}"))
    # Of a preset it is undone so.
    assert _loaded("--flagfile=presets/finetune.flags", "--init_from=")[0] is None


def test_the_flag_file_repeats_it(tmp_path, monkeypatch, custom):
    monkeypatch.chdir(tmp_path)
    for name in ("fast", custom.name):
        _, values = _loaded(f"--init_from={name}")
        (tmp_path / "run.flags").write_text(text := as_flagfile(values))
        monkeypatch.chdir("/")  # A path is written as one that is valid anywhere.
        again = parsed(f"--flagfile={tmp_path}/run.flags")
        initial = load_initial_model(again)
        assert initial.config == config_from_json(load_model(initial.file.path).config)
        assert as_flagfile(again) == text
        monkeypatch.chdir(tmp_path)


def test_flags_that_contradict_are_refused_with_both_values(capsys):
    message = error_of(
        *(capsys, "--demo", "--init_from=fast", "--use_16bit", "--mlp_width=64", "--downmix"),
        *("--mlp_layers=2", "--predictor_set=best", "--output_dir=/nowhere"),
    )
    assert message == (
        "--init_from=fast has other settings: --downmix=true was given, and it has false; "
        "--predictor_set=best was given, and it has fast; --mlp_width=64 was given, and it has 32; "
        "--bit_depth=16 was given, and it has 24. Expected these flags left out, or another model"
    )


def test_flags_of_another_network_are_refused(capsys):
    message = error_of(capsys, "--demo", "--init_from=fast", "--num_layers=2")
    assert message.startswith("--num_layers=2 is without effect with --network=mlp")


def test_what_only_training_is_about_may_be_given():
    initial, values = _loaded("--init_from=fast", "--chunk_size=4096", "--bit_depth=24")
    assert run_config(values).pipeline.chunk_size == 4096
    assert not {"--chunk_size=32768", "--bit_depth=24"} & {*initial.settings}


def test_predictors_without_a_name(custom):
    initial, values = _loaded(f"--init_from={custom}")
    assert initial.config == config(rate=0.5) and initial.steps is None
    assert isinstance(initial.config.network, MlpConfig) and run_config(values).pool
    assert values.predictor_set is None and "predictor_set" not in as_flagfile(values)
    with pytest.raises(ConfigError, match=r"--predictor_set=best was given, and it has another\."):
        _loaded(f"--init_from={custom}", "--predictor_set=best")


def test_parameters_that_do_not_fit_are_refused_before_training(capsys, tmp_path, custom):
    file = load_model(custom)
    params = {**file.params, "more": np.zeros(3)}
    save_model(custom, params, model=file.config, data=file.data, training={})
    out = f"--output_dir={tmp_path / 'out'}"
    message = error_of(capsys, "--demo", "--batch_size=2", f"--init_from={custom}", out)
    assert "more: found float64 [3], expected nothing" in message


def test_no_model(capsys, tmp_path):
    def error(path):
        return error_of(capsys, "--demo", f"--init_from={path}", f"--output_dir={tmp_path}")

    assert error(tmp_path / "none.npz") == f"{tmp_path}/none.npz: no such model file"
    assert error(tmp_path).endswith("is a folder: expected the .npz file in it")
    (tmp_path / "a.npz").write_text("text")
    assert "a.npz: not a model file" in error(tmp_path / "a.npz")
