"""Training speed and memory of the default model beside a plain transformer of the same shape.

    python benchmarks/training_speed.py             # samples per second, peak memory, matmul share
    python benchmarks/training_speed.py --memory    # peak memory of one step at batch 128

Every variant runs in a process of its own, so that its peak memory is its own; the processes take
turns, one step each, so that a busy machine slows all of them alike. Each is pmapped as training
is, over one device and over a device a core, which is what main.py makes of a CPU.

B batch, L samples in a chunk, V possible samples, E embedding, H heads, K head width.
"""

import argparse
import pathlib
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from models.build import build_model
from models.config import ModelConfig
from models.interface import Batch, Inputs, Model, Params
from runtime.devices import platform, share_cores
from training.config import TrainingConfig
from training.control.control_flags import ControlFlags
from training.state import init_state
from training.step import make_train_step

_MATMUL_SIZE = 4096


class PlainNetwork(nn.Module):
    """The textbook formulation: everything is materialised, [B, H, L, L] and [B, L, V].

    Post-layer-norm, sinusoidal positions, the input shifted right by one zero, as in
    language_modeling_is_compression (Deletang et al. 2023, arXiv:2309.10668).
    """

    config: ModelConfig

    @nn.compact
    def __call__(self, samples: jax.Array) -> jax.Array:  # [B, L] -> [B, L]
        config, vocab_size = self.config.network, 2**self.config.depth
        symbols = samples.astype(jnp.int32) + vocab_size // 2
        batch, length = symbols.shape
        x = nn.Embed(vocab_size, config.embedding_dim)(jnp.pad(symbols, ((0, 0), (1, 0))))
        x = x[:, :-1] * config.embedding_dim**0.5 + _sinusoids(length, config.embedding_dim)
        mask = jnp.broadcast_to(jnp.tri(length, dtype=bool), (batch, 1, length, length))
        for _ in range(config.num_layers):
            x = nn.LayerNorm()(x + self._attend(x, mask))
            hidden = nn.gelu(nn.Dense(config.widening_factor * config.embedding_dim)(x))
            x = nn.LayerNorm()(x + nn.Dense(config.embedding_dim)(hidden))
        log_probs = jax.nn.log_softmax(nn.Dense(vocab_size)(x))
        return jnp.take_along_axis(log_probs, symbols[..., None], -1)[..., 0]

    def _attend(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        config = self.config.network
        head_dim = config.embedding_dim // config.num_heads
        query, key, value = (
            nn.DenseGeneral((config.num_heads, head_dim), use_bias=False)(x) for _ in range(3)
        )
        scores = jnp.einsum("bqhk,bjhk->bhqj", query, key) * head_dim**-0.5
        weights = jax.nn.softmax(jnp.where(mask, scores, -1e30))
        attended = jnp.einsum("bhqj,bjhk->bqhk", weights, value)
        return nn.Dense(config.embedding_dim, use_bias=False)(attended.reshape(x.shape))


class PlainModel:
    """The plain network, as far as a training step knows of a model."""

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self._network = PlainNetwork(config)

    def prepare(self, batch: Batch) -> Inputs:
        return {"samples": batch["samples"]}

    def init(self, key: jax.Array) -> Params:
        return jax.jit(self._network.init)(key, jnp.zeros((1, 1), jnp.int32))["params"]

    def microbatch_size(self, inputs: Inputs) -> None:
        return None

    def log_likelihood(self, params: Params, inputs: Inputs) -> jax.Array:
        log_likelihood: Any = self._network.apply({"params": params}, inputs["samples"])
        return log_likelihood

    def cost_parts(self, params: Params, inputs: Inputs) -> dict[str, jax.Array]:
        return {"sample": -self.log_likelihood(params, inputs)}


def _sinusoids(length: int, width: int) -> jax.Array:
    frequencies = 10_000.0 ** (-jnp.arange(0, width, 2) / width)
    angles = jnp.arange(length)[:, None] * frequencies
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)


def training_step(model: Model, batch: int, length: int) -> Callable[[], object]:
    """Returns a function that does one whole training step, compiled."""
    devices, depth = jax.local_device_count(), model.config.depth
    rows = (devices, batch // devices)
    half = 2 ** (depth - 1)
    samples = np.random.default_rng(0).integers(-half, half, (*rows, length))
    arrays = {
        "inputs": model.prepare({"samples": samples.astype(f"int{depth}")}),
        "first": np.zeros(rows, np.int32),
        "stop": np.full(rows, length, np.int32),
    }
    flags = ControlFlags().to_devices()
    step = make_train_step(model, TrainingConfig())
    state = init_state(model.init(jax.random.key(0)), TrainingConfig())

    def run() -> None:
        nonlocal state
        state = jax.block_until_ready(step(state, arrays, flags))[0]

    return run


def matmul() -> Callable[[], object]:
    """Returns a function that multiplies two large float32 matrices."""
    x = jnp.ones((_MATMUL_SIZE, _MATMUL_SIZE))
    product = jax.jit(jnp.matmul)
    return lambda: jax.block_until_ready(product(x, x))


def step_flops(config: ModelConfig, batch: int, length: int) -> float:
    """Returns the multiplications and additions that a training step cannot do without.

    Forward, a sample: 2 for each weight of a matrix, and 4 E for each of the (L + 1) / 2 samples
    that it sees on average, in every layer; backward twice that. Recomputation, the embedding and
    the output distribution do not count.
    """
    network = config.network
    width = network.embedding_dim
    weights = network.num_layers * (4 + 1.5 * network.widening_factor) * width**2
    attention = network.num_layers * 4 * width * (length + 1) / 2
    return 3 * batch * length * (2 * weights + attention)


def serve(run: Callable[[], object], warmups: int) -> None:
    """Warms up, then runs once for each line of stdin; prints seconds and peak bytes."""
    for _ in range(warmups):
        run()
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(seconds, peak, flush=True)


class Worker:
    """A process that serves one variant."""

    def __init__(
        self,
        name: str,
        depth: int,
        batch: int,
        length: int,
        *,
        share: bool = False,
        # The arguments of the second step come from pmap itself, which compiles once more for them.
        warmups: int = 2,
    ) -> None:
        arguments = ["--serve", name, "--batch", batch, "--length", length, "--depth", depth]
        arguments += ["--share"] * share + ["--warmups", warmups]
        self._process = subprocess.Popen(
            [sys.executable, __file__, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.seconds: list[float] = []
        self.peak = 0
        self._answer()

    def run(self) -> None:
        """Has the variant run once, and notes its time and its peak memory so far."""
        print(file=self._process.stdin, flush=True)
        seconds, peak = self._answer().split()
        self.seconds.append(float(seconds))
        self.peak = int(peak)

    def close(self) -> None:
        """Ends the process."""
        cast(TextIO, self._process.stdin).close()
        self._process.wait()

    def _answer(self) -> str:
        line = cast(TextIO, self._process.stdout).readline()
        if not line:
            raise RuntimeError("A variant ended early; its error stands above.")
        return line


def compare_speed(batch: int, length: int, rounds: int) -> None:
    """Prints speed and memory of ours and plain, and the share of the matmul rate."""
    config = ModelConfig()
    size = config.depth, batch, length
    workers = {
        "ours": Worker("ours", *size, share=True),
        "ours, 1 device": Worker("ours", *size),
        "plain": Worker("plain", *size),
        "plain, shared": Worker("plain", *size, share=True),
        "matmul": Worker("matmul", *size),
    }
    for _ in range(rounds):
        for worker in workers.values():
            worker.run()
    seconds = {name: statistics.median(worker.seconds) for name, worker in workers.items()}
    for worker in workers.values():
        worker.close()
    print(
        f"batch {batch}, chunk {length}, {rounds} rounds, medians; samples of {config.depth} bits;"
        " ours and plain, shared use a device a core\n"
        f"{'':15}{'samples/s':>11}{'to plain':>9}{'peak GB':>9}{'to plain':>9}"
    )
    plain = workers["plain"]
    for name in [*workers][:-1]:
        print(
            f"{name:15}{batch * length / seconds[name]:11,.0f}"
            f"{seconds['plain'] / seconds[name]:9.2f}"
            f"{workers[name].peak / 1e9:9.2f}{workers[name].peak / plain.peak:9.3f}"
        )
    rate = step_flops(config, batch, length) / seconds["ours"]
    matmul_rate = 2 * _MATMUL_SIZE**3 / seconds["matmul"]
    print(
        f"ours reaches {rate / 1e9:.1f} of the {matmul_rate / 1e9:.1f} GFLOP/s of a float32 matmul"
        f" of {_MATMUL_SIZE}: {rate / matmul_rate:.0%} (recomputation not counted)"
    )


def measure_memory(batch: int, length: int) -> None:
    """Prints the peak memory of a training step at both depths."""
    for depth in (8, 16):  # Those of fixed predictors.
        worker = Worker("ours", depth, batch, length, warmups=0)  # A step may take a minute.
        worker.run()
        worker.close()
        print(f"{depth:2d} bits, batch {batch}, chunk {length}: {worker.peak / 1e9:.2f} GB peak")


def main() -> None:
    """Measures what the command line asks for, or serves one variant to such a process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--memory", action="store_true", help="measure memory at batch 128 instead")
    parser.add_argument("--batch", type=int, help="chunks a step (default 4, or 128 for --memory)")
    parser.add_argument("--length", type=int, default=2048, help="samples in a chunk")
    parser.add_argument("--rounds", type=int, default=5, help="timed steps of each variant")
    parser.add_argument("--serve", choices=("ours", "plain", "matmul"), help=argparse.SUPPRESS)
    parser.add_argument("--depth", type=int, default=8, help=argparse.SUPPRESS)
    parser.add_argument("--share", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--warmups", type=int, default=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    batch = args.batch or (128 if args.memory else 4)
    if args.share:
        share_cores(batch)
    if args.serve == "matmul":
        serve(matmul(), args.warmups)
    elif args.serve:
        config = ModelConfig(depth=args.depth)
        plain = args.serve == "plain"
        model = PlainModel(config) if plain else build_model(config, platform=platform())
        serve(training_step(model, batch, args.length), args.warmups)
    elif args.memory:
        measure_memory(batch, args.length)
    else:
        compare_speed(batch, args.length, args.rounds)


if __name__ == "__main__":
    main()
