"""What other networks and schedules make of the features of adaptive predictors.

    python benchmarks/networks.py --features=features.npz --audio_dir=speech --audio_dir=music
    python benchmarks/networks.py --features=features.npz --variants=mlp,gru

The features of a fixed set of chunks, of training files and of files held out, are made once and
kept in --features; then every variant is trained on the same number of them and evaluated, in
floats, on the same that were held out. A perceptron draws single samples at random; what looks back
in time draws as many in rows of consecutive ones, and begins anew at each row. Prints a table in
Markdown, a row as soon as it is complete; `docs/explanation/experiments_network.md` has what came
of it. The variants exist here only: the library has no flag for most of them.

B rows, L samples in a row, F features, H width.
"""

import argparse
import functools
import itertools
import os
import pathlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.feature_rows import DRAWN, ROW, Rows, as_float, draws, make_features, read_features
from models.adaptive import sample_log_prob
from models.config import MlpConfig, ResidualMixtureConfig, TransformerConfig
from models.distributions.residual_mixture import ResidualMixture
from models.networks.mlp import Mlp
from models.networks.transformer import Transformer
from runtime.devices import keep_tensorflow_off_accelerators
from training.config import TrainingConfig
from training.optimizer import make_optimizer

_dense = functools.partial(nn.Dense, kernel_init=nn.initializers.he_normal())


class OverTime(nn.Module):
    """A perceptron whose second layer also reads what `memory` makes of all first ones so far."""

    memory: Callable[[], nn.Module]
    width: int = 128

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:  # [B, L, F] -> [B, L, H]
        first = nn.relu(_dense(self.width)(features))
        past = self.memory()(first)
        return nn.relu(_dense(self.width)(jnp.concatenate([first, past], -1)))


class Gru(nn.Module):
    """A gated recurrent unit (Cho et al. 2014)."""

    width: int = 64

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        states: Any = nn.RNN(nn.GRUCell(self.width))(x)
        return states


class DiagonalStates(nn.Module):
    """States that decay each at a learned rate: a linear recurrence (as in S4D, LRU)."""

    width: int = 64

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        spans = np.geomspace(2, 1000, self.width)  # In samples, at the beginning.
        logits = self.param("decay", lambda _: jnp.log(jnp.asarray(spans - 1, jnp.float32)))
        decay = jnp.broadcast_to(nn.sigmoid(logits), (*x.shape[:2], self.width))
        inputs = (1 - decay) * _dense(self.width)(x)

        def join(left: Any, right: Any) -> Any:
            return left[0] * right[0], left[1] * right[0] + right[1]

        return jax.lax.associative_scan(join, (decay, inputs), axis=1)[1]


class Convolution(nn.Module):
    """A causal convolution over the last samples."""

    width: int = 64
    taps: int = 8

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.relu(nn.Conv(self.width, (self.taps,), padding="CAUSAL")(x))


class Attention(nn.Module):
    """The transformer of `--network=transformer` on the features."""

    config: TransformerConfig

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        embedded = nn.Dense(self.config.embedding_dim)(features)
        return Transformer(self.config, "cpu")(embedded)


class Variant(NamedTuple):
    """What is trained.

    Attributes:
      label: its name in the table.
      network: from features to hidden states.
      optimizer: settings other than the default ones.
      is_in_rows: whether it is trained on rows of consecutive samples.
    """

    label: str
    network: Callable[[], nn.Module]
    optimizer: Mapping[str, Any] = {}
    is_in_rows: bool = False


def _mlp(width: int = 128, layers: int = 2) -> Callable[[], nn.Module]:
    return lambda: Mlp(MlpConfig(width=width, num_layers=layers))


def _attention(layers: int) -> Callable[[], nn.Module]:
    return lambda: Attention(TransformerConfig(num_layers=layers, num_heads=4))


VARIANTS = {
    "mlp": Variant("2 hidden layers of 128: **the model**", _mlp()),
    "seed": Variant("the same, another seed", _mlp(), {"seed": 7}),
    **{f"layers_{n}": Variant(f"{n} hidden layers", _mlp(layers=n)) for n in (1, 3, 4)},
    **{f"width_{n}": Variant(f"2 hidden layers of {n}", _mlp(n)) for n in (64, 256)},
    "rows": Variant("the model, trained on rows", _mlp(), {}, True),
    "gru": Variant("and GRU of 64", lambda: OverTime(Gru), {}, True),
    "states": Variant("and 64 diagonal states", lambda: OverTime(DiagonalStates), {}, True),
    "conv": Variant("and convolution, 8 taps, 64", lambda: OverTime(Convolution), {}, True),
    "attention_1": Variant("transformer, 1 layer of 64", _attention(1), {}, True),
    "attention_2": Variant("transformer, 2 layers of 64", _attention(2), {}, True),
    **{
        f"rate_{rate:g}": Variant(f"learning rate {rate:g}", _mlp(), {"learning_rate": rate})
        for rate in (5e-4, 1e-3, 4e-3, 8e-3)
    },
    **{
        name: Variant(f"schedule: {name}", _mlp(), {"lr_schedule": name})
        for name in ("linear", "constant")
    },
}
"""By the name on the command line."""


class Model(nn.Module):
    """A variant's network and the mixture of the adaptive model."""

    network: nn.Module

    @nn.compact
    def __call__(self, inputs: Mapping[str, jax.Array]) -> jax.Array:  # float32 [B, L]
        hidden = self.network(inputs["features"])
        return sample_log_prob(ResidualMixture(ResidualMixtureConfig()), hidden, inputs)


def train(
    variant: Variant, config: TrainingConfig, train: Rows, valid: Rows
) -> tuple[float, int, float]:
    """Returns the bits per sample held out, the number of weights, and microseconds a sample."""
    model = Model(variant.network())
    optimizer = make_optimizer(config)
    length = ROW if variant.is_in_rows else 1

    def cost(params: Any, inputs: Mapping[str, jax.Array]) -> Any:
        result: Any = model.apply(params, inputs)
        return -result

    @jax.jit
    def step(params: Any, state: Any, inputs: Mapping[str, jax.Array]) -> Any:
        gradient = jax.grad(lambda params: cost(params, inputs).mean())(params)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    example = as_float({name: x[:, :length] for name, x in train.items()}, slice(1))
    params = jax.jit(model.init)(jax.random.key(config.seed), example)
    state, seconds = optimizer.init(params), []
    inputs = draws(train, config.seed, variant.is_in_rows)
    for batch in itertools.islice(inputs, config.training_steps):
        begin = time.process_time()
        params, state = jax.block_until_ready(step(params, state, batch))
        seconds.append(time.process_time() - begin)
    total = jax.jit(lambda inputs: cost(params, inputs).sum())
    parts = [
        float(total(as_float(valid, slice(at, at + 16))))
        for at in range(0, len(valid["scale"]), 16)
    ]
    weights = sum(x.size for x in jax.tree.leaves(params))
    bits = sum(parts) / valid["scale"].size / np.log(2)
    return bits, weights, float(np.median(seconds)) / DRAWN * 1e6


def main() -> None:
    """Makes features if there are none, then trains and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--features", required=True, help="file of features, made if missing")
    parser.add_argument("--audio_dir", action="append", help="to make it from; may be repeated")
    parser.add_argument("--batches", type=int, default=24, help="of 131,072 samples to train on")
    parser.add_argument("--valid_batches", type=int, default=6, help="likewise, held out")
    parser.add_argument("--steps", type=int, default=1000, help="of 4,096 samples")
    parser.add_argument("--variants", default=",".join(VARIANTS), help="default: %(default)s")
    args = parser.parse_args()
    names = args.variants.split(",")
    if unknown := [name for name in names if name not in VARIANTS]:
        parser.error(f"--variants: expected some of {', '.join(VARIANTS)}, got {unknown}")
    keep_tensorflow_off_accelerators()
    if not os.path.exists(args.features):
        if not args.audio_dir:
            parser.error(f"{args.features} is missing: expected --audio_dir to make it from")
        make_features(args.audio_dir, args.features, (args.batches, args.valid_batches))
    splits = read_features(args.features)
    sizes = " and ".join(f"{rows['scale'].size:,}" for rows in splits)
    print(f"samples to train on and held out: {sizes}\n", flush=True)

    print("| | bits per sample | weights | us a sample, training |\n| --- | ---: | ---: | ---: |")
    for name in names:
        config = TrainingConfig(
            **{
                "training_steps": args.steps,
                "learning_rate": 2e-3,
                "warmup_steps": 100,
                **VARIANTS[name].optimizer,
            }
        )
        bits, weights, cost = train(VARIANTS[name], config, *splits)
        label = VARIANTS[name].label
        print(f"| {label} | {bits:.4f} | {weights:,} | {cost:.1f} |", flush=True)


if __name__ == "__main__":
    main()
