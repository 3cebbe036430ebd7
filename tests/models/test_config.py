import dataclasses
from typing import Any

import pytest

from models.config import ModelConfig


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("vocab_size", 512, "vocab_size is 512"),
        ("embedding_dim", 0, "embedding_dim is 0"),
        ("embedding_dim", 60, "multiple of num_heads, which is 8"),
        ("num_layers", 0, "num_layers is 0"),
        ("num_heads", -1, "num_heads is -1"),
        ("widening_factor", 0, "widening_factor is 0"),
        ("dtype", "float8", "dtype is 'float8'"),
    ],
)
def test_rejects_bad_values(field: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(ModelConfig(), **{field: value})


def test_head_dim() -> None:
    assert ModelConfig(embedding_dim=60, num_heads=4).head_dim == 15
