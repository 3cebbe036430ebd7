"""Every private name of TensorFlow and JAX that is used here, each where nothing public will do.

A new version may move any of them: `tests/runtime/test_private_apis.py` tries them one by one. The
libraries are imported where they are used, for a command that needs none of this to start at once.
"""

from collections.abc import Callable
from typing import Any

JAX_DISTRIBUTED_LOGGER = "jax._src.distributed"
"""Name of the logger of `jax.distributed`, to set its level; for all of JAX's it is "jax"."""


def coordinator_host() -> str:
    """Returns the coordinator's host name or address, once `jax.distributed` is initialized.

    Where JAX has found it in the environment ("auto"), it is nowhere else.
    """
    from jax._src import distributed

    return str(distributed.global_state.coordinator_address).rpartition(":")[0].strip("[]")


def worker_port(server: Any) -> int:
    """Returns the port of a tf.data WorkerServer, which may have chosen it."""
    return int(server._address.rsplit(":", 1)[1])


_registered: dict[str, Callable] = {}  # TensorFlow's own references are weak.


def register_py_func(token: str, function: Callable) -> None:
    """Makes a function what `tf.raw_ops.PyFuncStateless` calls by the name of `token`.

    `tf.numpy_function` makes up a token, which no other process knows. The op that takes one is
    public; the registry is not.
    """
    from tensorflow.python.ops import script_ops

    _registered[token] = script_ops._py_funcs._funcs[token] = function
