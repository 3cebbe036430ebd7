"""Speed, memory and precision of the training step on the accelerator of this machine.

    python benchmarks/accelerator_speed.py

The defaults and `presets/tpu_pod.flags`, at 8 and 16 bits, in float32 and bfloat16: seconds to
compile, samples per second, peak memory, and how far the nats per sample are from those that a CPU
computes in float32. Needs no TensorFlow: batches are random walks.

D devices, B rows, L chunk size.
"""

import argparse
import dataclasses
import pathlib
import sys
import time

import jax
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from models.build import build_model
from models.config import ModelConfig, TransformerConfig
from models.interface import Model
from training.config import TrainingConfig
from training.state import init_state
from training.step import make_train_step

POD = {"embedding_dim": 512, "num_layers": 12, "num_heads": 8}
# Name: network, rows, chunk size, whether to compare with a CPU.
SETTINGS = {"defaults": ({}, 128, 2048, True), "tpu_pod": (POD, 32, 4096, False)}
STEPS = 10


def walks(depth: int, rows: int, length: int) -> np.ndarray:  # -> int8 or int16 [B, L]
    """Returns random walks that stay in range."""
    steps = np.random.default_rng(0).integers(-3, 4, (rows, length))
    bound = 2 ** (depth - 1)
    return np.clip(np.cumsum(steps, 1) % (2 * bound) - bound, -bound, bound - 1).astype(
        f"int{depth}"
    )


def nats(model: Model, params: object, samples: np.ndarray) -> float:
    """Returns nats per sample of a few rows."""
    inputs = model.prepare({"samples": samples})
    return -float(jax.jit(model.log_likelihood)(params, inputs).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", nargs="*", default=list(SETTINGS), choices=list(SETTINGS))
    arguments = parser.parse_args()
    devices, platform = jax.local_devices(), jax.default_backend()
    print(f"{len(devices)} x {devices[0].device_kind}, jax {jax.__version__}")
    print(
        "| settings | depth | dtype | rows | compile s | samples/s | ms/step | GiB | off the CPU |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name in arguments.settings:
        network, rows, length, compare = SETTINGS[name]
        for depth in (8, 16):
            samples = walks(depth, rows, length)
            for dtype in ("float32", "bfloat16"):
                config = ModelConfig(depth=depth, network=TransformerConfig(**network, dtype=dtype))
                model = build_model(config, platform=platform)
                params = model.init(jax.random.key(0))
                off = ""
                if compare:
                    float32 = dataclasses.replace(config.network, dtype="float32")
                    reference = build_model(dataclasses.replace(config, network=float32))
                    few = samples[:4]
                    ours = nats(model, params, few)
                    with jax.default_device(jax.devices("cpu")[0]):
                        theirs = nats(reference, jax.device_get(params), few)
                    off = f"{abs(ours / theirs - 1):.1e}"
                training = TrainingConfig()
                state, step = init_state(params, training), make_train_step(model, training)
                shape = (len(devices), rows // len(devices))
                batch = {
                    "inputs": model.prepare({"samples": samples.reshape(*shape, length)}),
                    "first": np.zeros(shape, np.int32),
                    "stop": np.full(shape, length, np.int32),
                }
                flags = np.zeros((len(devices), 2), np.int32)
                try:
                    begin = time.perf_counter()
                    state, metrics, _ = step(state, batch, flags)
                    jax.block_until_ready(metrics)
                    compiled = time.perf_counter() - begin
                    state, metrics, _ = step(state, batch, flags)
                    jax.block_until_ready(metrics)
                    begin = time.perf_counter()
                    for _ in range(STEPS):
                        state, metrics, _ = step(state, batch, flags)
                    jax.block_until_ready(metrics)
                    seconds = (time.perf_counter() - begin) / STEPS
                except Exception as error:
                    print(
                        f"| {name} | {depth} | {dtype} | {rows} | {str(error)[:300]!r}", flush=True
                    )
                    continue
                peak = (devices[0].memory_stats() or {}).get("peak_bytes_in_use", 0) / 2**30
                print(
                    f"| {name} | {depth} | {dtype} | {rows} | {compiled:.1f} | "
                    f"{rows * length / seconds:,.0f} | {1000 * seconds:.1f} | {peak:.2f} | {off} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
