"""Every flag: its default, and what a bad value is told."""

import dataclasses
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flags
from evaluation.config import EvaluationConfig
from models.config import ModelConfig
from pipeline.config import PipelineConfig
from tests.command_line import error_of, parsed

# The project's promise to those who have scripts: changing one is a breaking change.
DEFAULTS = {
    "audio_dir": [],
    "batch_size": 128,
    "chunk_size": 2048,
    "embedding_dim": 64,
    "learning_rate": 1e-4,
    "log_every": 100,
    "model_name": "audio_model",
    "num_chunks": 488281,
    "num_heads": 8,
    "num_layers": 4,
    "output_dir": "./",
    "seed": 42,
    "stereo_blocking_n": 1024,
    "training_steps": 1000,
    "use_16bit": False,
    "wandb_project": None,
    "wandb_run_name": None,
    "widening_factor": 4,
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_default(name):
    assert flags.FLAGS[name].default == DEFAULTS[name]


def test_config_of_the_defaults():
    with parsed():
        config = flags.config()
    assert (config.pipeline.bits, config.model.vocab_size) == (8, 256)
    assert config.pipeline.downmix
    assert config.wandb_run_name == "8bit_block1024_chunk2048_steps1000"
    assert config.path(".npz") == "./audio_model.npz"


PARTS = ("pipeline", "model", "training", "checkpoint", "hosts")


def test_each_flag_reaches_the_config():
    """Sets every flag of ours to another value and finds it there."""
    args = {
        "audio_dir": "gs://a",
        "batch_size": "6",
        "checkpoint_every": "18",
        "checkpoint_minutes": "1.5",
        "catalogue": "gs://a.catalogue",
        "chunk_size": "10",
        "coordinator_address": "host:1234",
        "data_service": "grpc://h:1",
        "downmix": "false",
        "dtype": "bfloat16",
        "embedding_dim": "9",
        "eval_every": "7",
        "eval_steps": "8",
        "fresh": "true",
        "grad_clip_norm": "0.5",
        "keep_checkpoints": "19",
        "learning_rate": "0.25",
        "log_every": "3",
        "lr_schedule": "linear",
        "max_skipped_fraction": "0.25",
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
        "use_16bit": "true",
        "valid_fraction": "0.125",
        "wandb_project": "p",
        "wandb_run_name": "r",
        "warmup_steps": "17",
        "weight_decay": "0.75",
        "widening_factor": "5",
    }
    ours = {flag.name for flag in flags.FLAGS.flags_by_module_dict()["flags"]}
    assert ours == {*args, "demo", "allow_change", *flags.OF_AN_EVALUATION, *flags.OF_A_SERVER}
    with parsed(*(f"--{name}={value}" for name, value in args.items())):
        config = flags.config()
    parts = (config, *(getattr(config, name) for name in PARTS))
    found = {name: value for part in parts for name, value in vars(part).items()}
    assert found.pop("audio_dirs") == ("gs://a",)
    assert found.pop("vocab_size") == 65536
    for name in args.keys() - {"audio_dir"}:
        assert str(found[name]).lower() == args[name], name


def test_each_flag_of_an_evaluation_reaches_its_config():
    args = {
        "model": "m.npz",
        "split": "train",
        "eval_files": "4",
        "codecs": "flac,xz",
        "chunked": "true",
        "report_dir": "r",
    }
    assert tuple(args) == flags.OF_AN_EVALUATION
    shared = ("--batch_size=3", "--strict", "--max_skipped_fraction=0.25", "--catalogue=/c")
    with parsed(*shared, *(f"--{name}={value}" for name, value in args.items())):
        assert flags.evaluation_config() == EvaluationConfig(
            model="m.npz",
            split="train",
            eval_files=4,
            batch_size=3,
            catalogue="/c",
            codecs=("flac", "xz"),
            chunked=True,
            strict=True,
            max_skipped_fraction=0.25,
            report_dir="r",
        )


def test_each_flag_of_a_server_reaches_its_config():
    with parsed("--role=worker", "--dispatcher=grpc://h:1", "--port=2"):
        assert vars(flags.service_config()) == {
            "role": "worker",
            "dispatcher": "grpc://h:1",
            "port": 2,
        }


def test_who_reads_is_of_this_start_only():
    with parsed("--data_service=grpc://h:1", "--role=worker"):
        text = flags.as_flagfile()
        assert "--data_service" not in text and "--role" not in text


def test_allowed_changes_are_of_this_start_only():
    with parsed("--allow_change=learning_rate, audio", "--fresh"):
        assert flags.config().checkpoint.allow_change == ("learning_rate", "audio")
        assert "fresh" not in flags.as_flagfile() and "allow" not in flags.as_flagfile()


def test_no_codecs_are_not_all_codecs():
    with parsed("--model=m"):
        assert flags.evaluation_config().codecs is None
    with parsed("--model=m", "--codecs="):
        assert flags.evaluation_config().codecs == ()


@pytest.mark.parametrize("arg", ["--chunk_size=512", "--use_16bit", "--num_layers=3", "--seed=7"])
def test_a_flag_that_contradicts_the_model(arg):
    settings = {
        "pipeline": dataclasses.asdict(PipelineConfig()),
        "model": dataclasses.asdict(ModelConfig()),
    }
    with parsed("--model=m", "--batch_size=3", "--chunk_size=2048", "--nouse_16bit"):
        flags.check_model(settings)
    with (
        parsed("--model=m", arg),
        pytest.raises(ValueError, match=f"{arg.split('=')[0]}=.*, but the model was trained with"),
    ):
        flags.check_model(settings)


def test_name_of_a_16_bit_run():
    with parsed("--use_16bit", "--stereo_blocking_n=512"):
        assert flags.config().wandb_run_name == "16bit_block512_chunk2048_steps1000"


AT_LEAST_1 = [
    "batch_size",
    "chunk_size",
    "embedding_dim",
    "eval_every",
    "log_every",
    "num_chunks",
    "num_heads",
    "num_layers",
    "shuffle_window",
    "stereo_blocking_n",
    "training_steps",
    "widening_factor",
]
AT_LEAST_0 = ["eval_steps", "parallel_reads", "seed", "warmup_steps"]
LARGE = "99999999999999999999"
BAD_VALUES = [
    *((f"--{name}=0", f"flag --{name}=0: 0 is not a positive integer") for name in AT_LEAST_1),
    *((f"--{name}=-1", f"flag --{name}=-1: -1 is not a ") for name in AT_LEAST_1 + AT_LEAST_0),
    *(
        (f"--{name}={LARGE}", f"--{name}={LARGE} is too large; the largest is 2147483647")
        for name in AT_LEAST_1 + AT_LEAST_0
        if name not in ("embedding_dim", "num_heads", "num_chunks")  # Not divisible by each other.
    ),
    (
        f"--num_chunks={LARGE}",
        f"--num_chunks={LARGE} is too large; the largest is 9007199254740991",
    ),
    *((f"--{name}=1.5", f"flag --{name}=1.5: expected a whole number") for name in AT_LEAST_1),
    *(
        (f"--{name}={value}", f"flag --{name}={float(value)}: must be above 0")
        for name in ("learning_rate", "grad_clip_norm")
        for value in ("0", "-1", "nan")
    ),
    *(
        (f"--{name}=inf", f"--{name}=inf is not a finite number")
        for name in ("learning_rate", "grad_clip_norm", "weight_decay")
    ),
    ("--learning_rate=fast", "flag --learning_rate=fast: expected a number"),
    ("--weight_decay=-0.1", "flag --weight_decay=-0.1: -0.1 is not a non-negative number"),
    ("--weight_decay=nan", "--weight_decay=nan is not a finite number"),
    ("--valid_fraction=-0.1", "is not a number in the range [0.0, 0.9]"),
    ("--valid_fraction=1", "is not a number in the range [0.0, 0.9]"),
    ("--valid_fraction=nan", "--valid_fraction=nan is not a finite number"),
    ("--use_16bit=maybe", "flag --use_16bit=maybe: expected true or false"),
    ("--nouse_16bit=1", "--nouse_16bit=1 does not take an argument"),
    ("--dtype=float16", "should be one of <float32|bfloat16>"),
    ("--lr_schedule=cubic", "should be one of <cosine|linear|constant>"),
    ("--output_dir=", "flag --output_dir=: must be a local folder"),
    ("--output_dir=gs://b/o", "must be a local folder"),
    *(
        (f"--model_name={value}", f"flag --model_name={value}: must be a file name")
        for value in ("", ".", "..", "a/b", "/a")
    ),
    ("--chunk_sise=3", "Unknown command line flag 'chunk_sise'. Did you mean: chunk_size ?"),
    ("--chunk_size", "Missing value for flag --chunk_size"),
    ("--flagfile=/no/such", "Unable to open flagfile: [Errno 2] No such file or directory"),
]


@pytest.mark.parametrize(("arg", "message"), BAD_VALUES, ids=[arg for arg, _ in BAD_VALUES])
def test_bad_value(capsys, arg, message):
    assert message in error_of(capsys, arg)


BAD_COMBINATIONS = [
    (("--use_16bit", "--chunk_size=2047"), "--chunk_size must be even with --use_16bit"),
    (
        ("--embedding_dim=65",),
        "flags embedding_dim=65, num_heads=8: --embedding_dim must be divisible by --num_heads",
    ),
    (("--demo", "--audio_dir=/tmp"), "--demo and --audio_dir exclude each other"),
]


@pytest.mark.parametrize(("args", "message"), BAD_COMBINATIONS)
def test_bad_combination(capsys, args, message):
    assert message in error_of(capsys, *args)


@pytest.mark.parametrize(
    ("batch_size", "devices", "sizes"),
    [(10, 4, "are: 8 and 12"), (3, 4, "is: 4"), (129, 8, "are: 128 and 136")],
)
def test_batch_that_devices_cannot_share(batch_size, devices, sizes):
    message = (
        f"--batch_size={batch_size} must be divisible by the number of devices, {devices}; "
        f"the nearest that {sizes}"
    )
    with pytest.raises(ValueError, match=re.escape(message) + "$"):
        flags.check_devices(batch_size, devices)


@given(st.integers(1, 1000), st.integers(1, 64))
def test_the_sizes_named_are_the_nearest(batch_size, devices):
    sizes = [size for size in range(1, batch_size + devices) if size % devices == 0]
    try:
        flags.check_devices(batch_size, devices)
    except ValueError as error:
        named = [int(size) for size in str(error).split(": ")[-1].split(" and ")]
        assert named == sizes[-2:]
    else:
        assert batch_size in sizes


def test_folders(tmp_path, monkeypatch):
    (tmp_path / "with, comma").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    with parsed("--audio_dir=a,b, c,", "--audio_dir=gs://d", f"--audio_dir={tmp_path}/with, comma"):
        assert flags.config().audio_dirs == ("a", "b", "c", "gs://d", f"{tmp_path}/with, comma")
    with parsed("--audio_dir=~/with, comma", "--output_dir=~/out"):
        config = flags.config()
        assert config.audio_dirs == ("~/with, comma",)
        assert config.output_dir == f"{tmp_path}/out"  # A shell leaves this ~ as it is.


def test_flagfile_with_comments(tmp_path):
    path = tmp_path / "a.flags"
    path.write_text("# A comment\n\n// Another\n--chunk_size=64\n  --use_16bit\n--nodownmix\n")
    with parsed(f"--flagfile={path}", "--seed=1"):
        config = flags.config()
    assert (config.pipeline.chunk_size, config.pipeline.seed) == (64, 1)
    assert config.pipeline.use_16bit and not config.pipeline.downmix


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("--demo", "--use_16bit", "--nodownmix", "--profile", "--lr_schedule=constant"),
        ("--audio_dir=a,gs://b", "--audio_dir=c d", "--learning_rate=3e-05", "--seed=7"),
        ("--wandb_project=p q", "--wandb_run_name=r#1", "--model_name=m = 1", "--output_dir=x"),
    ],
)
def test_written_flagfile_means_the_same_everywhere(tmp_path, monkeypatch, args):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(home)
    with parsed(*args):
        before, text = flags.config(), flags.as_flagfile()
    (tmp_path / "run.flags").write_text(text)
    monkeypatch.chdir(elsewhere)
    with parsed(f"--flagfile={tmp_path}/run.flags"):
        after = flags.config()
        assert flags.as_flagfile() == text
    folders = tuple(d if "://" in d else f"{home}/{d}" for d in before.audio_dirs)
    output_dir = os.path.normpath(home / before.output_dir)
    assert after == dataclasses.replace(before, audio_dirs=folders, output_dir=output_dir)


def test_a_folder_with_a_comma_survives_the_flagfile(tmp_path):
    (tmp_path / "a,b").mkdir()
    with parsed(f"--audio_dir={tmp_path}/a,b"):
        text = flags.as_flagfile()
    (tmp_path / "run.flags").write_text(text)
    with parsed(f"--flagfile={tmp_path}/run.flags"):
        assert flags.config().audio_dirs == (f"{tmp_path}/a,b",)


def test_table_for_the_readme():
    lines = flags.markdown_table().splitlines()
    assert (
        "| `seed` | `42` | Of the split, the order of chunks and the initial parameters. |" in lines
    )
    assert {line.count("|") for line in lines} == {4}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--num_processes=2",), "--num_processes and --process_id need --coordinator_address"),
        (("--coordinator_address=auto", "--process_id=0"), "HOST:PORT, the same on all hosts"),
        (("--coordinator_address=a:1",), "--coordinator_address needs --num_processes and"),
        (
            ("--coordinator_address=a", "--num_processes=2", "--process_id=0"),
            "--coordinator_address=a: expected HOST:PORT, or auto",
        ),
        (
            ("--coordinator_address=grpc://a:1", "--num_processes=2", "--process_id=0"),
            "--coordinator_address=grpc://a:1: expected HOST:PORT, or auto",
        ),
        (
            ("--coordinator_address=a:65536", "--num_processes=2", "--process_id=0"),
            "--coordinator_address=a:65536: expected HOST:PORT, or auto",
        ),
        (
            ("--coordinator_address=a:1", "--num_processes=2", "--process_id=2"),
            "--process_id=2: expected a number below --num_processes=2, from 0 on",
        ),
    ],
)
def test_hosts_that_are_not_told_whole(capsys, args, message):
    assert message in error_of(capsys, "--demo", *args)


def test_the_hosts_of_a_tpu_slice_are_found(monkeypatch):
    for names, address in (("a,b", "auto"), ("a", None)):
        monkeypatch.setenv("TPU_WORKER_HOSTNAMES", names)
        with parsed():
            assert flags.config().hosts.coordinator_address == address


def test_a_server_without_its_command(capsys):
    message = error_of(capsys, "--demo", "--role=worker")
    assert message == "--role is for the command serve_input"
