"""Speed, memory and precision of the training step on the accelerator of this machine.

    python benchmarks/accelerator_speed.py

The defaults and the model of `presets/tpu_pod.flags`, in float32 and bfloat16: seconds of the first
step, which compiles; samples per second; peak memory; and, of the defaults, how far the nats per
sample are from those that a CPU computes in float32. Needs no TensorFlow: batches are random walks.

D devices, B rows, L chunk size.
"""

import argparse
import dataclasses
import itertools
import pathlib
import sys
import time
from typing import Any

import jax
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from models.build import build_model
from models.config import DTYPES, ModelConfig, TransformerConfig
from models.interface import Model, Params
from training.config import TrainingConfig
from training.state import init_state
from training.step import make_train_step

_STEPS = 10
_COMPARED_ROWS = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """Sizes of a network and of a batch."""

    network: dict[str, Any]
    rows: int  # a device
    length: int
    on_cpu: bool  # Whether a CPU computes the same, in seconds.


SETTINGS = {
    "defaults": Setting(network={}, rows=128, length=2048, on_cpu=True),
    "tpu_pod": Setting(
        network={"embedding_dim": 512, "num_layers": 12, "num_heads": 8},
        rows=32,
        length=4096,
        on_cpu=False,
    ),
}


def walks(depth: int, rows: int, length: int) -> np.ndarray:  # -> int8 or int16 [B, L]
    """Returns random walks that wrap around at full scale."""
    steps = np.random.default_rng(0).integers(-3, 4, (rows, length))
    return np.cumsum(steps, 1).astype(f"int{depth}")


def nats_per_sample(model: Model, params: Params, samples: np.ndarray) -> float:
    """Returns the mean cost of the samples."""
    inputs = model.prepare({"samples": samples})
    return -float(jax.jit(model.log_likelihood)(params, inputs).mean())


def difference_to_cpu(model: Model, config: ModelConfig, samples: np.ndarray) -> float:
    """Returns by how much, relatively, the cost differs from that in float32 on a CPU."""
    params = model.init(jax.random.key(0))
    ours = nats_per_sample(model, params, samples)
    network = dataclasses.replace(config.network, dtype="float32")
    reference = build_model(dataclasses.replace(config, network=network))
    with jax.default_device(jax.devices("cpu")[0]):
        return abs(ours / nats_per_sample(reference, jax.device_get(params), samples) - 1)


def time_steps(model: Model, samples: np.ndarray) -> tuple[float, float]:
    """Returns the seconds of the first step, and the mean of later ones.

    Args:
      model: the model.
      samples: [D, B, L].
    """
    rows = samples.shape[:2]
    batch = {
        "inputs": model.prepare({"samples": samples}),
        "first": np.zeros(rows, np.int32),
        "stop": np.full(rows, samples.shape[-1], np.int32),
    }
    flags = np.zeros((len(samples), 2), np.int32)
    state: Any = init_state(model.init(jax.random.key(0)), TrainingConfig())
    step = make_train_step(model, TrainingConfig())
    seconds = []
    for count in (1, 1, _STEPS):
        begin = time.perf_counter()
        for _ in range(count):
            state, metrics, _ = step(state, batch, flags)
        jax.block_until_ready(metrics)
        seconds.append((time.perf_counter() - begin) / count)
    return seconds[0], seconds[-1]


def measure(name: str, depth: int, dtype: str) -> str:
    """Returns a row of the table."""
    setting, devices = SETTINGS[name], jax.local_devices()
    network = TransformerConfig(**setting.network, dtype=dtype)
    config = ModelConfig(depth=depth, network=network)
    model = build_model(config, platform=jax.default_backend())
    samples = walks(depth, len(devices) * setting.rows, setting.length)
    off = ""
    if setting.on_cpu:
        off = f"{difference_to_cpu(model, config, samples[:_COMPARED_ROWS]):.1e}"
    first, later = time_steps(model, samples.reshape(len(devices), setting.rows, -1))
    peak = (devices[0].memory_stats() or {}).get("peak_bytes_in_use", 0) / 2**30
    figures = (
        f"{first:.1f} s | {samples.size / later:,.0f} | {1000 * later:.1f} ms | {peak:.2f} GiB"
    )
    return f"| {name} | {depth} | {dtype} | {setting.rows} x {setting.length} | {figures} | {off} |"


def main() -> None:
    """Prints the table, as Markdown; memory is the peak so far, so larger settings come later."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", nargs="*", default=list(SETTINGS), choices=list(SETTINGS))
    arguments = parser.parse_args()
    devices = jax.local_devices()
    print(f"{len(devices)} x {devices[0].device_kind}, jax {jax.__version__}\n")
    print("| | bits | dtype | a device | first step | samples/s | a step | memory | off the CPU |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in itertools.product(arguments.settings, (8, 16), DTYPES):
        print(measure(*row), flush=True)


if __name__ == "__main__":
    main()
