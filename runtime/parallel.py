"""Data parallelism: the one module that knows of `jax.pmap`.

D local devices. State is the same on every device, [D, ...] with equal entries; batches are split
over them. On several hosts each calls a function with its own rows, and reductions are over all
devices of all hosts.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import flax
import jax
import numpy as np

Tree = TypeVar("Tree")

_AXIS = "devices"


def pmap(function: Callable, *, donate_argnums: int | tuple[int, ...] = ()) -> Callable:
    """Returns a function that runs on every device at once; all arguments are [D, ...]."""
    return jax.pmap(function, axis_name=_AXIS, donate_argnums=donate_argnums)


def all_reduce_sum(tree: Tree) -> Tree:
    """Within `pmap`: the sum over all devices of all hosts."""
    return jax.lax.psum(tree, _AXIS)


def all_reduce_max(tree: Tree) -> Tree:
    """Within `pmap`: the maximum over all devices of all hosts."""
    return jax.lax.pmax(tree, _AXIS)


def replicate(tree: Tree) -> Tree:
    """Returns a tree on every local device: each leaf [D, ...]."""
    # By pmap itself: with the sharding of flax's replicate the second step would compile once more.
    devices = np.zeros(jax.local_device_count())
    return jax.pmap(lambda tree, _: tree, axis_name=_AXIS, in_axes=(None, 0))(tree, devices)


def unreplicate(tree: Any) -> Any:
    """Returns the first device's copy of each leaf, as NumPy arrays without the device axis."""
    return jax.tree.map(_first_shard, tree)


def tile(array: np.ndarray) -> np.ndarray:  # [...] -> [D, ...]
    """Returns a host array once for every local device.

    It stays on the host: no host may start a computation that the others do not.
    """
    return np.tile(array, (jax.local_device_count(), *(1 for _ in np.shape(array))))


def prefetch_to_devices(batches: Iterable[Tree], size: int = 2) -> Iterator[Tree]:
    """Puts each batch, [D, ...], on the devices while the steps before it run."""
    return flax.jax_utils.prefetch_to_device(iter(batches), size)


def _first_shard(array: jax.Array) -> np.ndarray:
    # Indexing a sharded array starts a computation, and takes ten times as long.
    return np.asarray(array.addressable_shards[0].data)[0]
