"""The settings of the adaptive predictors, and the named sets of them; the model file has them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from runtime.errors import ConfigError, require_at_least


def _require_decay(config: Any, name: str = "decay") -> None:
    value = getattr(config, name)
    if not 0 < value < 1:
        raise ConfigError(f"{name} must be between 0 and 1, got {value}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LeastSquaresConfig:
    """Recursive least squares, weighted by the error.

    Attributes:
      taps: samples of the same channel before the predicted one.
      past, ahead: samples of the other channel: before, and from the one at the same time on.
      decay: what remains of a sample's weight after a sample.
      interval: samples between two solutions of the normal equations.
    """

    kind: str = dataclasses.field(default="least_squares", init=False)
    taps: int = 32
    past: int = 16
    ahead: int = 8
    decay: float = 0.998
    interval: int = 8

    def __post_init__(self) -> None:
        require_at_least(self, 1, "taps", "interval")
        require_at_least(self, 0, "past", "ahead")
        if self.ahead > 9:
            raise ConfigError(f"ahead must be at most 9, got {self.ahead}")
        _require_decay(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class HighOrderConfig:
    """Least squares over many taps, by conjugate gradients.

    Attributes:
      taps: samples before the predicted one; a multiple of 8.
      decay: what remains of a sample's weight after a sample.
      interval: samples between two improvements of the solution.
      steps: of conjugate gradients at each.
    """

    kind: str = dataclasses.field(default="high_order", init=False)
    taps: int = 256
    decay: float = 0.999
    interval: int = 128
    steps: int = 16

    def __post_init__(self) -> None:
        require_at_least(self, 1, "taps", "interval", "steps")
        _require_multiple(self)
        _require_decay(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NlmsConfig:
    """A normalized least mean squares filter.

    Attributes:
      taps: values before the predicted one; a multiple of 8.
      rate: of learning.
    """

    taps: int
    rate: float

    def __post_init__(self) -> None:
        require_at_least(self, 1, "taps")
        _require_multiple(self)
        if not 0 < self.rate < 2:
            raise ConfigError(f"rate must be between 0 and 2, got {self.rate}")


def _require_multiple(config: Any) -> None:
    if config.taps % 8:
        raise ConfigError(f"taps must be a multiple of 8, got {config.taps}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChainConfig:
    """A predictor, and filters that each predict what those before have left: an expert a sum."""

    head: LeastSquaresConfig | HighOrderConfig
    stages: tuple[NlmsConfig, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class CombinationConfig:
    """How the experts become one prediction: least squares over them, then over the results.

    Attributes:
      decays: of each combination of all experts.
      decay: of the combination of these combinations.
      interval: samples between two solutions of the first ones.
    """

    decays: tuple[float, ...] = (0.99, 0.998, 0.9998)
    decay: float = 0.998
    interval: int = 4

    def __post_init__(self) -> None:
        require_at_least(self, 1, "interval")
        if not self.decays:
            raise ConfigError("decays must name at least one combination, got none")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LongTermConfig:
    """Least squares over errors at places that an encoder has found alike.

    Attributes:
      reference: the expert whose errors these are, see `long_term`.
      block: frames that have the same lags.
      lags: places a block has at most.
      before, after: errors of the same channel around each place, beside that at the place itself.
      side: errors of the other channel on either side of each place.
      own: last errors of the same channel.
      other: errors of the other channel on either side of the sample at the same time.
      decay: what remains of a sample's weight after a sample.
      interval: samples between two solutions of the normal equations.
      warmup: samples before a block that are learnt with its lags, where these are new.
      combination_decay: of the combination with the bank's combinations.
    """

    reference: int = 0
    block: int = 2048
    lags: int = 3
    before: int = 5
    after: int = 2
    side: int = 2
    own: int = 6
    other: int = 3
    decay: float = 0.998
    interval: int = 8
    warmup: int = 256
    combination_decay: float = 0.995

    def __post_init__(self) -> None:
        require_at_least(self, 1, "block", "lags", "interval")
        require_at_least(self, 0, "reference", "before", "after", "side", "own", "other", "warmup")
        if self.other > 8:
            raise ConfigError(f"other must be at most 8, got {self.other}")
        _require_decay(self)
        _require_decay(self, "combination_decay")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptivePredictorsConfig:
    """A bank of predictors that adapt to the signal as it comes.

    Attributes:
      chains: of predictors; all their partial sums are experts.
      combination: of the experts.
      long_term: what follows the bank in a segment.
    """

    kind: str = dataclasses.field(default="adaptive", init=False)
    chains: tuple[ChainConfig, ...]
    combination: CombinationConfig = CombinationConfig()
    long_term: LongTermConfig = LongTermConfig()

    def __post_init__(self) -> None:
        if self.long_term.reference >= self.num_experts:
            raise ConfigError(
                f"long_term.reference must be one of {self.num_experts} experts, got "
                f"{self.long_term.reference}"
            )

    @property
    def num_experts(self) -> int:
        """K, the partial sums of all chains."""
        return sum(1 + len(chain.stages) for chain in self.chains)

    @classmethod
    def from_json(cls, **values: Any) -> "AdaptivePredictorsConfig":
        """Returns the config that `dataclasses.asdict` was applied to, of its fields but `kind`."""
        chains = tuple(
            ChainConfig(
                head=_head(chain["head"]),
                stages=tuple(NlmsConfig(**stage) for stage in chain["stages"]),
            )
            for chain in values["chains"]
        )
        combination = dict(values["combination"])
        combination["decays"] = tuple(combination["decays"])
        return cls(
            chains=chains,
            combination=CombinationConfig(**combination),
            long_term=LongTermConfig(**values["long_term"]),
        )


def _head(values: Mapping[str, Any]) -> LeastSquaresConfig | HighOrderConfig:
    kinds = {"least_squares": LeastSquaresConfig, "high_order": HighOrderConfig}
    return kinds[values["kind"]](**{k: v for k, v in values.items() if k != "kind"})
