"""Training speed and memory of the default model beside a plain transformer of the same shape.

    python benchmarks/training_speed.py             # symbols a second, peak memory, matmul share
    python benchmarks/training_speed.py --memory    # peak memory of one step at batch 128

Every variant runs in a process of its own, so that its peak memory is its own; the processes take
turns, one step each, so that a busy machine slows all of them alike. Each is pmapped as training
is, over one device and over a device a core, which is what main.py makes of a CPU.

B batch, L symbols in a chunk, V vocabulary, E embedding, H heads, K head width.
"""

import argparse
import functools
import pathlib
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO, cast

import flax
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from models.config import ModelConfig
from models.networks.transformer import Transformer
from runtime.devices import share_cores

_MATMUL_SIZE = 4096


class PlainTransformer(nn.Module):
    """The textbook formulation: everything is materialised, [B, H, L, L] and [B, L, V].

    Post-layer-norm, sinusoidal positions, the input shifted right by one zero, as in
    language_modeling_is_compression (Deletang et al. 2023, arXiv:2309.10668).
    """

    config: ModelConfig

    @nn.compact
    def log_likelihood(self, symbols: jax.Array) -> jax.Array:  # [B, L] -> [B, L]
        config = self.config
        batch, length = symbols.shape
        x = nn.Embed(config.vocab_size, config.embedding_dim)(jnp.pad(symbols, ((0, 0), (1, 0))))
        x = x[:, :-1] * config.embedding_dim**0.5 + _sinusoids(length, config.embedding_dim)
        mask = jnp.broadcast_to(jnp.tri(length, dtype=bool), (batch, 1, length, length))
        for _ in range(config.num_layers):
            x = nn.LayerNorm()(x + self._attend(x, mask))
            wide = nn.gelu(nn.Dense(config.widening_factor * config.embedding_dim)(x))
            x = nn.LayerNorm()(x + nn.Dense(config.embedding_dim)(wide))
        log_probs = jax.nn.log_softmax(nn.Dense(config.vocab_size)(x))
        return jnp.take_along_axis(log_probs, symbols[..., None], -1)[..., 0]

    def _attend(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        config = self.config
        query, key, value = (
            nn.DenseGeneral((config.num_heads, config.head_dim), use_bias=False)(x)
            for _ in range(3)
        )
        scores = jnp.einsum("bqhk,bjhk->bhqj", query, key) * config.head_dim**-0.5
        weights = jax.nn.softmax(jnp.where(mask, scores, -1e30))
        attended = jnp.einsum("bhqj,bjhk->bqhk", weights, value)
        return nn.Dense(config.embedding_dim, use_bias=False)(attended.reshape(x.shape))


def _sinusoids(length: int, width: int) -> jax.Array:
    frequencies = 10_000.0 ** (-jnp.arange(0, width, 2) / width)
    angles = jnp.arange(length)[:, None] * frequencies
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)


def training_step(name: str, config: ModelConfig, batch: int, length: int) -> Callable[[], object]:
    """Returns a function that does one whole training step (loss, gradient, Adam), compiled."""
    key = jax.random.key(0)
    devices = jax.local_device_count()
    shape = (devices, batch // devices, length)
    symbols = jax.random.randint(key, shape, 0, config.vocab_size)
    model: nn.Module = Transformer(config) if name == "ours" else PlainTransformer(config)
    init = functools.partial(model.init, method="log_likelihood")
    params = jax.jit(init)(key, symbols[0, :1, :1])
    optimizer = optax.adam(1e-4)

    @functools.partial(jax.pmap, axis_name="devices", donate_argnums=(0, 1))
    def step(params: Any, opt_state: Any, symbols: jax.Array) -> tuple[Any, Any]:
        def loss(params: Any) -> jax.Array:
            log_probs: Any = model.apply(params, symbols, method="log_likelihood")
            return -log_probs.mean()

        gradients = jax.lax.pmean(jax.grad(loss)(params), "devices")
        updates, opt_state = optimizer.update(gradients, opt_state)
        return optax.apply_updates(params, updates), opt_state

    state = flax.jax_utils.replicate((params, optimizer.init(params)))

    def run() -> None:
        nonlocal state
        state = jax.block_until_ready(step(*state, symbols))

    return run


def matmul() -> Callable[[], object]:
    """Returns a function that multiplies two large float32 matrices."""
    x = jnp.ones((_MATMUL_SIZE, _MATMUL_SIZE))
    product = jax.jit(jnp.matmul)
    return lambda: jax.block_until_ready(product(x, x))


def step_flops(config: ModelConfig, batch: int, length: int) -> float:
    """Returns the multiplications and additions that a training step cannot do without.

    Forward, a symbol: 2 for each weight of a matrix, and 4 E for each of the (L + 1) / 2 symbols
    that it sees on average, in every layer; backward twice that. Recomputation, the embedding and
    the output distribution do not count.
    """
    width = config.embedding_dim
    weights = config.num_layers * (4 + 1.5 * config.widening_factor) * width**2
    attention = config.num_layers * 4 * width * (length + 1) / 2
    return 3 * batch * length * (2 * weights + attention)


def serve(run: Callable[[], object]) -> None:
    """Warms up, then runs once for each line of stdin; prints seconds and peak bytes."""
    run()
    run()  # Its arguments come from pmap itself, which compiles for them once more.
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
        self, name: str, vocab_size: int, batch: int, length: int, *, share: bool = False
    ) -> None:
        arguments = ["--serve", name, "--batch", batch, "--length", length, "--vocab", vocab_size]
        arguments += ["--share"] * share
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
    size = config.vocab_size, batch, length
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
        f"batch {batch}, chunk {length}, {rounds} rounds, medians; symbols of 8 bits;"
        " ours and the shared one use a device a core\n"
        f"{'':15}{'symbols/s':>11}{'to plain':>9}{'peak GB':>9}{'to plain':>9}"
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
    """Prints the peak memory of a training step for both vocabularies."""
    for vocab_size in (256, 65536):
        worker = Worker("ours", vocab_size, batch, length)
        worker.run()
        worker.close()
        print(
            f"vocabulary {vocab_size:5d}, batch {batch}, chunk {length}:"
            f" {worker.peak / 1e9:.2f} GB peak, {worker.seconds[0]:.1f} s a step"
        )


def main() -> None:
    """Measures what the command line asks for, or serves one variant to such a process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--memory", action="store_true", help="measure memory at batch 128 instead")
    parser.add_argument("--batch", type=int, help="chunks a step (default 4, or 128 for --memory)")
    parser.add_argument("--length", type=int, default=2048, help="symbols in a chunk")
    parser.add_argument("--rounds", type=int, default=5, help="timed steps of each variant")
    parser.add_argument("--serve", choices=("ours", "plain", "matmul"), help=argparse.SUPPRESS)
    parser.add_argument("--vocab", type=int, default=256, help=argparse.SUPPRESS)
    parser.add_argument("--share", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    batch = args.batch or (128 if args.memory else 4)
    if args.share:
        share_cores(batch)
    if args.serve == "matmul":
        serve(matmul())
    elif args.serve:
        config = ModelConfig(vocab_size=args.vocab)
        serve(training_step(args.serve, config, batch, args.length))
    elif args.memory:
        measure_memory(batch, args.length)
    else:
        compare_speed(batch, args.length, args.rounds)


if __name__ == "__main__":
    main()
