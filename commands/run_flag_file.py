"""The flag file that repeats a training run."""

from absl.flags import FlagValues

from commands import shared
from commands.initial_model import absolute_model
from runtime.filesystem import absolute
from runtime.flag_file import format_flag_file

# Flags of one start of a run, or of one host: not written to the flag file that repeats the run.
_START_ONLY = {
    *("fresh", "allow_change", "data_service", "compilation_cache_dir"),
    *("coordinator_address", "num_processes", "process_id"),
    "use_16bit",  # Another name: --bit_depth is written.
}


def as_flagfile(values: FlagValues) -> str:
    """Returns a flag file that repeats this run from any working directory."""
    lines: list[str] = []
    for name in sorted(set(values) - _START_ONLY):
        flag = values[name]
        if name == "audio_dir":
            lines += [f"--audio_dir={absolute(path)}" for path in shared.audio_dirs(values)]
        elif name == "init_from" and flag.value:
            lines.append(f"--init_from={absolute_model(flag.value)}")
        elif name in ("output_dir", "catalogue") and flag.value:
            lines.append(f"--{name}={absolute(flag.value)}")
        elif name == "bit_depth":
            lines.append(f"--bit_depth={shared.depth(values)}")
        elif flag.value is not None:
            lines.append(flag.serialize())
    return format_flag_file(lines)
