"""Do the steps compile for TPUs, and fit? Asked of libtpu's compiler, without a TPU.

    pip install -e '.[tpu]'
    python benchmarks/tpu_compile.py       # the table of docs/reference/tpu_compile.md, in hours
    python benchmarks/tpu_compile.py --chips=v5e --settings=defaults # a part of it
    python benchmarks/tpu_compile.py --chips=v5p -- --bit_depth=16 --batch_size=512  # others

The train and eval steps of a run are compiled for every chip of a described topology; the compiler
says how much memory of a chip they take. Each row is a process of its own, so that a compiler that
aborts is a row, too. Ends with status 1 if a step does not compile or does not fit.

D devices of the topology.
"""

import argparse
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

# What JAX needs to load libtpu as a compiler: without a TPU, and beside a process that has it.
_ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "JAX_ENABLE_COMPILATION_CACHE": "false",  # It is the compiler that is timed.
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}

MEMORY_GIB = {"v5e": 16, "v5p": 95, "v6e": 32}
"""Memory of a chip."""

DEPTHS = {"8": "--bit_depth=8", "16": "--bit_depth=16"}
DTYPES = ("float32", "bfloat16")
SETTINGS = {
    "defaults": ([], {"v5e": "v5e:2x2", "v5p": "v5p:2x2x1", "v6e": "v6e:2x2"}),
    "tpu_pod": (
        [f"--flagfile={ROOT}/presets/tpu_pod.flags"],
        {"v5e": "v5e:2x4", "v5p": "v5p:2x2x2", "v6e": "v6e:2x4"},
    ),
}
"""Flags of `main.py train`, and by chip what they are compiled for: one host, and a small slice."""


def abstract_steps(
    flags: Sequence[str], platform: str, devices: Sequence[Any] | None
) -> tuple[Any, Any]:
    """Returns the steps of a run of these flags, and what they are given, without an array of it.

    Args:
      flags: flags of `main.py train`.
      platform: whose branches of the model are traced, see `models.build.build_model`.
      devices: what to compile for; None: one of those that are here.

    Returns:
      `training.step.Steps` and `training.compile_ahead.StepShapes`.
    """
    from commands import train
    from models.build import build_model
    from runtime.flag_definitions import define
    from runtime.flag_file import expand_flag_files
    from training.compile_ahead import step_shapes
    from training.step import make_steps

    values = define(train.GROUPS)
    values([__file__, "--demo", *expand_flag_files([*flags])])
    config = train.run_config(values)
    model = build_model(train.make_model_config(values), platform=platform)
    num_devices = len(devices) if devices else 1
    train.check_devices(config.pipeline.batch_size, num_devices)
    steps = make_steps(model, config.training, devices=devices)
    return steps, step_shapes(model, config, steps.init, num_devices)


def compile_steps(flags: Sequence[str], topology: str) -> dict[str, dict[str, float]]:
    """Compiles both steps, in a process whose environment is that of `run_row`.

    Args:
      flags: flags of `main.py train`.
      topology: such as "v5e:2x2", see `jax.experimental.topologies`.

    Returns:
      For "train" and "eval": `seconds` to compile and of CPU time, `bytes` of a chip's memory at
      the peak, `all_reduces`, and the compiler's estimate of `cycles`.
    """
    from jax.experimental.topologies import get_topology_desc

    devices = get_topology_desc(topology, "tpu").devices
    steps, shapes = abstract_steps(flags, "tpu", devices)
    lowered: dict[str, Callable[[], Any]] = {
        "train": lambda: steps.train.lower(shapes.state, shapes.train_batch, shapes.flags),
        "eval": lambda: steps.eval.lower(shapes.state.params, shapes.eval_batch, shapes.flags),
    }
    results = {}
    for name, lower in lowered.items():
        start, cpu_start = time.perf_counter(), time.process_time()
        compiled = lower().compile()
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
        program = compiled.as_text()
        results[name] = {
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            "bytes": peak_bytes(compiled),
            "all_reduces": len(re.findall(r" all-reduce(?:-start)?\(", program)),
            "cycles": estimated_cycles(program),
        }
    return results


def peak_bytes(compiled: Any) -> int:
    """Returns the bytes of a device's memory that a compiled program needs, arguments included."""
    memory = compiled.memory_analysis()
    return (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes  # What is donated is an argument and a result.
        + memory.temp_size_in_bytes
        + memory.generated_code_size_in_bytes
    )


def estimated_cycles(program: str) -> int:
    """Returns the sum of the estimates in a program compiled for a TPU, loops included."""
    computations: dict[str, list[str]] = {}
    lines: list[str] = []
    entry = ""
    for line in program.splitlines():
        if head := re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\{$", line):
            lines = computations[head[2]] = []
            entry = head[2] if head[1] else entry
        else:
            lines.append(line)

    def rounds(condition: str) -> int:
        text = "\n".join(computations[condition])
        return max(map(int, re.findall(r"s32\[\]\S* constant\((\d+)\)", text)), default=1)

    def cycles(computation: str) -> int:
        total = 0
        for line in computations[computation]:
            if found := re.search(r'"estimated_cycles":"(\d+)"', line):
                total += int(found[1])
            if loop := re.search(r" while\(.*condition=%?([\w.\-]+), body=%?([\w.\-]+)", line):
                total += rounds(loop[1]) * cycles(loop[2])
        return total

    return cycles(entry)


def run_row(flags: Sequence[str], topology: str) -> dict[str, dict[str, float]] | str:
    """Returns what `compile_steps` does, by a process of its own, or why it has failed."""
    row = subprocess.run(
        [sys.executable, __file__, f"--row={topology}", "--", *flags],
        env={**os.environ, **_ENVIRONMENT},
        capture_output=True,
        text=True,
    )
    if row.returncode == 0:
        return json.loads(row.stdout)
    # Of an abort the reason comes before its trace, of an exception after it.
    lines = [line for line in row.stderr.splitlines() if re.search("Check failed|Error", line)]
    return f"status {row.returncode}: {lines[-1] if lines else row.stderr[-300:]}"


def print_row(name: str, cells: Sequence[str]) -> None:
    """Prints a row of a table in Markdown."""
    print(f"| {' | '.join([name, *cells])} |", flush=True)


def print_table(chips: Sequence[str], settings: Sequence[tuple[str, Sequence[str], str]]) -> bool:
    """Compiles and prints each row; returns whether all compile and fit.

    Args:
      chips: some of MEMORY_GIB.
      settings: the label of a row, flags, and the entry of SETTINGS whose topologies are taken.
    """
    columns = ["chips", "train: compiled in", "GiB of a chip", "all-reduces", "estimated cycles"]
    columns += ["eval: compiled in", "GiB", "estimated cycles"]
    print_row("flags", columns)
    print_row("---", ["---", *["---:"] * (len(columns) - 1)])
    succeeded = True
    for (label, flags, kind), chip in itertools.product(settings, chips):
        topology = SETTINGS[kind][1][chip]
        result = run_row(flags, topology)
        if isinstance(result, str):
            succeeded = False
            print_row(label, [topology, result])
            continue
        cells = [topology]
        for name, step in result.items():
            gib, most = step["bytes"] / 2**30, MEMORY_GIB[chip]
            fits = gib < most
            succeeded &= fits
            cells += [f"{step['seconds']:.0f} s", f"{gib:.2f} of {most}{'' if fits else ': NO'}"]
            cells += [f"{step['all_reduces']}"] if name == "train" else []
            cells += [f"{step['cycles'] / 1e6:,.0f} M"]
        print_row(label, cells)
    return succeeded


def main() -> None:
    """Prints the table, or compiles one row of it for such a process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chips", default=",".join(MEMORY_GIB), help="default: %(default)s")
    parser.add_argument("--settings", default=",".join(SETTINGS), help="default: %(default)s")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    parser.add_argument("flags", nargs="*", help="after --: of main.py train, for one host")
    args = parser.parse_args()
    if args.row:
        print(json.dumps(compile_steps(args.flags, args.row)))
        return
    rows: list[tuple[str, Sequence[str], str]] = [
        (f"{name}, {depth} bits, {dtype}", [*SETTINGS[name][0], flag, f"--dtype={dtype}"], name)
        for name in args.settings.split(",")
        for depth, flag in DEPTHS.items()
        for dtype in DTYPES
    ]
    if args.flags:
        rows = [(" ".join(args.flags), args.flags, "defaults")]
    sys.exit(0 if print_table(args.chips.split(","), rows) else 1)


if __name__ == "__main__":
    main()
