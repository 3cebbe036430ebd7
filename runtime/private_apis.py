"""Every private name of TensorFlow and JAX that this project uses, where no public one would do.

A new version may move any of them: `tests/runtime/test_private_apis.py` tests each by name. The
libraries are imported where they are used, so that commands without them start at once.
"""

import sys
from collections.abc import Callable
from typing import Any

JAX_DISTRIBUTED_LOGGER = "jax._src.distributed"
"""Logger of `jax.distributed`; it has a level of its own, whatever that of the logger "jax"."""


def coordinator_host() -> str:
    """Returns the coordinator's host name or address, once `jax.distributed` is initialized.

    Where JAX has detected it ("auto"), no public API returns it.
    """
    from jax._src import distributed

    return str(distributed.global_state.coordinator_address).rpartition(":")[0].strip("[]")


def num_hosts() -> int:
    """Returns the number of hosts, once `jax.distributed` is initialized.

    `jax.process_count`, the public API, initializes the backends as well.
    """
    from jax._src import distributed

    return int(distributed.global_state.num_processes)


def worker_port(server: Any) -> int:
    """Returns the port of a tf.data WorkerServer, chosen by the system if 0 was requested."""
    return int(server._address.rsplit(":", 1)[1])


def import_tensorflow() -> Any:
    """Returns TensorFlow, without Keras where it is not imported yet: a quarter of the time.

    TensorFlow imports Keras, and with it matplotlib, for those who load Keras models; an import
    that fails it takes for Keras not being there. `tf.keras` still imports it when it is used.
    """
    hide = not {"tensorflow", "keras"} & sys.modules.keys()
    if hide:
        sys.modules["keras"] = None  # type: ignore[assignment]
    try:
        import tensorflow
    finally:
        if hide:
            del sys.modules["keras"]
    return tensorflow


_registered: dict[str, Callable] = {}  # TensorFlow's own references are weak.


def register_py_func(token: str, function: Callable) -> None:
    """Registers the function that `tf.raw_ops.PyFuncStateless` calls for a token.

    `tf.numpy_function` generates a token that no other process has. The op with a token is public;
    the registry is not.
    """
    from tensorflow.python.ops import script_ops

    _registered[token] = script_ops._py_funcs._funcs[token] = function
