"""The model whose parameters training starts from, in place of random ones."""

import dataclasses
from typing import TYPE_CHECKING, Any

from models.config import AdaptiveModelConfig, ModelConfig

if TYPE_CHECKING:  # Commands import this module at once; NumPy takes its time.
    from models.model_file import ModelFile


@dataclasses.dataclass(frozen=True, kw_only=True)
class InitialModel:
    """A trained model, of which the parameters are taken: no optimizer state, no step.

    Attributes:
      name: of a model that ships, or the path of its file.
      fingerprint: that compressed files know it by, in hexadecimal.
      config: its config.
      file: its file.
      settings: the flags that were taken over from it, as text.
    """

    name: str
    fingerprint: str
    config: ModelConfig | AdaptiveModelConfig
    file: "ModelFile"
    settings: tuple[str, ...] = ()

    @property
    def steps(self) -> int | None:
        """Returns the steps that it was trained for; None: unknown."""
        return self.file.training.get("steps")

    def record(self) -> dict[str, Any]:
        """Returns what the file of the model that is trained says of this one, as JSON values."""
        return {"name": self.name, "fingerprint": self.fingerprint, "steps": self.steps}

    def describe(self) -> list[tuple[str, str]]:
        """Returns rows of label and text."""
        steps = "" if self.steps is None else f", trained for {self.steps:,} steps"
        rows = [("initial model", f"{self.name} ({self.fingerprint}){steps}")]
        if self.settings:
            rows.append(("from its file", " ".join(self.settings)))
        return rows
