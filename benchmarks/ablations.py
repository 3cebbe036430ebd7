"""What each part of the model contributes: variants of it, trained alike, in bits per sample.

    python benchmarks/ablations.py --audio_dir=speech --audio_dir=music
    python benchmarks/ablations.py --audio_dir=speech --depth=16 --variants=full,no_attention

Each variant is trained anew on the training files of each folder, on the same batches as the
others and from the same initial values of the parameters that they share, and is evaluated on the
first batches of the files held out. Prints a table in Markdown, a row as soon as it is complete;
`docs/explanation/experiments_network.md` has what came of it. The variants exist here only: the
library has no flag for any of them.

B batch, L samples in a chunk, E embedding, H heads, K head width, P predictors, G group sizes.
"""

import argparse
import functools
import itertools
import os
import pathlib
import sys
import time
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from models.autoregressive import AutoregressiveModel, Network
from models.config import ModelConfig, TransformerConfig
from models.distributions.logistic_mixture import LogisticMixture
from models.distributions.mixture import Mixture
from models.networks import attention, transformer
from models.networks.feature_embedding import FeatureEmbedding
from models.networks.transformer import Transformer, apply_rope, l2_normalize
from models.predictors.fixed import PredictionFeatures, extract_features
from pipeline.config import PipelineConfig
from pipeline.corpus import Corpus, open_corpus
from pipeline.dataset import make_dataset
from pipeline.iterate import iterate
from runtime.devices import keep_tensorflow_off_accelerators, platform, share_cores
from training.config import TrainingConfig
from training.control.control_flags import ControlFlags
from training.device_batches import device_batches
from training.state import init_state
from training.step import make_eval_step, make_train_step
from training.validation import validate

_BYTE = 256


class Block(transformer.Block):
    """The model's block, in parts that a variant can replace one at a time."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:  # type: ignore[override]
        x += self.attend(nn.RMSNorm(name="attention_norm")(x))
        return x + self.feed_forward(nn.RMSNorm(name="mlp_norm")(x))

    def attend(self, x: jax.Array) -> jax.Array:  # [B, L, E] -> [B, L, E]
        config = self.config
        qkv = nn.Dense(3 * config.embedding_dim, use_bias=False, name="qkv")(x)
        heads = (*x.shape[:2], config.num_heads, config.embedding_dim // config.num_heads)
        attended = self.mix(*(part.reshape(heads) for part in jnp.split(qkv, 3, -1)))
        out = nn.Dense(config.embedding_dim, use_bias=False, name="attention_out")
        return out(attended.reshape(x.shape))

    def mix(self, query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
        """Returns what each position's heads attend to; all [B, L, H, K]."""
        query, key = self.normalize(query, key)
        query, key = apply_rope(query), apply_rope(key)
        return attention.causal_attention(query, key, value, platform=self.platform)

    def normalize(self, query: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        scale = self.param("logit_scale", nn.initializers.constant(3.0), (query.shape[2],))
        scale = jnp.clip(scale[:, None], -attention.MAX_SCORE, attention.MAX_SCORE)
        return l2_normalize(query) * scale, l2_normalize(key)

    def feed_forward(self, x: jax.Array) -> jax.Array:  # [B, L, E] -> [B, L, E]
        width = self.config.embedding_dim
        half = (self.config.widening_factor * width + 1) // 2
        gates, values = jnp.split(nn.Dense(2 * half, name="mlp_in")(x), 2, -1)
        return nn.Dense(width, name="mlp_out")(nn.silu(gates) * values)


class GeluBlock(Block):
    """A feed-forward layer without gates: two matrices of the weights of three."""

    def feed_forward(self, x: jax.Array) -> jax.Array:
        width = self.config.embedding_dim
        hidden = nn.Dense(3 * self.config.widening_factor * width // 4, name="mlp_in")(x)
        return nn.Dense(width, name="mlp_out")(nn.gelu(hidden))


class NoAttentionBlock(Block):
    """Each position sees its own features alone."""

    def attend(self, x: jax.Array) -> jax.Array:
        return jnp.zeros_like(x)


class NoRopeBlock(Block):
    """Attention does not know of distances, but by what features it finds there."""

    def mix(self, query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
        query, key = self.normalize(query, key)
        return attention.causal_attention(query, key, value, platform=self.platform)


class PlainSoftmaxBlock(Block):
    """Scaled dot products of any size, which `causal_attention` does not take."""

    def mix(self, query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
        scores = jnp.einsum("bqhk,bjhk->bhqj", apply_rope(query), apply_rope(key))
        visible = jnp.tri(query.shape[1], dtype=bool)
        weights = jax.nn.softmax(jnp.where(visible, scores * query.shape[3] ** -0.5, -jnp.inf))
        return jnp.einsum("bhqj,bjhk->bqhk", weights, value)


class PostNormBlock(Block):
    """The sum is normalised, not what is added to it."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:  # type: ignore[override]
        x = nn.RMSNorm(name="attention_norm")(x + self.attend(x))
        return nn.RMSNorm(name="mlp_norm")(x + self.feed_forward(x))


class BlockTransformer(Transformer):
    """A transformer of other blocks; keeps all activations, which changes no figure."""

    block_type: type[Block] = Block

    def setup(self) -> None:
        self.blocks = self.block_type(self.config, self.platform)
        self.norm = nn.RMSNorm()


class TwoWidths(LogisticMixture):
    """Two logistics a predictor, which begin half and twice as wide as ours."""

    def __call__(self, hidden: jax.Array, features: PredictionFeatures) -> Mixture:
        errors = jnp.concatenate([features.errors / 2, features.errors * 2], -1)
        predictions = jnp.concatenate([features.predictions] * 2, -1)
        return super().__call__(hidden, features._replace(predictions=predictions, errors=errors))


class VariantNetwork(Network):
    """The model with other blocks or another mixture."""

    block: type[Block] = Block
    mixture_type: type[LogisticMixture] = LogisticMixture

    def setup(self) -> None:
        config = self.config
        self.feature_embedding = FeatureEmbedding(
            config.network.embedding_dim, config.depth, config.network.dtype
        )
        self.network = BlockTransformer(config.network, self.platform, self.block)
        self.distribution = self.mixture_type(config.distribution, config.depth)


class ByteSoftmaxNetwork(Network):
    """The model with a softmax over the difference to the sample before, byte by byte.

    The difference is taken modulo 2^depth, so that probabilities sum to 1. Of 16 bits the upper
    byte comes first, and the lower one knows it.
    """

    def setup(self) -> None:
        super().setup()
        self.bytes = [nn.Dense(_BYTE) for _ in range(self.config.depth // 8)]
        self.byte_embedding = nn.Embed(_BYTE, self.config.network.embedding_dim)

    def log_probs(self, samples: jax.Array, group_sizes: Sequence[int]) -> jax.Array:
        if tuple(group_sizes) != (1,):
            raise ValueError(f"only single samples have a probability here, got {group_sizes}")
        features = extract_features(samples, self.config.predictors)
        hidden = self.network(self.feature_embedding(features)).astype(jnp.float32)
        residuals = samples - features.amplitudes[..., 0].astype(jnp.int32)
        total = jnp.zeros(samples.shape)
        for i, dense in reversed([*enumerate(self.bytes)]):
            byte = (residuals >> 8 * i) % _BYTE
            log_probs = jax.nn.log_softmax(dense(hidden))
            total += jnp.take_along_axis(log_probs, byte[..., None], -1)[..., 0]
            hidden += self.byte_embedding(byte)
        return total[..., None]


_with = functools.partial(functools.partial, VariantNetwork)

VARIANTS: dict[str, tuple[str, Callable[[ModelConfig, str], Network]]] = {
    "full": ("full model", Network),
    "gelu": ("GELU, as many weights, for the gates", _with(block=GeluBlock)),
    "no_attention": ("no attention", _with(block=NoAttentionBlock)),
    "no_rope": ("no rotary positions", _with(block=NoRopeBlock)),
    "plain_softmax": ("queries and keys not normalised", _with(block=PlainSoftmaxBlock)),
    "post_norm": ("normalised after each layer, not before", _with(block=PostNormBlock)),
    "two_widths": ("two logistics of different widths a predictor", _with(mixture_type=TwoWidths)),
    "byte_softmax": ("softmax over the bytes of the residual", ByteSoftmaxNetwork),
}
"""By the name on the command line: the name in the table, and the network."""


def evaluate_variant(
    network: Network, corpora: Sequence[Corpus], config: TrainingConfig
) -> list[float]:
    """Trains a network on each corpus alone; returns the bits per sample on what is held out."""
    model = AutoregressiveModel(network)
    train_step, eval_step = make_train_step(model, config), make_eval_step(model)
    devices, flags = jax.local_device_count(), ControlFlags().to_devices()
    params = model.init(jax.random.key(config.seed))
    bits_per_sample = []
    for corpus in corpora:
        state = init_state(params, config)
        batches = iterate(make_dataset(corpus.train, num_devices=devices))
        steps = functools.partial(itertools.islice, batches, config.training_steps)
        for batch in device_batches(model, steps):
            state, _, reduced = train_step(state, batch, flags)
            jax.block_until_ready(reduced)  # Queued steps can deadlock on a CPU's devices.
        max_chunks = config.eval_steps * corpus.valid.config.batch_size or None
        held_out = make_dataset(
            corpus.valid, num_devices=devices, one_pass=True, shuffle=False, max_chunks=max_chunks
        )
        metrics = validate(eval_step, model, state.params, iterate(held_out))
        bits_per_sample.append(metrics["valid/bits_per_sample"])
    return bits_per_sample


def print_row(name: str, cells: Sequence[str]) -> None:
    """Prints a row of a table in Markdown."""
    print(f"| {' | '.join([name, *cells])} |", flush=True)


def main() -> None:
    """Parses arguments, trains and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--audio_dir", action="append", required=True, help="may be repeated")
    parser.add_argument("--depth", type=int, default=8, help="bits of a sample, 8 or 16")
    parser.add_argument("--steps", type=int, default=150, help="to train, on 8 chunks of 512")
    parser.add_argument("--layers", type=int, default=3, help="transformer blocks")
    parser.add_argument("--learning_rate", type=float, default=2e-3, help="of Adam, constant")
    parser.add_argument("--eval_steps", type=int, default=50, help="batches held out; 0: all")
    parser.add_argument("--seed", type=int, default=42, help="random seed of the parameters")
    parser.add_argument("--variants", default=",".join(VARIANTS), help="default: %(default)s")
    args = parser.parse_args()
    names = args.variants.split(",")
    if unknown := [name for name in names if name not in VARIANTS]:
        parser.error(f"--variants: expected some of {', '.join(VARIANTS)}, got {unknown}")
    training = TrainingConfig(
        training_steps=args.steps,
        learning_rate=args.learning_rate,
        lr_schedule="constant",
        warmup_steps=0,
        eval_steps=args.eval_steps,
        seed=args.seed,
    )
    pipeline = PipelineConfig(chunk_size=512, batch_size=8, depth=args.depth)
    config = ModelConfig(depth=args.depth, network=TransformerConfig(num_layers=args.layers))
    share_cores(pipeline.batch_size)
    keep_tensorflow_off_accelerators()
    corpora = [open_corpus([path], pipeline, valid_fraction=0.2) for path in args.audio_dir]

    folders = [pathlib.Path(path).name for path in args.audio_dir]
    print_row(f"{args.depth} bits", [*folders, "mean", "minutes"])
    print_row("---", ["---:"] * (len(folders) + 2))
    for name in names:
        label, make_network = VARIANTS[name]
        start = time.perf_counter()
        values = evaluate_variant(make_network(config, platform()), corpora, training)
        minutes = (time.perf_counter() - start) / 60
        figures = [f"{value:.3f}" for value in [*values, sum(values) / len(values)]]
        print_row(label, [*figures, f"{minutes:.1f}"])


if __name__ == "__main__":
    main()
