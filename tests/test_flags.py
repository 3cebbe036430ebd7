"""Every flag: its default, and what is said of a bad value."""

import pytest

import flags
from runtime.flag_definitions import Definition, Group, define
from tests.command_line import error_of, parsed

# The project's promise to those who have scripts: changing one is a breaking change.
DEFAULTS = {
    "audio_dir": [],
    "batch_size": 128,
    "bit_depth": "8",
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

GROUPS = [value for value in vars(flags).values() if isinstance(value, Group)]


@pytest.mark.parametrize("name", DEFAULTS)
def test_default(name):
    assert parsed("train")[name].default == DEFAULTS[name]


def test_each_flag_is_defined_once():
    found: dict[str, Definition] = {}
    for definition in (definition for group in GROUPS for definition in group.definitions):
        first = found.setdefault(definition.name, definition)
        # Commands may describe it in other words, but not give it another default or other bounds.
        words = first.text, first.default_text
        assert definition.described(*words) == first
    assert {*found} == {*define(GROUPS)} and len(found) > 70


def test_headings_are_unique():
    # They are anchors of the documentation.
    headings = [group.heading for group in GROUPS]
    assert len({*headings}) == len(headings)


def test_two_commands_lines_share_nothing():
    parsed("--seed=7", "--audio_dir=a")
    assert parsed("train")["seed"].value == 42
    assert parsed("--audio_dir=b").audio_dir == ["b"]
    assert parsed("train").audio_dir == []


AT_LEAST_1 = [
    "batch_size",
    "chunk_size",
    "embedding_dim",
    "eval_every",
    "keep_checkpoints",
    "log_every",
    "num_heads",
    "num_layers",
    "num_processes",
    "stereo_blocking_n",
    "training_steps",
    "widening_factor",
]
AT_LEAST_0 = [
    "checkpoint_every",
    "eval_steps",
    "parallel_reads",
    "process_id",
    "seed",
    "shuffle_window",
    "chunks_per_read",
    "warmup_steps",
]
FLOATS = ["learning_rate", "grad_clip_norm", "weight_decay", "checkpoint_minutes"]
LARGE = "99999999999999999999"
BAD_VALUES = [
    *(
        (f"--{name}={value}", f"{value} is not an integer in the range [{least}, 2147483647]")
        for least, names in ((1, AT_LEAST_1), (0, AT_LEAST_0))
        for name in names
        for value in (str(least - 1), LARGE)
    ),
    ("--num_chunks=0", "0 is not an integer in the range [1, 9007199254740991]"),
    *((f"--{name}=1.5", f"flag --{name}=1.5: expected a whole number") for name in AT_LEAST_1),
    *(
        (f"--{name}={value}", f"flag --{name}={value}: expected a finite number")
        for name in FLOATS
        for value in ("inf", "nan")
    ),
    *((f"--{name}=-1", f"flag --{name}=-1: -1.0 is not a non-negative") for name in FLOATS),
    ("--learning_rate=fast", "flag --learning_rate=fast: expected a number"),
    ("--valid_fraction=-0.1", "is not a number in the range [0.0, 0.9]"),
    ("--valid_fraction=1", "is not a number in the range [0.0, 0.9]"),
    ("--valid_fraction=nan", "flag --valid_fraction=nan: expected a finite number"),
    ("--max_skipped_fraction=1.1", "is not a number in the range [0.0, 1.0]"),
    ("--bit_depth=12", "flag --bit_depth=12: value should be one of <8|16|24>"),
    ("--use_16bit=maybe", "flag --use_16bit=maybe: expected true or false"),
    ("--nouse_16bit=1", "--nouse_16bit=1 does not take an argument"),
    ("--dtype=float16", "should be one of <float32|bfloat16>"),
    ("--lr_schedule=cubic", "should be one of <cosine|linear|constant>"),
    ("--output_dir=", "flag --output_dir=: expected a folder"),
    *(
        (f"--model_name={value}", f"flag --model_name={value}: expected a file name")
        for value in ("", ".", "..", "a/b", "/a")
    ),
    *(
        (f"--data_service={value}", f"flag --data_service={value}: expected grpc://host:port")
        for value in ("h:1", "grpc://h:0", "http://h:1")
    ),
    ("--chunk_size", "Missing value for flag --chunk_size"),
    ("--flagfile=/no/such", "--flagfile=/no/such: No such file or directory"),
]


@pytest.mark.parametrize(("arg", "message"), BAD_VALUES, ids=[arg for arg, _ in BAD_VALUES])
def test_bad_value(capsys, arg, message):
    assert message in error_of(capsys, arg)


def test_flag_file_with_comments_and_another_within(tmp_path):
    (tmp_path / "inner.flags").write_text("--num_layers=2\n")
    (tmp_path / "a.flags").write_text(
        f"# A comment\n\n// Another\n--chunk_size=64\n--flagfile={tmp_path}/inner.flags\n"
        "  --use_16bit\n--nodownmix\n--seed=2\n"
    )
    values = parsed(f"--flagfile={tmp_path}/a.flags", "--seed=1")
    assert (values.chunk_size, values.num_layers, values.seed) == (64, 2, 1)
    assert values.use_16bit and not values.downmix
