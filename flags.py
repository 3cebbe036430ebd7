"""Every flag, defined once: its default, bounds, unit and help, in groups that commands list.

A row is: name, default, what stands for the value in --help (a unit, where there is one), meaning,
and the default in words where the value itself does not tell. Neither TensorFlow nor JAX is
imported, so that --help and a mistyped flag answer at once.
"""

import os

from evaluation.config import SPLITS
from models.config import DTYPES, NETWORKS, PREDICTOR_SETS, PREDICTORS
from pipeline.config import DEPTHS
from pipeline.data_service.server import ROLES, host_and_port
from runtime.flag_definitions import Group, choice, integer, number, string, strings, switch, time
from training.config import ON_NAN, ON_SAVE_ERROR, SCHEDULES


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


# fmt: off

# Flags that several groups have, some in other words.

_AUDIO_DIR = strings(
    "audio_dir", [], "FOLDER",
    "Folder of WAV files, with all folders below it but hidden ones; local or gs://. Repeatable, "
    "comma-separated, or without the flag as arguments.", is_repeated=True)
_CATALOGUE = string(
    "catalogue", None, "FILE",
    "File of the headers of all WAV files, for buckets that take hours to list: read instead of "
    "listing --audio_dir if it is there, else written.")
_BATCH_SIZE = integer(
    "batch_size", 128, "CHUNKS",
    "Chunks per training step, over all devices; divisible by their number.", at_least=1)
_OUTPUT_DIR = string(
    "output_dir", "./", "FOLDER", "Folder for the files of the run; local or gs://.",
    check=_is_path, expected="a folder")
_MODEL_FILE = string(
    "model", None, "MODEL",
    "Model of a training run, such as runs/archive_16bit/audio_model.npz; or best, normal or fast, "
    "which come with wavestream.", "best")
_SEGMENT = integer(
    "segment", None, "FRAMES",
    "Most frames of a segment, which is coded without what comes before it; rounded down to four "
    "significant bits (40000: 36864). Shorter segments cost bits, let --start decode less, and "
    "lose less where a file is damaged.", "4194304, 95 s at 44.1 kHz", at_least=1024)
_MODEL_DIR = strings(
    "model_dir", [], "FOLDERS", "Folders, comma-separated, that may have the model of a file.")
_JOBS = integer(
    "jobs", None, "THREADS",
    "Threads, for files and segments side by side; compressing takes up to 0.5 GB of memory each.",
    "one per CPU core", at_least=1)
_REPORT_DIR = string(
    "report_dir", None, "FOLDER", "Folder for report.html and report.json; local or gs://.")
_VERBOSE = switch(
    "verbose", False, "Print a line for each file, also of more than 20; -v for short.")
_JSON = switch(
    "json", False, "Print a JSON object for each file, a line each, and nothing else to stdout.")
_RESULTS = (
    _OUTPUT_DIR.described(
        "Local folder for the results, where folders keep their trees.", "beside each file"),
    switch("force", False, "Overwrite files that are there."),
    switch("dry_run", False, "Print what would be written, and write nothing; -n for short."),
)

# Of train, some of inspect, too.

AUDIO = Group(
    "Audio",
    _AUDIO_DIR,
    switch("demo", False,
           "Use a demo corpus of 4 minutes, synthesized into OUTPUT_DIR/demo_corpus."),
    _CATALOGUE)

OUTPUT = Group(
    "Output",
    _OUTPUT_DIR,
    string("model_name", "audio_model", "NAME", "Prefix of the names of these files.",
           check=_is_file_name, expected="a file name: not empty, no folder"))

TRAINING = Group(
    "Training",
    integer("training_steps", 1000, "STEPS", "Steps of the whole run.", at_least=1),
    integer("log_every", 100, "STEPS", "Steps between lines of metrics.", at_least=1),
    integer("eval_every", 500, "STEPS", "Steps between validations.", at_least=1),
    integer("eval_steps", 50, "BATCHES",
            "Batches per validation at most, drawn evenly from the held-out files; 0: all."),
    switch("profile", False, "Write a profile of ten steps to OUTPUT_DIR/profile/MODEL_NAME."))

SAMPLES = Group(
    "Samples, chunks and batches",
    choice("bit_depth", "8", tuple(map(str, DEPTHS)), "Bits per sample that the model sees."),
    switch("use_16bit", False, "The same as --bit_depth=16."),
    switch("downmix", True, "Mix the channels down to mono; else they alternate in blocks."),
    integer("stereo_blocking_n", 1024, "SAMPLES",
            "Samples in a block of one channel, with --nodownmix.", at_least=1),
    integer("chunk_size", 2048, "SAMPLES",
            "Samples in a chunk, one training sequence; even with --bit_depth=16.", at_least=1),
    _BATCH_SIZE)

SPLIT = Group(
    "Split and order",
    number("valid_fraction", 0.2, "FRACTION",
           "Fraction of the files held out for validation, 0 to 0.9, by a hash of their names.",
           at_most=0.9),
    integer("num_chunks", 488281, "CHUNKS",
            "Training chunks at most, drawn evenly from all files.",
            at_least=1, at_most=2**53 - 1),  # See `pipeline.shuffle.permute`.
    integer("seed", 42, "N", "Random seed of split, order of chunks and initial parameters."),
    integer("shuffle_window", 0, "CHUNKS",
            "Chunks shuffled together in memory, at least; 0: up to 256 batches."))

READING = Group(
    "Reading",
    integer("parallel_reads", 0, "N",
            "Reads at once; 0: two per CPU core. Use more for buckets, such as 64."),
    integer("chunks_per_read", 0, "CHUNKS",
            "Consecutive chunks per read: fewer shuffle better, more read faster. 0: up to 8 from "
            "local files, 64 from buckets."))

SKIPPED_FILES = Group(
    "Unusable files",
    switch("strict", False, "Stop at the first unusable file; else it is skipped and logged."),
    number("max_skipped_fraction", 0.5, "FRACTION",
           "Stop if more than this fraction of the files, 0 to 1, is unusable.", at_most=1.0))

MODEL = Group(
    "Model",
    string("init_from", None, "MODEL",
           "Model whose parameters training starts from, and whose settings of model and channels "
           "it takes over: best, normal, fast, or a model file; local or gs://.",
           "parameters at random"),
    choice("predictors", "fixed", PREDICTORS,
           "Predictors that the network reads. fixed: FLAC's; adaptive: filters that adapt to the "
           "signal."),
    choice("network", None, NETWORKS, "Network that reads them.",
           "transformer; with --predictors=adaptive, mlp"),
    integer("embedding_dim", 64, "N", "Width of the transformer, divisible by --num_heads.",
            at_least=1),
    integer("num_layers", 4, "N", "Number of transformer blocks.", at_least=1),
    integer("num_heads", 8, "N", "Number of attention heads.", at_least=1),
    integer("widening_factor", 4, "N", "Feed-forward width, in multiples of --embedding_dim.",
            at_least=1),
    choice("dtype", "float32", DTYPES, "Type of the computation; bfloat16 for TPUs and GPUs."),
    choice("predictor_set", "best", PREDICTOR_SETS,
           "Adaptive predictors. best: the fewest bits; normal: 1% more in a third of the time; "
           "fast: 4% more in a seventh."),
    integer("mixture_components", 6, "N", "Logistics in the mixture, with --predictors=adaptive.",
            at_least=1),
    integer("mlp_width", 128, "N", "Width of the MLP, with --network=mlp.", at_least=1),
    integer("mlp_layers", 2, "N", "Number of hidden layers of the MLP.", at_least=1))

OPTIMIZER = Group(
    "Optimizer",
    number("learning_rate", 1e-4, "RATE", "Peak learning rate of Adam."),
    choice("lr_schedule", "cosine", SCHEDULES, "Decay to 1% of the peak learning rate, or none."),
    integer("warmup_steps", 50, "STEPS",
            "Steps of linear warmup, at most half of --training_steps."),
    number("weight_decay", 0.0, "RATE", "Decoupled weight decay (AdamW) of matrices."),
    number("grad_clip_norm", 1.0, "NORM", "Maximum global norm of the gradient."))

AUGMENTATION = Group(
    "Augmentation",
    number("mix_probability", 0.0, "FRACTION",
           "Fraction of the chunks, 0 to 1, that are mixed with another one, at random gains; with "
           "--nodownmix some are panned to stereo.", at_most=1.0),
    number("gain_probability", 0.0, "FRACTION",
           "Fraction of the other chunks, 0 to 1, that get a random gain below 1.", at_most=1.0))

FEATURE_POOL = Group(
    "Feature pool, with --predictors=adaptive",
    integer("samples_per_step", 4096, "SAMPLES",
            "Samples that a step draws at random from the features of the last batches; divisible "
            "by --batch_size.", at_least=1),
    integer("feature_pool", 1_000_000, "SAMPLES",
            "Samples whose features are kept to draw from (a replay buffer), 0.2 GB of memory a "
            "million; 0: none, a step is a batch of whole chunks."),
    integer("feature_reuse", 4, "TIMES", "How often a sample is drawn, on average.", at_least=1))

CHECKPOINTS = Group(
    "Checkpoints",
    switch("fresh", False, "Do not resume; the files of the earlier run are backed up."),
    number("checkpoint_minutes", 10.0, "MINUTES",
           "Minutes between checkpoints; 0: by steps; both 0: none."),
    integer("checkpoint_every", 0, "STEPS", "Steps between checkpoints; 0: by time."),
    integer("keep_checkpoints", 3, "N",
            "Latest checkpoints to keep, besides the best by validation.", at_least=1),
    strings("allow_change", [], "FLAGS",
            "Flags, comma-separated, that may differ from the run to resume; audio: the files."),
    choice("on_nan", "stop", ON_NAN,
           "After a non-finite loss: stop, or roll back to the last checkpoint and skip batches."),
    choice("on_save_error", "continue", ON_SAVE_ERROR,
           "If saving fails: warn and continue, or stop."))

WANDB = Group(
    "Weights & Biases",
    string("wandb_project", None, "NAME", "Project to log to.", "none, wandb is not used"),
    string("wandb_run_name", None, "NAME", "Name of the run.", "made from the settings"))

DISTRIBUTED = Group(
    "Several machines",
    string("coordinator_address", None, "HOST:PORT",
           "Address of host 0; auto: found, on TPU slices, Slurm and Open MPI.",
           "auto there, else none"),
    integer("num_processes", None, "N",
            "Number of hosts; 1 without an address: this one alone.", at_least=1),
    integer("process_id", None, "N", "Index of this host, from 0; host 0 writes the files."),
    string("data_service", None, "grpc://HOST:PORT",
           "Dispatcher of the data service that reads (serve_input).",
           check=_is_address, expected="grpc://host:port"))

COMPILATION = Group(
    "Compilation",
    string("compilation_cache_dir", None, "FOLDER",
           "Folder that keeps compiled steps for the next start; local or gs://; empty: none.",
           "$JAX_COMPILATION_CACHE_DIR, else ~/.cache/wavestream/jax"))

# Of evaluate, compare and serve_input.

EVALUATION = Group(
    "Evaluation",
    _MODEL_FILE,
    _REPORT_DIR,
    strings("codecs", None, "NAMES",
            "Codecs to compare with, of flac,wavpack,gzip,xz,zstd; empty: none.", "all installed"),
    _SEGMENT.described(
        "Most frames of a segment, which an adaptive model codes without what comes before it.",
        _SEGMENT.default_text),
    switch("compressed_size", True,
           "Also compress the files, for their real size, if the model is adaptive: takes as long "
           "again."),
    switch("chunked", False, "Also encode each chunk as a separate stream with the codecs."),
    _BATCH_SIZE.described("Chunks at once, divisible by the number of devices."))

EVALUATED_FILES = Group(
    "Files to evaluate",
    _AUDIO_DIR.described(_AUDIO_DIR.text, "that of the training run"),
    choice("split", None, SPLITS, "Split of the training run to evaluate.",
           "valid; for another --audio_dir, all"),
    integer("eval_files", 0, "FILES", "Files at most, sampled by their names; 0: all."),
    _CATALOGUE)

PLOT = Group(
    "Plot",
    _REPORT_DIR.described("Folder for compare.png; local or gs://.", "the current folder"))

DATA_SERVICE = Group(
    "Data service",
    choice("role", None, ROLES, "Role of this process: one dispatcher, any number of workers."),
    string("dispatcher", None, "grpc://HOST:PORT", "Address of the dispatcher, for a worker.",
           check=_is_address, expected="grpc://host:port"),
    integer("port", 0, "PORT", "Port to listen on; 0: any free one, logged.", at_most=2**16 - 1))

# Of the codec's commands.

CODING = Group(
    "Size and speed",
    switch("best", False, "The fewest bits; used where neither of the others is asked for."),
    switch("normal", False, "1% more bits in a third of the time."),
    switch("fast", False, "4% more bits in a seventh of the time."),
    _MODEL_FILE, _SEGMENT, _JOBS)

COMPRESSED_FILES = Group(
    "Compressed files",
    *_RESULTS,
    switch("all_files", False,
           "Of folders compress all files, not WAVs alone; those of other kinds by LZMA."),
    switch("delete_input_file", False,
           "Remove each source once its result was read back, decoded and compared with it."),
    switch("compare", False, "Print the sizes that FLAC and other codecs reach, too."))

DECODED_FILES = Group(
    "Decoded files",
    *_RESULTS,
    time("start", 0.0, "Decode a part: where it begins, in seconds or as [H:]MM:SS."),
    time("duration", None, "Decode a part: how long it is, likewise.", "to the end"),
    switch("recover", False,
           "Write what is intact of a damaged file, of a damaged segment what is before the "
           "damage, and silence for the rest."))

DECODING = Group(
    "Models and threads",
    _MODEL_FILE.described(
        "Model file that the files were compressed with; wavestream's own are found without it."),
    _MODEL_DIR,
    _JOBS.described("Threads, for files and segments side by side.", _JOBS.default_text))

ORIGINALS = Group(
    "Originals",
    string("against", None, "FOLDER|FILE",
           "Compare with the originals, byte for byte, too: FOLDER/a/b.wav is that of a/b.wav.wvst "
           "below a folder. Where only folders are verified, WAVs of FOLDER that have no "
           "compressed file are errors, and files of other kinds are counted."))

MODELS = Group("Models", _MODEL_DIR)

ROWS = Group(
    "Rows",
    _VERBOSE.described("Print all rows of each file, also of several; -v for short."),
    _JSON)

LINES = Group("Messages", _VERBOSE, _JSON)
