"""The named sets of predictors: how many bits, and how much time."""

import dataclasses
import json
from typing import Any

from models.predictors.config import (
    AdaptivePredictorsConfig,
    ChainConfig,
    CombinationConfig,
    HighOrderConfig,
    LeastSquaresConfig,
    LongTermConfig,
    NlmsConfig,
)


def _stages(*pairs: tuple[int, float]) -> tuple[NlmsConfig, ...]:
    return tuple(NlmsConfig(taps=taps, rate=rate) for taps, rate in pairs)


_SHORT = _stages((256, 0.12), (32, 0.06))

BEST = AdaptivePredictorsConfig(
    chains=(
        ChainConfig(
            head=LeastSquaresConfig(taps=32, past=16, ahead=8, decay=0.998),
            stages=_stages((1280, 0.1), (256, 0.12), (32, 0.06)),
        ),
        ChainConfig(
            head=LeastSquaresConfig(taps=16, past=8, ahead=8, decay=0.99),
            stages=_stages((256, 0.05), (32, 0.03)),
        ),
        ChainConfig(
            head=LeastSquaresConfig(taps=16, past=8, ahead=8, decay=0.998),
            stages=_stages((2048, 0.05), (512, 0.05), (64, 0.03), (16, 0.02)),
        ),
        ChainConfig(head=LeastSquaresConfig(taps=8, past=4, ahead=4, decay=0.98, interval=4)),
        ChainConfig(
            head=HighOrderConfig(taps=32, decay=0.998, interval=16, steps=8), stages=_SHORT
        ),
        ChainConfig(
            head=HighOrderConfig(taps=128, decay=0.999, interval=64, steps=16), stages=_SHORT
        ),
        ChainConfig(
            head=HighOrderConfig(taps=256, decay=0.999, interval=128, steps=16), stages=_SHORT
        ),
        ChainConfig(
            head=HighOrderConfig(taps=1024, decay=0.9996, interval=1024, steps=32), stages=_SHORT
        ),
    ),
    # The reference is the head of the third chain.
    long_term=LongTermConfig(reference=7, lags=6, before=8, after=4, interval=16),
)
"""The fewest bits."""

NORMAL = AdaptivePredictorsConfig(
    chains=(
        ChainConfig(
            head=LeastSquaresConfig(taps=32, past=16, ahead=8, decay=0.998, interval=16),
            stages=_stages((256, 0.08), (32, 0.02)),
        ),
        ChainConfig(head=LeastSquaresConfig(taps=16, past=8, ahead=8, decay=0.99, interval=16)),
        ChainConfig(head=LeastSquaresConfig(taps=8, past=4, ahead=4, decay=0.98)),
        ChainConfig(
            head=HighOrderConfig(taps=128, decay=0.998, interval=128, steps=12),
            stages=_stages((32, 0.02)),
        ),
        ChainConfig(
            head=HighOrderConfig(taps=1024, decay=0.9996, interval=2048, steps=24),
            stages=_stages((32, 0.01)),
        ),
    ),
    combination=CombinationConfig(decays=(0.99, 0.9985)),
    long_term=LongTermConfig(lags=6, interval=16),
)
"""A third of the time, and 1% more bits."""

FAST = AdaptivePredictorsConfig(
    chains=(
        ChainConfig(
            head=HighOrderConfig(taps=32, decay=0.998, interval=64, steps=8),
            stages=_stages((256, 0.05), (16, 0.01)),
        ),
        ChainConfig(
            head=LeastSquaresConfig(taps=12, past=6, ahead=6, decay=0.99, interval=16),
        ),
    ),
    combination=CombinationConfig(decays=(0.998,), interval=8),
    long_term=LongTermConfig(lags=4, interval=32),
)
"""A seventh of the time, with a network that suits it, and 4% more bits."""

SETS = {"best": BEST, "normal": NORMAL, "fast": FAST}
"""By the names that users know."""


def set_of(predictors: Any) -> str | None:
    """Returns the name of the set that a config is; None: no such."""
    return next((name for name, config in SETS.items() if config == predictors), None)


def set_of_chains(chains: Any) -> str | None:
    """Returns the name of the set that has these chains, given as JSON values; None: no such."""
    for name, config in SETS.items():
        if json.loads(json.dumps(dataclasses.asdict(config)))["chains"] == chains:
            return name
    return None
