import dataclasses
import json
from typing import Any

import pytest

from models.config import (
    AdaptiveModelConfig,
    FixedPredictorsConfig,
    LogisticMixtureConfig,
    ModelConfig,
    TransformerConfig,
    config_from_json,
)
from runtime.errors import ConfigError


@pytest.mark.parametrize(
    ("make", "field", "value", "message"),
    [
        (ModelConfig, "depth", 12, "depth must be one of .8, 16, 24., got 12"),
        (ModelConfig, "depth", 24, "float32.* 24 bits: expected --predictors=adaptive"),
        (AdaptiveModelConfig, "depth", 12, "depth must be one of .8, 16, 24., got 12"),
        (TransformerConfig, "embedding_dim", 0, "embedding_dim must be at least 1, got 0"),
        (TransformerConfig, "embedding_dim", 60, "multiple of num_heads=8, got 60"),
        (TransformerConfig, "num_layers", 0, "num_layers must be at least 1, got 0"),
        (TransformerConfig, "num_heads", -1, "num_heads must be at least 1, got -1"),
        (TransformerConfig, "widening_factor", 0, "widening_factor must be at least 1, got 0"),
        (TransformerConfig, "dtype", "float8", "dtype must be one of .*, got 'float8'"),
        (FixedPredictorsConfig, "window", 12, "window must be a power of two, got 12"),
        (FixedPredictorsConfig, "num_predictors", 1, "num_predictors must be at least 2"),
        (LogisticMixtureConfig, "min_error", 0.0, "min_error must be above 0, got 0.0"),
        (LogisticMixtureConfig, "min_log_scale", 12.0, "min_log_scale must be below"),
    ],
)
def test_rejects_bad_values(make: Any, field: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(**{field: value})


def test_a_config_comes_back_from_json() -> None:
    config = ModelConfig(
        depth=16,
        predictors=FixedPredictorsConfig(window=32),
        network=TransformerConfig(embedding_dim=8, num_heads=2, dtype="bfloat16"),
        distribution=LogisticMixtureConfig(spread=-0.3),
    )
    assert config_from_json(json.loads(json.dumps(dataclasses.asdict(config)))) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": {"kind": "mamba"}}, "network of kind 'mamba': expected one of transformer"),
        ({"network": {"kind": "transformer", "width": 3}}, "width"),
        ({"depth": None}, "depth"),
        ({"distribution": {}}, "kind"),
    ],
)
def test_what_is_no_config_is_refused(change: dict, message: str) -> None:
    values = {**dataclasses.asdict(ModelConfig()), **change}
    with pytest.raises(ConfigError, match=message):
        config_from_json(values)
