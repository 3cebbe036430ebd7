"""Every private name of TensorFlow and JAX that this project uses, where no public one would do.

A new version may move any of them: `tests/runtime/test_private_apis.py` tests each by name. The
libraries are imported where they are used, so that commands without them start at once.
"""

import gc
import math
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

JAX_DISTRIBUTED_LOGGER = "jax._src.distributed"
"""Logger of `jax.distributed`; it has a level of its own, whatever that of the logger "jax"."""


def detect_cluster(timeout_s: float) -> tuple[str, int, int, Sequence[int] | None] | None:
    """Returns what `jax.distributed.initialize` finds where it is given nothing.

    It does not tell before it connects, which it does not do in a readable way.

    Args:
      timeout_s: how long to wait for the name of the coordinator to be known.

    Returns:
      Coordinator's HOST:PORT, number of processes, index of this one, and the devices that are for
      it (None: all); None if JAX finds no cluster.

    Raises:
      OSError, RuntimeError, ImportError, LookupError, ValueError: the cluster does not tell enough.
    """
    from jax._src import clusters

    detect = clusters.ClusterEnv.auto_detect_unset_distributed_params
    address, count, number, devices = detect(None, None, None, None, None, math.ceil(timeout_s))
    if address is None or count is None or number is None:
        return None
    return str(address), int(count), int(number), devices


def worker_port(server: Any) -> int:
    """Returns the port of a tf.data WorkerServer, chosen by the system if 0 was requested."""
    return int(server._address.rsplit(":", 1)[1])


def import_tensorflow() -> Any:
    """Returns TensorFlow; without Keras where it is not imported yet: a quarter of the time.

    TensorFlow imports Keras, and with it matplotlib, for those who load Keras models; an import
    that fails it takes for Keras not being there. `tf.keras` still imports it when it is used.
    """
    # Else the length of a file that another machine has replaced is that of before, for 5 s: what
    # is longer now is cut off without an error.
    os.environ.setdefault("GCS_STAT_CACHE_MAX_AGE", "0")
    hide = not {"tensorflow", "keras"} & sys.modules.keys()
    if hide:
        sys.modules["keras"] = None  # type: ignore[assignment]
        gc.disable()  # Nothing of an import is garbage, and looking for it a tenth of the time.
    try:
        import tensorflow
    finally:
        if hide:
            del sys.modules["keras"]
            gc.enable()
            gc.freeze()
    return tensorflow


_registered: dict[str, Callable] = {}  # TensorFlow's own references are weak.


def register_py_func(token: str, function: Callable) -> None:
    """Registers the function that `tf.raw_ops.PyFuncStateless` calls for a token.

    `tf.numpy_function` generates a token that no other process has. The op with a token is public;
    the registry is not.
    """
    from tensorflow.python.ops import script_ops

    _registered[token] = script_ops._py_funcs._funcs[token] = function
