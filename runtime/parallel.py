"""Data parallelism: the one module that uses `jax.pmap`.

D local devices. State is replicated, [D, ...] with equal entries; batches are split over devices.
On several hosts each calls a function with its own rows, and reductions are over all devices of all
hosts.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import flax
import jax
import numpy as np

Tree = TypeVar("Tree")

_AXIS = "devices"


def pmap(
    function: Callable,
    *,
    donate_argnums: int | tuple[int, ...] = (),
    devices: Sequence[jax.Device] | None = None,
) -> Any:
    """Returns a function that runs on every device; all arguments and results are [D, ...].

    Args:
      function: of one device's entries, without the axis D.
      donate_argnums: arguments whose memory the results may reuse; they are invalid afterwards.
      devices: what to compile for, such as a topology that is not here; None: all there are.
    """
    return jax.pmap(function, axis_name=_AXIS, donate_argnums=donate_argnums, devices=devices)


def all_reduce_sum(tree: Tree) -> Tree:
    """Returns the sum over all devices of all hosts, within `pmap`."""
    return jax.lax.psum(tree, _AXIS)


def all_reduce_max(tree: Tree) -> Tree:
    """Returns the maximum over all devices of all hosts, within `pmap`."""
    return jax.lax.pmax(tree, _AXIS)


def replicate(tree: Tree) -> Tree:
    """Returns a tree on every local device: each leaf [D, ...]."""
    # By pmap itself: flax's replicate gives another sharding, with which the second step compiles
    # once more.
    devices = np.zeros(jax.local_device_count())
    return jax.pmap(lambda tree, _: tree, axis_name=_AXIS, in_axes=(None, 0))(tree, devices)


def unreplicate(tree: Any) -> Any:
    """Returns the first device's copy of each leaf, as NumPy arrays without the device axis."""
    return jax.tree.map(_first_shard, tree)


def tile(array: np.ndarray) -> np.ndarray:  # [...] -> [D, ...]
    """Returns copies of a host array, one for every local device.

    By NumPy, not on the devices: on several hosts a computation must be started by all of them.
    """
    return np.tile(array, (jax.local_device_count(), *(1 for _ in np.shape(array))))


def prefetch_to_devices(batches: Iterable[Tree]) -> Iterator[Tree]:
    """Copies trees of host arrays [D, ...] to the devices, two ahead of the step that uses one."""
    return flax.jax_utils.prefetch_to_device(iter(batches), size=2)


def _first_shard(array: jax.Array) -> np.ndarray:
    # `array[0]` of a sharded array starts a computation, and takes ten times as long.
    return np.asarray(array.addressable_shards[0].data)[0]
