"""From flags to a run, and the flag file that repeats it."""

import dataclasses
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands import train
from commands.run_flag_file import as_flagfile
from commands.train import GROUPS, check_devices, make_model_config, run_config
from models.config import AdaptiveModelConfig, MlpConfig, ModelConfig, TransformerConfig
from models.predictors.sets import FAST
from runtime.errors import ConfigError
from runtime.file_lock import FileLock
from runtime.flag_definitions import define
from tests.command_line import error_of, parsed
from tests.strange_names import STRANGE_NAMES

OTHER_VALUES = {
    "audio_dir": "gs://a",
    "batch_size": "6",
    "bit_depth": "16",
    "checkpoint_every": "18",
    "checkpoint_minutes": "1.5",
    "catalogue": "gs://a.catalogue",
    "chunk_size": "10",
    "chunks_per_read": "26",
    "coordinator_address": "host:1234",
    "data_service": "grpc://h:1",
    "downmix": "false",
    "dtype": "bfloat16",
    "embedding_dim": "9",
    "eval_every": "7",
    "eval_steps": "8",
    "fresh": "true",
    "gain_probability": "0.375",
    "grad_clip_norm": "0.5",
    "init_from": "normal",
    "keep_checkpoints": "19",
    "learning_rate": "0.25",
    "log_every": "3",
    "lr_schedule": "linear",
    "max_skipped_fraction": "0.25",
    "mix_probability": "0.625",
    "model_name": "m",
    "num_chunks": "11",
    "num_heads": "3",
    "num_layers": "2",
    "num_processes": "24",
    "on_nan": "rollback",
    "on_save_error": "stop",
    "output_dir": "o",
    "parallel_reads": "12",
    "process_id": "23",
    "profile": "true",
    "seed": "13",
    "shuffle_window": "14",
    "stereo_blocking_n": "15",
    "strict": "true",
    "training_steps": "16",
    "valid_fraction": "0.125",
    "wandb_project": "p",
    "wandb_run_name": "r",
    "warmup_steps": "17",
    "weight_decay": "0.75",
    "widening_factor": "5",
}


POOL = {"samples_per_step": 384, "feature_pool": 20, "feature_reuse": 21}
ADAPTIVE = {"predictor_set": "fast", "mixture_components": 25}


def _fields(config):
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from _fields(value)
        else:
            yield field.name, value


def test_each_flag_reaches_its_field_wherever_it_is():
    of_the_process = {"compilation_cache_dir"}
    # See below.
    of_another_network = {"predictors", "network", "mlp_width", "mlp_layers", *POOL, *ADAPTIVE}
    others = {"demo", "allow_change", "use_16bit", *of_the_process, *of_another_network}
    assert set(define(GROUPS)) == {*OTHER_VALUES, *others}
    values = parsed(*(f"--{name}={value}" for name, value in OTHER_VALUES.items()))
    found = [*_fields(run_config(values)), *_fields(make_model_config(values))]
    expected = {name: value for name, value in OTHER_VALUES.items() if name != "bit_depth"}
    expected |= {"depth": "16", "audio_dirs": "('gs://a',)", "demo": "false", "allow_change": "()"}
    del expected["audio_dir"]
    for name, value in found:
        if name in expected:  # The model has constants besides.
            assert str(value).lower() == expected[name], name
    assert expected.keys() <= dict(found).keys()


def test_the_pool_of_features_is_for_an_mlp():
    flags = (f"--{name}={value}" for name, value in POOL.items())
    pool = run_config(parsed("--demo", "--predictors=adaptive", *flags)).pool
    assert dataclasses.asdict(pool) == POOL
    whole = run_config(parsed("--demo", "--predictors=adaptive", "--feature_pool=0"))
    assert whole.pool is None and run_config(parsed("--demo")).pool is None


def test_adaptive_predictors_are_chosen_by_name():
    flags = [f"--{name}={value}" for name, value in ADAPTIVE.items()]
    model = make_model_config(parsed("--demo", "--predictors=adaptive", *flags))
    assert model.predictors == FAST and model.distribution.num_components == 25
    for flag in flags:
        with pytest.raises(ConfigError, match="without effect without --predictors=adaptive"):
            make_model_config(parsed("--demo", flag))


def test_the_defaults():
    values = parsed("--demo")
    config = run_config(values)
    assert config.pipeline.depth == make_model_config(values).depth == 8
    assert config.wandb_run_name == "8bit_block1024_chunk2048_steps1000"
    assert config.path(".npz") == "./audio_model.npz"
    assert not config.distributed.enabled


def test_name_of_a_16_bit_run():
    config = run_config(parsed("--demo", "--use_16bit", "--stereo_blocking_n=512"))
    assert config.wandb_run_name == "16bit_block512_chunk2048_steps1000"


@pytest.mark.parametrize(
    ("args", "depth"),
    [
        (("--bit_depth=8",), 8),
        (("--nouse_16bit",), 8),
        (("--use_16bit", "--bit_depth=16"), 16),
        (("--use_16bit", "--nouse_16bit", "--bit_depth=24", "--predictors=adaptive"), 24),
    ],
)
def test_one_depth_by_either_flag(args, depth):
    values = parsed("--demo", *args)
    assert run_config(values).pipeline.depth == depth
    assert f"--bit_depth={depth}\n" in as_flagfile(values)
    assert "16bit" not in as_flagfile(values).replace("--wandb_run_name", "")


@pytest.mark.parametrize(
    "args", [("--use_16bit", "--bit_depth=24"), ("--bit_depth=16", "--nouse_16bit")]
)
def test_two_depths_are_refused(capsys, args):
    message = error_of(capsys, "--demo", *args)
    assert "use_16bit and --bit_depth=" in message and "contradict each other" in message


def test_fixed_predictors_of_24_bits_are_refused_and_adaptive_ones_are_named(capsys, tmp_path):
    message = error_of(capsys, "--demo", "--bit_depth=24", f"--output_dir={tmp_path}")
    assert "a depth of 24 bits: expected --predictors=adaptive" in message
    assert not list(tmp_path.iterdir())
    values = parsed("--demo", "--bit_depth=24", "--predictors=adaptive")
    assert make_model_config(values).depth == 24


def test_who_reads_and_what_may_change_are_of_one_start():
    values = parsed("--demo", "--data_service=grpc://h:1", "--allow_change=seed, audio", "--fresh")
    assert run_config(values).checkpoint.allow_change == ("seed", "audio")
    assert not re.search("--(no)?(data_service|fresh|allow_change|process)", as_flagfile(values))


@pytest.mark.parametrize(
    ("batch_size", "devices", "sizes"),
    [(10, 4, "are: 8 and 12"), (3, 4, "is: 4"), (129, 8, "are: 128 and 136")],
)
def test_batch_that_devices_cannot_share(batch_size, devices, sizes):
    message = (
        f"--batch_size={batch_size} must be divisible by the number of devices, {devices}; "
        f"the nearest that {sizes}"
    )
    with pytest.raises(ConfigError, match=re.escape(message) + "$"):
        check_devices(batch_size, devices)


@given(st.integers(1, 1000), st.integers(1, 64))
def test_the_sizes_named_are_the_nearest(batch_size, devices):
    sizes = [size for size in range(1, batch_size + devices) if size % devices == 0]
    try:
        check_devices(batch_size, devices)
    except ConfigError as error:
        named = [int(size) for size in str(error).split(": ")[-1].split(" and ")]
        assert named == sizes[-2:]
    else:
        assert batch_size in sizes


def test_folders(tmp_path, monkeypatch):
    (tmp_path / "with, comma").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    folders = ("--audio_dir=a,b, c,", "--audio_dir=gs://d", f"--audio_dir={tmp_path}/with, comma")
    config = run_config(parsed(*folders))
    assert config.audio_dirs == ("a", "b", "c", "gs://d", f"{tmp_path}/with, comma")
    config = run_config(parsed("--audio_dir=~/with, comma", "--output_dir=~/out"))
    assert config.audio_dirs == ("~/with, comma",)
    assert config.output_dir == f"{tmp_path}/out"  # A shell leaves this ~ as it is.


@pytest.mark.parametrize(
    "args",
    [
        ("--audio_dir=a",),
        ("--demo", "--use_16bit", "--nodownmix", "--profile", "--lr_schedule=constant"),
        ("--audio_dir=a,gs://b", "--audio_dir=c d", "--learning_rate=3e-05", "--seed=7"),
        ("--demo", "--wandb_project=p q", "--wandb_run_name=r#1", "--model_name=m = 1"),
        ("--audio_dir=a", "--catalogue=b", "--output_dir=x"),
    ],
)
def test_written_flagfile_means_the_same_everywhere(tmp_path, monkeypatch, args):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(home)
    values = parsed(*args)
    before, text = run_config(values), as_flagfile(values)
    (tmp_path / "run.flags").write_text(text)
    monkeypatch.chdir(elsewhere)
    values = parsed(f"--flagfile={tmp_path}/run.flags")
    assert as_flagfile(values) == text
    folders = tuple(d if "://" in d else f"{home}/{d}" for d in before.audio_dirs)
    output_dir = os.path.normpath(home / before.output_dir)
    expected = dataclasses.replace(before, audio_dirs=folders, output_dir=output_dir)
    assert run_config(values) == expected


def test_a_folder_with_a_comma_survives_the_flagfile(tmp_path):
    (tmp_path / "a,b").mkdir()
    (tmp_path / "run.flags").write_text(as_flagfile(parsed(f"--audio_dir={tmp_path}/a,b")))
    values = parsed(f"--flagfile={tmp_path}/run.flags")
    assert run_config(values).audio_dirs == (f"{tmp_path}/a,b",)


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_the_flagfile_brings_any_name_back(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    folders = [f"--{flag}={tmp_path}/{name}" for flag in ("audio_dir", "output_dir", "catalogue")]
    values = parsed(*folders, f"--model_name={name}", f"--wandb_run_name={name}")
    (tmp_path / "run.flags").write_bytes(os.fsencode(as_flagfile(values)))
    assert run_config(parsed(f"--flagfile={tmp_path}/run.flags")) == run_config(values)


@pytest.mark.parametrize("name", ["x" * 235, "ú" * 120])
def test_a_name_too_long_for_the_files_of_a_run_is_refused_first(capsys, tmp_path, name):
    message = error_of(capsys, "--demo", f"--output_dir={tmp_path}", f"--model_name={name}")
    assert message.startswith(f"--model_name has {len(name.encode())} bytes: expected at most 2")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--num_processes=2",), "--num_processes and --process_id need --coordinator_address"),
        (("--coordinator_address=auto", "--process_id=0"), "HOST:PORT, the same on all hosts"),
        (("--coordinator_address=a:1",), "--coordinator_address needs --num_processes and"),
        (
            ("--coordinator_address=a:65536", "--num_processes=2", "--process_id=0"),
            "--coordinator_address=a:65536: expected HOST:PORT, or auto",
        ),
        (
            ("--coordinator_address=a:1", "--num_processes=2", "--process_id=2"),
            "--process_id=2: expected 0 to 1, with --num_processes=2",
        ),
    ],
)
def test_hosts_that_are_not_given_whole(capsys, args, message):
    assert message in error_of(capsys, "--demo", *args)


def test_hosts_of_a_slice_that_cannot_join_do_not_train_alone(capsys, monkeypatch):
    monkeypatch.setenv("TPU_WORKER_HOSTNAMES", "a,b")  # And no libtpu here.
    assert "TPU_WORKER_HOSTNAMES tells of 2 hosts" in error_of(capsys, "--demo")


def test_a_slice_that_nothing_has_told_of_is_seen_by_its_devices(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("jax.process_count", lambda: 4)
    message = error_of(capsys, "--demo", f"--output_dir={tmp_path}")
    assert message.startswith(
        "JAX has the devices of 4 hosts, and 1 take part in this run: expected"
    )


def test_output_dir_that_is_not_writable(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # Root may write anywhere.
    message = error_of(capsys, "--demo", f"--output_dir={tmp_path}")
    assert message == f"--output_dir={tmp_path} is not writable"


def test_a_folder_of_another_run_is_refused_before_jax_is_imported(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("runtime.devices.share_cores", lambda _: pytest.fail("too late"))
    with FileLock(str(tmp_path / "audio_model.lock")):
        message = error_of(capsys, "--demo", f"--output_dir={tmp_path}")
    assert "audio_model.lock is held by process" in message


def test_batch_that_the_devices_here_cannot_share(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("jax.device_count", lambda: 4)
    message = error_of(capsys, "--demo", "--batch_size=6", f"--output_dir={tmp_path}")
    assert message.endswith("devices, 4; the nearest that are: 4 and 8")
    assert not list(tmp_path.iterdir())


def test_an_error_leaves_an_earlier_run_as_it_was(capsys, tmp_path):
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio_model_training.log").write_text("earlier\n")
    for name in ("audio_model.npz", "audio_model.flags", "audio_model_metrics.jsonl"):
        (tmp_path / name).write_text("earlier")
    error_of(capsys, f"--audio_dir={tmp_path}/audio", f"--output_dir={tmp_path}")
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    log = left.pop("audio_model_training.log")
    assert log.startswith(b"earlier\n") and b"ERROR no .wav file in" in log
    assert sorted(left) == ["audio_model.flags", "audio_model.npz", "audio_model_metrics.jsonl"]
    assert set(left.values()) == {b"earlier"}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ("--predictors=adaptive", "--num_layers=2"),
            "--num_layers=2 is without effect with --network=mlp, whose flags are "
            "--mlp_width, --mlp_layers",
        ),
        (
            ("--mlp_width=9",),
            "--mlp_width=9 is without effect with --network=transformer, whose flags",
        ),
        (
            ("--predictors=adaptive", "--network=transformer", "--mlp_layers=1"),
            "--mlp_layers=1 is without effect with --network=transformer, whose flags",
        ),
        (("--network=mlp",), "--network=mlp reads adaptive predictors: expected --predictors=ad"),
    ],
)
def test_flags_of_another_network_are_refused(args, message):
    with pytest.raises(ConfigError) as error:
        train.make_model_config(parsed(*args))
    assert str(error.value).startswith(message)


def test_adaptive_predictors_are_under_a_perceptron():
    config = train.make_model_config(
        parsed("--predictors=adaptive", "--mlp_width=32", "--mlp_layers=1", "--use_16bit")
    )
    assert config == AdaptiveModelConfig(depth=16, network=MlpConfig(width=32, num_layers=1))


def test_adaptive_predictors_may_be_under_a_transformer():
    flags = ("--predictors=adaptive", "--network=transformer", "--num_layers=2")
    config = train.make_model_config(parsed(*flags))
    assert config == AdaptiveModelConfig(depth=8, network=TransformerConfig(num_layers=2))
    assert train.make_model_config(parsed("--network=transformer")) == ModelConfig()
