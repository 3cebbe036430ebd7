"""Reads the coder of a model that computes in floats."""

import jax

from codec.neural.coder import NeuralCoder
from codec.neural.rows import Layout
from models.interface import StepModel
from models.model_file import ModelFile
from runtime.errors import ConfigError
from runtime.logging import quieten_libraries


def load_coder(file: ModelFile) -> NeuralCoder:
    """Returns the coder of a model file, for the devices of this machine.

    Raises:
      ConfigError: no model of its kind codes samples.
      DataError: its parameters do not fit it.
    """
    quieten_libraries()
    model = file.build(platform=jax.default_backend())
    if not isinstance(model, StepModel):
        raise ConfigError(f"{file.path}: {type(model).__name__} cannot compress files")
    file.check_params(model)
    pipeline = file.data["pipeline"]
    block = 0 if pipeline["downmix"] else pipeline["stereo_blocking_n"]
    return NeuralCoder(model, file.params, Layout(chunk_size=pipeline["chunk_size"], block=block))
