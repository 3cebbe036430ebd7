"""The config of a model: everything that decides what it computes. The model file stores it.

Constants without a flag are here, too: a model trained with other values is a different model.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from models.predictors.config import AdaptivePredictorsConfig
from models.predictors.sets import BEST, SETS
from runtime.errors import ConfigError, require_at_least

DEPTHS = (8, 16, 24)
DTYPES = ("float32", "bfloat16")
PREDICTOR_SETS = tuple(SETS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FixedPredictorsConfig:
    """The fixed predictors of Shorten and FLAC: polynomials through the last samples.

    Attributes:
      num_predictors: P, of degree -1 (always zero) to P - 2; at least 2.
      window: W, samples over which their errors are averaged, and samples that the network reads; a
        power of two.
    """

    kind: str = dataclasses.field(default="fixed", init=False)
    num_predictors: int = 4
    window: int = 16

    def __post_init__(self) -> None:
        require_at_least(self, 1, "window")
        require_at_least(self, 2, "num_predictors")
        if self.window & (self.window - 1):
            raise ConfigError(f"window must be a power of two, got {self.window}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """A decoder-only transformer.

    Attributes:
      embedding_dim: width of the residual stream.
      num_layers: transformer blocks.
      num_heads: attention heads per block; each is `embedding_dim / num_heads` wide.
      widening_factor: width of the feed-forward layer, half of it gates, over `embedding_dim`.
      dtype: of activations, one of DTYPES; parameters and log-probabilities are always float32.
    """

    kind: str = dataclasses.field(default="transformer", init=False)
    embedding_dim: int = 64
    num_layers: int = 4
    num_heads: int = 8
    widening_factor: int = 4
    dtype: str = "float32"

    def __post_init__(self) -> None:
        require_at_least(self, 1, "embedding_dim", "num_layers", "num_heads", "widening_factor")
        if self.embedding_dim % self.num_heads:
            raise ConfigError(
                f"embedding_dim must be a multiple of num_heads={self.num_heads}, got "
                f"{self.embedding_dim}"
            )
        if self.dtype not in DTYPES:
            raise ConfigError(f"dtype must be one of {DTYPES}, got {self.dtype!r}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MlpConfig:
    """A perceptron: of each sample's features alone.

    Attributes:
      width: of each hidden layer.
      num_layers: hidden layers.
    """

    kind: str = dataclasses.field(default="mlp", init=False)
    width: int = 128
    num_layers: int = 2

    def __post_init__(self) -> None:
        require_at_least(self, 1, "width", "num_layers")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResidualMixtureConfig:
    """A mixture of discretized logistics around the base of the adaptive predictors.

    Attributes:
      num_components: M.
      min_log_scale: lower bound of the logarithm of a component's scale in quantization steps.
      max_log_scale: its upper bound.
    """

    kind: str = dataclasses.field(default="residual_mixture", init=False)
    num_components: int = 6
    min_log_scale: float = -5.0
    max_log_scale: float = 17.0

    def __post_init__(self) -> None:
        require_at_least(self, 1, "num_components")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptationConfig:
    """How the last layer learns while it codes; 0: it does not.

    Attributes:
      bias_rate: of the biases' steps.
      rate: of the weights' steps, normalised by the power of the layer's inputs.
    """

    bias_rate: float = 0.0
    rate: float = 0.01

    def __post_init__(self) -> None:
        require_at_least(self, 0, "bias_rate", "rate")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogisticMixtureConfig:
    """A mixture of discretized logistics, one per predictor, and a uniform component.

    Attributes:
      spread: initial logarithm of a component's scale over its predictor's mean absolute error.
        (A logistic distribution has -0.33; a smaller value was better in experiments, since the
        best predictor varies and other components cover what it misses.)
      min_error: lower bound of the mean absolute error, in quantization steps.
      min_log_scale: lower bound of the logarithm of a component's scale in quantization steps.
      max_log_scale: its upper bound.
      uniform_logit: initial logit of the uniform component, which bounds the cost of any sample.
    """

    kind: str = dataclasses.field(default="logistic_mixture", init=False)
    spread: float = -0.6
    min_error: float = 0.1
    min_log_scale: float = -3.0
    max_log_scale: float = 12.0
    uniform_logit: float = -6.0

    def __post_init__(self) -> None:
        if not self.min_error > 0:
            raise ConfigError(f"min_error must be above 0, got {self.min_error}")
        if not self.min_log_scale < self.max_log_scale:
            raise ConfigError(
                f"min_log_scale must be below max_log_scale={self.max_log_scale}, got "
                f"{self.min_log_scale}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A transformer: fixed predictors -> features -> network -> distribution.

    Attributes:
      depth: bits per sample, 8 or 16: of 24 bits the predictions, and the distances from them, are
        more than float32 can tell apart.
      predictors: predictions of a sample without learned parameters, the input of the network.
      network: from features to hidden states.
      distribution: from hidden states to probabilities.

    Raises:
      ConfigError: (all of these classes) a field is out of bounds, or two do not fit together.
    """

    depth: int = 8
    predictors: FixedPredictorsConfig = FixedPredictorsConfig()
    network: TransformerConfig = TransformerConfig()
    distribution: LogisticMixtureConfig = LogisticMixtureConfig()

    def __post_init__(self) -> None:
        _require_depth(self)
        if self.depth > 16:
            raise ConfigError(
                f"fixed predictors are computed in float32, which does not suffice for a depth of "
                f"{self.depth} bits: expected --predictors=adaptive"
            )

    @property
    def samples_are_independent(self) -> bool:
        """Whether the cost of a sample depends on its own inputs alone, in any order of samples."""
        return False


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptiveModelConfig:
    """Adaptive predictors -> features -> network -> distribution.

    Attributes:
      depth: bits per sample, one of DEPTHS.
      predictors: what adapts to each stretch of a channel.
      network: from features to hidden states.
      distribution: from hidden states to probabilities of what the predictors have left.
      adaptation: of the distribution's layer, in evaluation and codec; training knows none.
    """

    depth: int = 16
    predictors: AdaptivePredictorsConfig = BEST
    network: MlpConfig | TransformerConfig = MlpConfig()
    distribution: ResidualMixtureConfig = ResidualMixtureConfig()
    adaptation: AdaptationConfig = AdaptationConfig()

    def __post_init__(self) -> None:
        _require_depth(self)

    @property
    def samples_are_independent(self) -> bool:
        """See `ModelConfig`."""
        return isinstance(self.network, MlpConfig)


def config_from_json(values: Mapping[str, Any]) -> ModelConfig | AdaptiveModelConfig:
    """Returns the config that `dataclasses.asdict` was applied to. Raises ConfigError."""
    try:
        model, parts = _of_kind("predictors", values, _MODELS)
        made = {
            name: _of_kind(name, values, kinds)(
                **{key: value for key, value in values[name].items() if key != "kind"}
            )
            for name, kinds in parts.items()
        }
        if "adaptation" in values:
            made["adaptation"] = AdaptationConfig(**values["adaptation"])
        return model(depth=values["depth"], **made)
    except (KeyError, TypeError) as error:
        raise ConfigError(f"not a model's config ({error}): {dict(values)}") from error


_MODELS: dict[str, Any] = {
    "fixed": (
        ModelConfig,
        {
            "predictors": {"fixed": FixedPredictorsConfig},
            "network": {"transformer": TransformerConfig},
            "distribution": {"logistic_mixture": LogisticMixtureConfig},
        },
    ),
    "adaptive": (
        AdaptiveModelConfig,
        {
            "predictors": {"adaptive": AdaptivePredictorsConfig.from_json},
            "network": {"mlp": MlpConfig, "transformer": TransformerConfig},
            "distribution": {"residual_mixture": ResidualMixtureConfig},
        },
    ),
}
"""By the kind of predictors: the config, and the classes of its parts by their `kind`. A new
network is added here and in `networks`."""

PREDICTORS = tuple(_MODELS)
NETWORKS = ("mlp", "transformer")


def default_network(predictors: str) -> str:
    """Returns the one of `NETWORKS` that reads the predictors where none is named."""
    return "mlp" if predictors == "adaptive" else "transformer"


def _of_kind(name: str, values: Mapping[str, Any], kinds: Mapping[str, Any]) -> Any:
    kind = values[name]["kind"]
    if kind not in kinds:
        raise ConfigError(f"{name} of kind {kind!r}: expected one of {', '.join(kinds)}")
    return kinds[kind]


def _require_depth(config: Any) -> None:
    if config.depth not in DEPTHS:
        raise ConfigError(f"depth must be one of {DEPTHS}, got {config.depth}")
