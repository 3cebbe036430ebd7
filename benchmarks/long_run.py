"""The memory of a long run: what the process holds after so many tiny steps.

    python benchmarks/long_run.py                  # 200,000 steps; an hour on two cores
    python benchmarks/long_run.py --steps=6000     # minutes

Runs main.py on the demo corpus with a model of a few hundred parameters, a line of the log every
100 steps, and TensorBoard; validations and checkpoints every `steps / 100`; wandb offline where it
is installed. Memory is the resident set, in MB, of the process and not of its children. Its growth
counts from a tenth of the steps on: before that, buffers fill and libraries load.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_POINTS = 20  # Lines that are printed.


def measure(steps: int, output_dir: str, log_every: int = 100) -> list[tuple[int, float]]:
    """Returns pairs of a step and the memory after it in MB, the last one near the end."""
    every = max(steps // 100, 1)
    command = [
        *(sys.executable, "main.py", "--demo", f"--output_dir={output_dir}"),
        *("--batch_size=2", "--chunk_size=16", "--embedding_dim=8", "--num_heads=1"),
        *("--num_layers=1", "--widening_factor=1", f"--training_steps={steps}"),
        *(f"--log_every={log_every}", f"--eval_every={every}", "--eval_steps=2"),
        *(f"--checkpoint_every={every}", "--keep_checkpoints=1"),
    ]
    if importlib.util.find_spec("wandb"):
        command.append("--wandb_project=long_run")
    environment = {**os.environ, "WANDB_MODE": "offline"}
    with open(os.path.join(output_dir, "console.txt"), "w") as console:
        run = subprocess.Popen(command, cwd=_ROOT, env=environment, stderr=console)
        points: list[tuple[int, float]] = []
        try:
            while run.poll() is None:
                time.sleep(0.2)
                step, memory = _last_step(output_dir), _resident_mb(run.pid)
                if memory and step >= (points[-1][0] if points else 1) + steps // _POINTS:
                    points.append((step, memory))
                    print(f"{step:>9,} steps: {memory:7.1f} MB", flush=True)
        finally:
            run.kill()
    if run.wait():
        raise RuntimeError(f"main.py has ended with status {run.returncode}: {console.name}")
    return points


def growth(points: list[tuple[int, float]], since: float) -> float:
    """Returns by how many MB the memory has grown since the first point at or after a step."""
    return points[-1][1] - next(memory for step, memory in points if step >= since)


def _last_step(output_dir: str) -> int:
    path = os.path.join(output_dir, "audio_model_metrics.jsonl")
    if not os.path.exists(path):
        return 0
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - 4096))
        lines = [line for line in file.read().split(b"\n")[:-1] if line.startswith(b"{")]
    return json.loads(lines[-1])["step"] if lines else 0


def _resident_mb(process: int) -> float:
    try:
        status = pathlib.Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    sizes = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(sizes[0]) / 1024 if sizes else 0.0


def main() -> None:
    """Runs and prints the growth."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--log_every", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        points = measure(arguments.steps, folder, arguments.log_every)
    print(f"grown by {growth(points, arguments.steps / 10):.1f} MB since a tenth of the steps")


if __name__ == "__main__":
    main()
