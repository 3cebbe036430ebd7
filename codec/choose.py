"""Which of several models a file is compressed with: by their sets of predictors."""

from collections.abc import Sequence

from codec.model import CodecModel
from models.predictors import sets
from runtime.errors import ConfigError


def set_of(model: CodecModel) -> str:
    """Returns the name of a model's set of predictors; "custom" if it has none of them."""
    return sets.set_of(model.config.predictors) or "custom"


def of_set(models: Sequence[CodecModel], name: str | None) -> list[CodecModel]:
    """Returns the models that have a set of predictors, or the first of these sets that any has.

    Args:
      models: to choose from.
      name: of the set; None: the one that needs the fewest bits.

    Raises:
      ConfigError: no model has it.
    """
    names = [set_of(model) for model in models]
    wanted = name or next((one for one in sets.SETS if one in names), "custom")
    found = [model for model, own in zip(models, names, strict=True) if own == wanted]
    if not found:
        known = ", ".join(f"{model.name} ({own})" for model, own in zip(models, names, strict=True))
        raise ConfigError(f"--{wanted}: expected a model with these predictors, got {known}")
    return found
