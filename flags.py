"""Every flag, defined once: its default, bounds and help, in groups that commands list.

Nothing is registered in absl's global FLAGS: `define` returns a `FlagValues` of its own. Neither
TensorFlow nor JAX is imported, so that --help and a mistyped flag answer at once.
"""

import functools
import math
import os
from collections.abc import Callable, Iterable

from absl import flags as absl_flags
from absl.flags import FlagValues

from evaluation.config import SPLITS
from models.config import DTYPES, NETWORKS, PREDICTOR_SETS, PREDICTORS
from pipeline.config import DEPTHS
from pipeline.data_service.server import ROLES, host_and_port
from training.config import ON_NAN, ON_SAVE_ERROR, SCHEDULES

Definition = Callable[..., object]
"""Called with `flag_values=...`: defines a flag, or a validator of one, there."""


class Group:
    """Flags that belong together, under one heading of --help and of the README."""

    def __init__(self, heading: str, *definitions: Definition) -> None:
        self.heading = heading
        self.definitions = definitions


def define(groups: Iterable[Group]) -> FlagValues:
    """Returns a FlagValues with the flags of some groups, in their order."""
    values = FlagValues()
    for group in groups:
        for definition in group.definitions:
            definition(flag_values=values)
    return values


def _deferred(function: Definition) -> Callable[..., Definition]:
    """Makes a function of absl return a Definition: it is called once `flag_values` is known."""
    return functools.partial(functools.partial, function)


_boolean = _deferred(absl_flags.DEFINE_boolean)
_enum = _deferred(absl_flags.DEFINE_enum)
_list = _deferred(absl_flags.DEFINE_list)
_multi_string = _deferred(absl_flags.DEFINE_multi_string)
_string = _deferred(absl_flags.DEFINE_string)
_validator = _deferred(absl_flags.register_validator)


def _integer(
    name: str, default: int | None, text: str, at_least: int = 0, at_most: int = 2**31 - 1
) -> Definition:
    bounds = {"lower_bound": at_least, "upper_bound": at_most}
    return functools.partial(absl_flags.DEFINE_integer, name, default, text, **bounds)


_positive = functools.partial(_integer, at_least=1)


def _float(
    name: str,
    default: float | None,
    text: str,
    at_least: float = 0.0,
    at_most: float | None = None,
) -> Definition:
    def definition(flag_values: FlagValues) -> None:
        absl_flags.DEFINE_float(name, default, text, at_least, at_most, flag_values)
        # NaN passes bounds, and infinity those with one side open.
        message = "expected a finite number"
        absl_flags.register_validator(
            name, lambda value: value is None or math.isfinite(value), message, flag_values
        )

    return definition


def _is_file_name(value: str) -> bool:
    is_name = os.path.basename(value) == value and value not in ("", ".", "..")
    return is_name and "\0" not in value


def _is_path(value: str) -> bool:
    return bool(value) and "\0" not in value


def _is_address(value: str | None) -> bool:
    try:
        return value is None or bool(host_and_port(value))
    except ValueError:
        return False


AUDIO_FILES = Group(
    "Audio files",
    _multi_string(
        "audio_dir",
        [],
        "Folder of WAV files, searched recursively but for hidden names; local or gs://. "
        "Repeatable or comma-separated.",
    ),
    _string(
        "catalogue",
        None,
        "File with the headers of all WAV files, for buckets that take hours to list: used instead "
        "of listing --audio_dir if it exists, else created.",
    ),
)

SKIPPED_FILES = Group(
    "Skipped files",
    _boolean("strict", False, "Stop at the first unusable file; else it is skipped and logged."),
    _float(
        "max_skipped_fraction",
        0.5,
        "Stop if more than this fraction of files is unusable.",
        at_most=1.0,
    ),
)

CHUNKS = Group(
    "Samples and chunks",
    _boolean(
        "demo",
        False,
        "Use a demo corpus, synthesized into {output_dir}/demo_corpus, for a bucket into a cache.",
    ),
    _enum("bit_depth", "8", tuple(map(str, DEPTHS)), "Sample depth in bits."),
    _boolean("use_16bit", False, "The same as --bit_depth=16."),
    _boolean("downmix", True, "Mix the channels down to mono; --nodownmix keeps them, in blocks."),
    _positive("stereo_blocking_n", 1024, "Samples in a block of one channel, with --nodownmix."),
    _positive("chunk_size", 2048, "Samples in a training sequence; even with --bit_depth=16."),
    _positive(
        "num_chunks",
        488281,
        "Maximum number of training chunks, drawn evenly from all files.",
        at_most=2**53 - 1,  # See `pipeline.shuffle.permute`.
    ),
    _float(
        "valid_fraction",
        0.2,
        "Fraction of files held out for validation, by a hash of their names.",
        at_most=0.9,
    ),
    _integer(
        "shuffle_window",
        0,
        "Minimum number of chunks shuffled together, in memory; 0: up to 256 batches.",
    ),
    _integer(
        "chunks_per_read",
        0,
        "Consecutive chunks that one read fetches: fewer shuffle better, more read faster. "
        "0: up to 8 from local files, 64 from buckets.",
    ),
    _integer("seed", 42, "Random seed of split, order of chunks and initial parameters."),
    _integer(
        "parallel_reads",
        0,
        "Parallel reads; 0: two per CPU core. Use more for buckets, such as 64.",
    ),
)

BATCH = Group(
    "Batch",
    _positive("batch_size", 128, "Chunks per batch, over all devices; divisible by their number."),
)

MODEL = Group(
    "Model",
    _enum(
        "predictors",
        "fixed",
        PREDICTORS,
        "Predictors that the network reads. fixed: FLAC's; adaptive: filters that adapt to the "
        "signal.",
    ),
    _enum(
        "network",
        None,
        NETWORKS,
        "Network that reads them; default: transformer, or mlp with --predictors=adaptive.",
    ),
    _positive("embedding_dim", 64, "Width of the transformer, divisible by --num_heads."),
    _positive("num_layers", 4, "Number of transformer blocks."),
    _positive("num_heads", 8, "Number of attention heads."),
    _positive("widening_factor", 4, "Feed-forward width, in multiples of --embedding_dim."),
    _enum("dtype", "float32", DTYPES, "Type of the computation; bfloat16 for TPUs and GPUs."),
    _enum(
        "predictor_set",
        "best",
        PREDICTOR_SETS,
        "Adaptive predictors: the fewest bits, 1% more in a third of the time, 4% in a tenth.",
    ),
    _positive("mixture_components", 6, "Logistics in the mixture, with --predictors=adaptive."),
    _positive("mlp_width", 128, "Width of the MLP, with --network=mlp."),
    _positive("mlp_layers", 2, "Number of hidden layers of the MLP, likewise."),
)

AUGMENTATION = Group(
    "Augmentation",
    _float(
        "mix_probability",
        0.0,
        "Share of the chunks that are mixed with another one, at random gains; with --nodownmix "
        "some are panned to stereo.",
        at_most=1.0,
    ),
    _float(
        "gain_probability",
        0.0,
        "Share of the other chunks that are trained on at a random gain below 1.",
        at_most=1.0,
    ),
)

FEATURE_POOL = Group(
    "Feature pool, with --predictors=adaptive",
    _positive(
        "samples_per_step",
        4096,
        "Samples that a step draws at random from the features of the last batches; divisible by "
        "--batch_size.",
    ),
    _integer(
        "feature_pool",
        1_000_000,
        "Samples whose features are kept to draw from (a replay buffer), about 200 bytes each; "
        "0: none, a step is a batch of whole chunks.",
    ),
    _positive("feature_reuse", 4, "How often a sample is drawn, on average."),
)

OPTIMIZER = Group(
    "Optimizer",
    _float("learning_rate", 1e-4, "Peak learning rate of Adam."),
    _enum("lr_schedule", "cosine", SCHEDULES, "Decay to 1% of the peak learning rate, or none."),
    _integer("warmup_steps", 50, "Steps of linear warmup; at most half of --training_steps."),
    _float("weight_decay", 0.0, "Decoupled weight decay (AdamW) of matrices."),
    _float("grad_clip_norm", 1.0, "Maximum global norm of the gradient."),
)

LOOP = Group(
    "Training loop",
    _positive("training_steps", 1000, "Number of training steps."),
    _positive("log_every", 100, "Steps between logged metrics."),
    _positive("eval_every", 500, "Steps between validations."),
    _integer(
        "eval_steps",
        50,
        "Maximum batches per validation, drawn evenly from the split; 0: all of it.",
    ),
    _boolean(
        "profile", False, "Write a profile of ten steps to {output_dir}/profile/{model_name}."
    ),
)

CHECKPOINTS = Group(
    "Checkpoints",
    _integer("checkpoint_every", 0, "Steps between checkpoints; 0: by time."),
    _float("checkpoint_minutes", 10.0, "Minutes between checkpoints; 0: by steps; both 0: none."),
    _positive("keep_checkpoints", 3, "Latest checkpoints to keep, besides the best by validation."),
    _boolean("fresh", False, "Do not resume; back up the files of the earlier run."),
    _list(
        "allow_change",
        [],
        "Flags that may differ from the run to resume, comma-separated; audio: the files.",
    ),
    _enum(
        "on_nan",
        "stop",
        ON_NAN,
        "After a non-finite loss: stop, or roll back to the last checkpoint and skip batches.",
    ),
    _enum(
        "on_save_error", "continue", ON_SAVE_ERROR, "If saving fails: warn and continue, or stop."
    ),
)

DISTRIBUTED = Group(
    "Several machines",
    _string(
        "coordinator_address",
        None,
        "HOST:PORT of host 0; auto: found, on TPU slices, Slurm and Open MPI; the default there.",
    ),
    _positive("num_processes", None, "Number of hosts; 1 without an address: this one alone."),
    _integer("process_id", None, "Index of this host, from 0; host 0 writes the files."),
    _string("data_service", None, "Data service that reads: grpc://host:port of its dispatcher."),
    _validator("data_service", _is_address, "expected grpc://host:port"),
)

COMPILATION = Group(
    "Compilation",
    _string(
        "compilation_cache_dir",
        None,
        "Folder that keeps compiled steps for the next start; local or gs://. Default: "
        "$JAX_COMPILATION_CACHE_DIR, else ~/.cache/wavestream/jax; empty: none.",
    ),
)

OUTPUT_DIR = Group(
    "Output folder",
    _string(
        "output_dir",
        "./",
        "Folder for the files of a run, local or a bucket's: gs://bucket/run. Of compress and "
        "decompress: default beside each file.",
    ),
    _validator("output_dir", _is_path, "expected a folder"),
)

OUTPUT = Group(
    "Output",
    _string("model_name", "audio_model", "Prefix of the names of these files."),
    _validator("model_name", _is_file_name, "expected a file name: not empty, no folder"),
)

WANDB = Group(
    "Weights & Biases",
    _string("wandb_project", None, "Project to log to; without it, wandb is not used."),
    _string("wandb_run_name", None, "Name of the run; default: made from the settings."),
)

MODEL_FILE = Group(
    "Model file",
    _string(
        "model",
        None,
        "Model file, such as runs/quickstart/audio_model.npz; default: the model that comes with "
        "wavestream.",
    ),
)

SEGMENT = Group(
    "Segments",
    _positive(
        "segment",
        None,
        "Frames that are coded alone, by an adaptive model; default 2^21. Fewer cost bits, and let "
        "decoding begin at more places.",
    ),
)

PREDICTOR_SETS_OF_MODELS = Group(
    "Which model, if there are several",
    _boolean("best", False, "The fewest bits; the default."),
    _boolean("normal", False, "1% more bits in a third of the time."),
    _boolean("fast", False, "4% more bits in a tenth of the time."),
)

MODEL_DIR = Group(
    "Models",
    _list("model_dir", [], "Folders in which the model of a compressed file is looked for."),
)

JOBS = Group("Threads", _positive("jobs", None, "Segments and files at once; default: the cores."))

OVERWRITE = Group("Files", _boolean("force", False, "Overwrite files."))

COMPRESS = Group(
    "Sources",
    _boolean(
        "delete_input_file",
        False,
        "Remove each source once the result was read back, decoded and compared with it.",
    ),
    _boolean("compare", False, "Print the size beside those of FLAC and other codecs."),
)

DECOMPRESS = Group(
    "What to decode",
    _float("start", 0.0, "Seconds to begin at; with --duration, or alone, to decode a part."),
    _float("duration", None, "Seconds to decode; default: to the end."),
    _boolean("recover", False, "Write what is intact of a damaged file, and silence for the rest."),
)

EVALUATION = Group(
    "Evaluation",
    _enum(
        "split",
        None,
        SPLITS,
        "Split of the training run to evaluate; default: valid, or all for another --audio_dir.",
    ),
    _integer("eval_files", 0, "Maximum number of files, sampled by their names; 0: all."),
    _list(
        "codecs",
        None,
        "Codecs to compare with, such as flac,wavpack; default: all installed; empty: none.",
    ),
    _boolean("chunked", False, "Also encode each chunk as a separate stream with the codecs."),
    _boolean(
        "compressed_size",
        True,
        "Also compress the files, for their real size: as long again. Of adaptive models.",
    ),
)

REPORT = Group("Report", _string("report_dir", None, "Folder for the report, local or a bucket's."))

DATA_SERVICE = Group(
    "Data service",
    _enum("role", None, ROLES, "Role of this process: one dispatcher, any number of workers."),
    _string("dispatcher", None, "Address of a worker's dispatcher, grpc://host:port."),
    _validator("dispatcher", _is_address, "expected grpc://host:port"),
    _integer("port", 0, "Port to listen on; 0: any free one, logged.", at_most=2**16 - 1),
)
