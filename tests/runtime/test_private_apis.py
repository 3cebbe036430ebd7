"""Each private name of TensorFlow and JAX is still there, and does what it is used for."""

import logging
import subprocess
import sys

import numpy as np
import tensorflow as tf

from runtime import private_apis

_COORDINATOR = """
import socket, jax
from runtime.private_apis import coordinator_host, num_hosts
with socket.create_server(("localhost", 0)) as free:
    port = free.getsockname()[1]
jax.distributed.initialize(f"localhost:{port}", 1, 0)
print(coordinator_host(), num_hosts())
"""


def test_coordinator_host_and_number_of_hosts():
    command = [sys.executable, "-c", _COORDINATOR]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "localhost 1\n", done.stderr


def test_jax_distributed_logger():
    from jax._src import distributed

    assert distributed.logger is logging.getLogger(private_apis.JAX_DISTRIBUTED_LOGGER)


def test_worker_port():
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer()
    address = dispatcher.target.removeprefix("grpc://")
    worker = service.WorkerServer(service.WorkerConfig(dispatcher_address=address))
    port = private_apis.worker_port(worker)
    assert 0 < port < 2**16 and not dispatcher.target.endswith(f":{port}")


def test_register_py_func():
    private_apis.register_py_func("test_private_apis", lambda x: x + np.int64(1))

    @tf.function  # In a graph, as in tf.data: eagerly the op takes another way.
    def call() -> tf.Tensor:
        token, constant = "test_private_apis", tf.constant(41, tf.int64)
        return tf.raw_ops.PyFuncStateless(input=[constant], token=token, Tout=[tf.int64])[0]

    assert call().numpy() == 42


_IMPORT = """
import sys
from runtime.private_apis import import_tensorflow
tf = import_tensorflow()
print("keras" in sys.modules, "matplotlib" in sys.modules)
print(tf.keras.__name__.split(".")[0], import_tensorflow() is tf)
"""


def test_tensorflow_is_imported_without_keras_which_can_still_be_used():
    command = [sys.executable, "-c", _IMPORT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "False False\nkeras True\n", done.stderr
