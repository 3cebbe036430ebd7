"""Every flag: its default, unit, bounds and help; and the one frozen configuration made of them.

The only module that reads absl's FLAGS. It imports neither TensorFlow nor JAX, so that --help and a
mistyped flag answer at once.
"""

import dataclasses
import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from evaluation.config import SPLITS, EvaluationConfig
from models.config import DTYPES, ModelConfig
from pipeline.config import PipelineConfig
from pipeline.data_service.server import ROLES, ServiceConfig, host_and_port
from runtime.filesystem import absolute
from training.config import (
    ON_NAN,
    ON_SAVE_ERROR,
    SCHEDULES,
    CheckpointConfig,
    HostsConfig,
    RunConfig,
    TrainingConfig,
)

FLAGS = flags.FLAGS

_LARGEST = 2**31 - 1  # Some integers become int32.
_LARGEST_CORPUS = 2**53 - 1  # Chunks, see `pipeline.shuffle.permute`.
_OF_HOSTS = ("coordinator_address", "num_processes", "process_id")
_OF_A_START = ("fresh", "allow_change", *_OF_HOSTS, "data_service")
OF_A_SERVER = ("role", "dispatcher", "port")
OF_AN_EVALUATION = ("model", "split", "eval_files", "codecs", "chunked", "report_dir")
_OF_NO_RUN = {*_OF_A_START, *OF_AN_EVALUATION, *OF_A_SERVER}
_OF_A_MODEL = (
    *("use_16bit", "downmix", "stereo_blocking_n", "chunk_size", "seed", "valid_fraction"),
    *("embedding_dim", "num_layers", "num_heads", "widening_factor", "dtype"),
)

# --- Data
flags.DEFINE_multi_string(
    "audio_dir",
    [],
    "Folder of WAV files, searched recursively; local, or gs://... May be repeated, or "
    "comma-separated.",
)
flags.DEFINE_boolean(
    "demo", False, "Train on a demo corpus, synthesized on first use in {output_dir}/demo_corpus."
)
flags.DEFINE_string(
    "catalogue",
    None,
    "File with the headers of --audio_dir, local or gs://...: used as it stands, without a look at "
    "the folders, and made where it is missing. For buckets that take hours to list.",
)
flags.DEFINE_boolean(
    "use_16bit", False, "Symbols are 16-bit samples (vocabulary 65536); else 8-bit (256)."
)
flags.DEFINE_boolean("downmix", True, "Average the channels; --nodownmix keeps them, in blocks.")
flags.DEFINE_integer(
    "stereo_blocking_n",
    1024,
    "Samples of one channel before those of the next, where channels are kept.",
    lower_bound=1,
)
flags.DEFINE_integer(
    "chunk_size", 2048, "Samples in a training sequence; even with --use_16bit.", lower_bound=1
)
flags.DEFINE_integer(
    "num_chunks", 488281, "Train on at most this many chunks, the catalogue's first.", lower_bound=1
)
flags.DEFINE_float(
    "valid_fraction",
    0.2,
    "Share of the files held out for validation, chosen by a hash of their names.",
    lower_bound=0.0,
    upper_bound=0.9,
)
flags.DEFINE_integer(
    "shuffle_window",
    4096,
    "Chunks that are shuffled among each other, at least. They are held in memory.",
    lower_bound=1,
)
flags.DEFINE_integer(
    "parallel_reads",
    0,
    "Reads under way at once; 0: twice the number of cores. More for a bucket, such as 64.",
    lower_bound=0,
)
flags.DEFINE_string(
    "data_service",
    None,
    "Have other machines read: the address of their dispatcher, grpc://host:port (serve_input).",
)
flags.DEFINE_boolean(
    "strict", False, "End where a file cannot be used; else it is skipped, and told."
)
flags.DEFINE_float(
    "max_skipped_fraction",
    0.5,
    "End where more than this share of the files cannot be used.",
    lower_bound=0.0,
    upper_bound=1.0,
)
flags.DEFINE_integer(
    "seed", 42, "Of the split, the order of chunks and the initial parameters.", lower_bound=0
)

# --- Model
flags.DEFINE_integer(
    "embedding_dim", 64, "Width of the model; divisible by --num_heads.", lower_bound=1
)
flags.DEFINE_integer("num_layers", 4, "Transformer blocks.", lower_bound=1)
flags.DEFINE_integer("num_heads", 8, "Attention heads a block.", lower_bound=1)
flags.DEFINE_integer(
    "widening_factor", 4, "Width of the feed-forward layer, in embeddings.", lower_bound=1
)
flags.DEFINE_enum(
    "dtype", "float32", DTYPES, "Type that the model computes in; bfloat16 on a TPU or a new GPU."
)

# --- Training
flags.DEFINE_integer("training_steps", 1000, "Batches to train on.", lower_bound=1)
flags.DEFINE_integer(
    "batch_size",
    128,
    "Chunks in a batch, over all devices; divisible by their number.",
    lower_bound=1,
)
flags.DEFINE_float("learning_rate", 1e-4, "Of Adam, at its highest; above 0.")
flags.DEFINE_enum(
    "lr_schedule", "cosine", SCHEDULES, "How the learning rate falls to 1% over the run, or not."
)
flags.DEFINE_integer(
    "warmup_steps",
    50,
    "Steps over which the learning rate rises; at most half the run.",
    lower_bound=0,
)
flags.DEFINE_float(
    "weight_decay", 0.0, "Decoupled weight decay (AdamW) of the matrices.", lower_bound=0.0
)
flags.DEFINE_float("grad_clip_norm", 1.0, "Bound on the norm of the gradient; above 0.")
flags.DEFINE_integer("log_every", 100, "Steps between two lines of metrics.", lower_bound=1)
flags.DEFINE_integer("eval_every", 500, "Steps between two validations.", lower_bound=1)
flags.DEFINE_integer(
    "eval_steps", 50, "Batches a validation at most; 0: the whole held-out split.", lower_bound=0
)
flags.DEFINE_boolean(
    "profile", False, "Trace ten steps into {output_dir}/profile, for TensorBoard's profiler."
)

# --- CheckpointStore
flags.DEFINE_integer(
    "checkpoint_every", 0, "Steps between two checkpoints; 0: by the clock alone.", lower_bound=0
)
flags.DEFINE_float(
    "checkpoint_minutes",
    10.0,
    "Minutes between two checkpoints; 0: by the steps alone. None where both are 0.",
    lower_bound=0.0,
)
flags.DEFINE_integer(
    "keep_checkpoints",
    3,
    "The last so many are kept, and the best by validation.",
    lower_bound=1,
)
flags.DEFINE_boolean(
    "fresh", False, "Begin anew where there is a run to resume; what it left is set aside."
)
flags.DEFINE_list(
    "allow_change",
    [],
    "Names of flags that may differ from those of the run that is resumed, comma-separated; "
    "audio, too, for other files.",
)
flags.DEFINE_enum(
    "on_nan",
    "stop",
    ON_NAN,
    "What to do about a loss that is not finite: stop, or go back to the last checkpoint and leave "
    "out the batches since.",
)
flags.DEFINE_enum(
    "on_save_error",
    "continue",
    ON_SAVE_ERROR,
    "What to do where a checkpoint cannot be saved: warn and continue, or stop.",
)

# --- Hosts
flags.DEFINE_string(
    "coordinator_address",
    None,
    "HOST:PORT of the first of several hosts that train together, the same on all of them; auto "
    "finds it and the next two in the environment of a TPU VM, Slurm or Open MPI.",
)
flags.DEFINE_integer("num_processes", None, "How many hosts there are.", lower_bound=1)
flags.DEFINE_integer("process_id", None, "Which of them this is, from 0 on.", lower_bound=0)

# --- Evaluation
flags.DEFINE_string(
    "model", None, "evaluate: the model file, such as runs/quickstart/audio_model.npz."
)
flags.DEFINE_enum(
    "split",
    None,
    SPLITS,
    "evaluate: which files, as they were split for training; by default valid of the folders that "
    "the model was trained on, all of others.",
)
flags.DEFINE_integer(
    "eval_files",
    0,
    "evaluate: on at most this many files, drawn by a hash of their names; 0: all of them.",
    lower_bound=0,
)
flags.DEFINE_list(
    "codecs",
    None,
    "evaluate: codecs to compare with, comma-separated; all there are by default, none if empty.",
)
flags.DEFINE_boolean(
    "chunked", False, "evaluate: have codecs also code every chunk as a stream of its own."
)
flags.DEFINE_string(
    "report_dir", None, "evaluate, compare: folder for the report; made if missing."
)

# --- Serving input
flags.DEFINE_enum(
    "role", None, ROLES, "serve_input: what this process is: one dispatcher, any number of workers."
)
flags.DEFINE_string(
    "dispatcher", None, "serve_input: the dispatcher of a worker, grpc://host:port."
)
flags.DEFINE_integer(
    "port", 0, "serve_input: where to listen; 0: at any free port, which is told.", lower_bound=0
)

# --- Output
flags.DEFINE_string("output_dir", "./", "Folder for all that a run writes; made if missing.")
flags.DEFINE_string("model_name", "audio_model", "Beginning of the names of a run's files.")
flags.DEFINE_string(
    "wandb_project", None, "Weights & Biases project to log to; without it, no wandb."
)
flags.DEFINE_string(
    "wandb_run_name", None, "Name of the run there; by default made from the settings."
)


@flags.validator("learning_rate", "must be above 0")
@flags.validator("grad_clip_norm", "must be above 0")
def _is_positive(value: float) -> bool:
    return value > 0


@flags.validator("model_name", "must be a file name: not empty, and no folder")
def _is_file_name(value: str) -> bool:
    return bool(value) and os.path.basename(value) == value and value not in (".", "..")


@flags.validator("output_dir", "must be a local folder")
def _is_local(value: str) -> bool:
    return bool(value) and "://" not in value


@flags.validator("data_service", "must be grpc://host:port")
@flags.validator("dispatcher", "must be grpc://host:port")
def _is_address(value: str | None) -> bool:
    try:
        return value is None or bool(host_and_port(value))
    except ValueError:
        return False


@flags.multi_flags_validator(
    ["use_16bit", "chunk_size"], "--chunk_size must be even with --use_16bit"
)
def _fits_16_bits(values: dict[str, int]) -> bool:
    return not (values["use_16bit"] and values["chunk_size"] % 2)


@flags.multi_flags_validator(
    ["embedding_dim", "num_heads"], "--embedding_dim must be divisible by --num_heads"
)
def _fits_heads(values: dict[str, int]) -> bool:
    return values["embedding_dim"] % values["num_heads"] == 0


def parse(argv: Sequence[str]) -> list[str]:
    """Parses the command line; returns what is not a flag, the program's name first.

    A bad value is one line on stderr, and the program ends with status 2.
    """
    try:
        return FLAGS(list(argv))
    except (flags.Error, ValueError) as error:  # ValueError: --nodemo=1
        print(f"error: {_in_clear(str(error))} (--help lists the flags)", file=sys.stderr)
        sys.exit(2)


def _in_clear(message: str) -> str:
    """Returns absl's message on one line, in words for a user."""
    for pattern, words in (
        (r"\s+", " "),
        (r"^ERROR:: ", ""),
        (r"invalid literal for int.*", "expected a whole number"),
        (r"could not convert string to float.*", "expected a number"),
        (r"\('Non-boolean argument.*", "expected true or false"),
    ):
        message = re.sub(pattern, words, message)
    return message


def config() -> RunConfig:
    """Returns the configuration that the flags describe. Raises ValueError."""
    values = {name: FLAGS[name].value for name in FLAGS}
    _check_magnitudes(values)
    if FLAGS.demo and FLAGS.audio_dir:
        raise ValueError("--demo and --audio_dir exclude each other")
    return RunConfig(
        audio_dirs=_split(FLAGS.audio_dir),
        demo=FLAGS.demo,
        catalogue=_catalogue(),
        valid_fraction=FLAGS.valid_fraction,
        num_chunks=FLAGS.num_chunks,
        parallel_reads=FLAGS.parallel_reads,
        strict=FLAGS.strict,
        max_skipped_fraction=FLAGS.max_skipped_fraction,
        data_service=FLAGS.data_service,
        pipeline=PipelineConfig(**_fields(PipelineConfig, values)),
        model=ModelConfig(
            vocab_size=65536 if FLAGS.use_16bit else 256, **_fields(ModelConfig, values)
        ),
        training=TrainingConfig(**_fields(TrainingConfig, values)),
        checkpoint=CheckpointConfig(
            **{
                **_fields(CheckpointConfig, values),
                "allow_change": tuple(name.strip() for name in FLAGS.allow_change if name.strip()),
            }
        ),
        hosts=HostsConfig(
            coordinator_address=FLAGS.coordinator_address or _found_coordinator(),
            num_processes=FLAGS.num_processes,
            process_id=FLAGS.process_id,
        ),
        output_dir=os.path.expanduser(FLAGS.output_dir),
        model_name=FLAGS.model_name,
        wandb_project=FLAGS.wandb_project or None,
        wandb_run_name=FLAGS.wandb_run_name or _run_name(),
    )


def _found_coordinator() -> str | None:
    """Returns "auto" on one of the several hosts of a TPU slice that says so."""
    return "auto" if "," in os.environ.get("TPU_WORKER_HOSTNAMES", "") else None


def _check_magnitudes(values: dict[str, Any]) -> None:
    for name, value in values.items():
        largest = _LARGEST_CORPUS if name == "num_chunks" else _LARGEST
        if isinstance(value, int) and value > largest:
            raise ValueError(f"--{name}={value} is too large; the largest is {largest}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"--{name}={value} is not a finite number")


def _fields(config_class: Any, values: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in dataclasses.fields(config_class)}
    return {name: value for name, value in values.items() if name in names}


def evaluation_config() -> EvaluationConfig:
    """Returns what the flags say of an evaluation. Raises ValueError."""
    _check_magnitudes({name: FLAGS[name].value for name in FLAGS})
    if not FLAGS.model:
        raise ValueError("--model is missing: the .npz file that training wrote")
    return EvaluationConfig(
        model=os.path.expanduser(FLAGS.model),
        audio_dirs=_split(FLAGS.audio_dir),
        catalogue=_catalogue(),
        split=FLAGS.split,
        eval_files=FLAGS.eval_files,
        batch_size=FLAGS.batch_size,
        codecs=None if FLAGS.codecs is None else tuple(filter(None, FLAGS.codecs)),
        chunked=FLAGS.chunked,
        strict=FLAGS.strict,
        max_skipped_fraction=FLAGS.max_skipped_fraction,
        report_dir=report_dir(),
    )


def service_config() -> ServiceConfig:
    """Returns what the flags say of a server of input. Raises ValueError."""
    return ServiceConfig(role=FLAGS.role, dispatcher=FLAGS.dispatcher, port=FLAGS.port)


def _catalogue() -> str | None:
    return absolute(FLAGS.catalogue) if FLAGS.catalogue else None


def report_dir() -> str | None:
    """Returns the folder for reports, if one is given."""
    return os.path.expanduser(FLAGS.report_dir) if FLAGS.report_dir else None


def check_no_server() -> None:
    """Raises ValueError where a flag says that this is to be a server of the input service."""
    for name in OF_A_SERVER:
        if FLAGS[name].present:
            raise ValueError(f"--{name} is for the command serve_input")


def check_model(settings: Mapping[str, Any]) -> None:
    """Raises ValueError if a flag contradicts the settings of a model file.

    What a model was trained with decides how files become its symbols; it is not for flags to say.
    """
    for group in (settings["pipeline"], settings["model"], settings):
        for name, value in group.items():
            if name in _OF_A_MODEL and FLAGS[name].present and FLAGS[name].value != value:
                raise ValueError(
                    f"--{name}={FLAGS[name].value}, but the model was trained with {value}: "
                    "leave the flag out"
                )


def check_devices(batch_size: int, num_devices: int) -> None:
    """Raises ValueError, naming the nearest sizes that fit, if devices cannot share a batch."""
    if batch_size % num_devices:
        below = batch_size // num_devices * num_devices
        fitting = [size for size in (below, below + num_devices) if size]
        raise ValueError(
            f"--batch_size={batch_size} must be divisible by the number of devices, {num_devices}; "
            f"the nearest that {'is' if len(fitting) == 1 else 'are'}: "
            f"{' and '.join(map(str, fitting))}"
        )


def as_flagfile() -> str:
    """Returns a flag file that repeats this run, wherever it is started from."""
    own = {flag.name: flag for flag in FLAGS.flags_by_module_dict()[__name__]}
    lines = []
    for flag in (own[name] for name in sorted(own.keys() - _OF_NO_RUN)):
        if flag.name == "audio_dir":
            lines += [f"--audio_dir={absolute(path)}" for path in _split(FLAGS.audio_dir)]
        elif flag.name in ("output_dir", "catalogue") and flag.value:
            lines.append(f"--{flag.name}={absolute(flag.value)}")
        elif flag.value is not None:
            lines.append(flag.serialize())
    return "\n".join(lines) + "\n"


def markdown_table() -> str:
    """Returns the README's table of flags."""
    rows = ["| flag | default | meaning |", "|---|---|---|"]
    for flag in FLAGS.flags_by_module_dict()[__name__]:
        default = "" if flag.default in (None, []) else f"`{flag.default}`"
        text = flag.help.splitlines()[0].rstrip(";")
        # A table would take "<cosine|linear>: " for a tag and two cells.
        text = re.sub(r"^<(.+)>: ", lambda match: match[1].replace("|", " or ") + ": ", text)
        rows.append(f"| `{flag.name}` | {default} | {text} |")
    return "\n".join(rows)


def _split(audio_dirs: Sequence[str]) -> tuple[str, ...]:
    """Splits at commas what does not exist as it stands."""
    parts: list[str] = []
    for value in audio_dirs:
        whole = os.path.exists(os.path.expanduser(value))
        parts += [value] if whole else filter(None, map(str.strip, value.split(",")))
    return tuple(parts)


def _run_name() -> str:
    bits = 16 if FLAGS.use_16bit else 8
    return (
        f"{bits}bit_block{FLAGS.stereo_blocking_n}_chunk{FLAGS.chunk_size}"
        f"_steps{FLAGS.training_steps}"
    )
