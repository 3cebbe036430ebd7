"""Each private name of TensorFlow and JAX is still there, and does what it is used for."""

import logging
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from runtime import private_apis

pytestmark = pytest.mark.both_stacks


def test_detect_cluster(monkeypatch):
    for name in ("OMPI_MCA_orte_hnp_uri", "SLURM_JOB_ID", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    assert private_apis.detect_cluster(1) is None
    monkeypatch.setenv("OMPI_MCA_orte_hnp_uri", f"{5 * 2**12}.0;tcp://10.96.0.1,10.148.0.1:34911")
    for name, value in (("SIZE", 4), ("RANK", 3), ("LOCAL_RANK", 1)):
        monkeypatch.setenv(f"OMPI_COMM_WORLD_{name}", str(value))
    assert private_apis.detect_cluster(1) == (f"10.96.0.1:{2**16 - 2**12 + 5}", 4, 3, [1])


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
