"""The perceptron of `models.networks.mlp` in an order of additions that is written.

F features, H width, O outputs, padded to a multiple of LANES.

An output adds its inputs' products one after the other, in float32; several outputs do so side by
side in a vector register. A trained network needs no retraining for that, nor rounding to integers:
it computes what it did in training, up to the last bit.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from models.predictors.compile import copy, inlined
from models.predictors.lanes import add_rows, padded


class ExactMlp(NamedTuple):
    """A network and its activations.

    Attributes:
      first, first_bias: float32 [F, H] and [H].
      others, other_biases: float32 [N - 1, H, H] and [N - 1, H], of the other hidden layers.
      last, last_bias: float32 [H, O] and [O]; they may be changed.
      inputs: int64 [F], from 0 on.
      sums: float32 [H], of a layer.
      active: float32 [H + 1], those that are positive, and
      rows: int64 [H + 1], which they are.
      outputs: float32 [O].
    """

    first: np.ndarray
    first_bias: np.ndarray
    others: np.ndarray
    other_biases: np.ndarray
    last: np.ndarray
    last_bias: np.ndarray
    inputs: np.ndarray
    sums: np.ndarray
    active: np.ndarray
    rows: np.ndarray
    outputs: np.ndarray


def make_mlp(params: Mapping[str, Any]) -> ExactMlp:
    """Returns the network of an adaptive model with its last layer, that of the distribution.

    Args:
      params: parameters of an `AdaptiveModel` whose network is a perceptron.
    """
    layers = [params["network"][f"layer_{i}"] for i in range(len(params["network"]))]
    (output,) = params["distribution"].values()
    first, *others = [_padded(layer["kernel"], layer["bias"]) for layer in layers]
    width = first[1].size
    last, last_bias = _padded(output["kernel"], output["bias"], width)
    return ExactMlp(
        *first,
        np.stack([_padded(layer["kernel"], layer["bias"], width)[0] for layer in layers[1:]])
        if others
        else np.zeros((0, width, width), np.float32),
        np.stack([bias for _, bias in others]) if others else np.zeros((0, width), np.float32),
        last,
        last_bias,
        np.arange(first[0].shape[0]),
        np.zeros(width, np.float32),
        np.zeros(width + 1, np.float32),
        np.zeros(width + 1, np.int64),
        np.zeros(last_bias.size, np.float32),
    )


def fresh_copy(network: ExactMlp) -> ExactMlp:
    """Returns a network with a last layer and activations of its own."""
    own = ("last", "last_bias", "sums", "active", "rows", "outputs")
    return network._replace(**{name: getattr(network, name).copy() for name in own})


def _padded(kernel: Any, bias: Any, rows: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    inputs, outputs = np.shape(kernel)
    wide = np.zeros((rows or inputs, padded(outputs)), np.float32)
    wide[:inputs, :outputs] = kernel
    long = np.zeros(padded(outputs), np.float32)
    long[:outputs] = bias
    return wide, long


@inlined
def _rectify(sums: np.ndarray, active: np.ndarray, rows: np.ndarray) -> int:
    """Writes the sums that are positive, and their rows, to the front; returns how many.

    What is zero need not be multiplied: half of the work.
    """
    count = 0
    for i in range(sums.size):
        active[count] = sums[i]
        rows[count] = i
        if sums[i] > 0.0:
            count += 1
    return count


@inlined
def apply_mlp(network: ExactMlp, features: np.ndarray) -> int:  # float32 [F]
    """Computes `network.outputs`; returns how many of `network.active` the last layer has read."""
    sums, active, rows = network.sums, network.active, network.rows
    copy(sums, network.first_bias)
    add_rows(sums, features, network.inputs, features.size, network.first)
    count = _rectify(sums, active, rows)
    for layer in range(network.others.shape[0]):
        copy(sums, network.other_biases[layer])
        add_rows(sums, active, rows, count, network.others[layer])
        count = _rectify(sums, active, rows)
    outputs = network.outputs
    copy(outputs, network.last_bias)
    add_rows(outputs, active, rows, count, network.last)
    return count
