"""The hosts of a run, given by flags or found in the environment."""

import glob
import http.server
import os
import subprocess
import sys
import threading
import time

import pytest

from runtime.cluster import AUTO, DistributedConfig, locate
from runtime.errors import ConfigError, TrainingError
from tests.command_line import ROOT


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch):
    for name in os.environ:
        if name.startswith(("OMPI_", "SLURM_", "TPU_", "MEGASCALE_", "GCE_METADATA_")):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_processes": 2}, "the same on all hosts; got None"),
        ({"process_id": 0}, "the same on all hosts; got None"),
        ({"coordinator_address": "auto", "process_id": 0}, "the same on all hosts; got auto"),
        ({"coordinator_address": "a:1"}, "needs --num_processes and --process_id"),
        (
            {"coordinator_address": "a:65536", "num_processes": 2, "process_id": 0},
            "--coordinator_address=a:65536: expected HOST:PORT, or auto",
        ),
        (
            {"coordinator_address": "a:1", "num_processes": 2, "process_id": 2},
            "--process_id=2: expected 0 to 1, with --num_processes=2",
        ),
    ],
)
def test_hosts_that_cannot_be(settings, message):
    with pytest.raises(ConfigError, match=message):
        DistributedConfig(**settings)


@pytest.mark.parametrize("address", ["auto", "10.0.0.1:5050", "[::1]:5050"])
def test_hosts_that_can(address):
    counts = {} if address == "auto" else {"num_processes": 2, "process_id": 1}
    config = DistributedConfig(coordinator_address=address, **counts)
    assert config.enabled and config.or_found() == config
    assert not DistributedConfig().enabled


SEVERAL = [
    {"OMPI_COMM_WORLD_SIZE": "2"},
    {"SLURM_STEP_NUM_TASKS": "16", "SLURM_NTASKS": "16"},
    {"TPU_WORKER_HOSTNAMES": "t1v-n-0,t1v-n-1"},
    {"TPU_PROCESS_ADDRESSES": "10.0.0.1:8476,10.0.0.2:8476", "TPU_WORKER_HOSTNAMES": "localhost"},
    {"TPU_WORKER_HOSTNAMES": "t1v-n-0", "MEGASCALE_NUM_SLICES": "2"},
]
ONE = [
    {},
    {"OMPI_COMM_WORLD_SIZE": "1"},
    {"SLURM_STEP_NUM_TASKS": "1", "SLURM_NTASKS": "16"},  # As in srun --ntasks=1 within sbatch.
    {"SLURM_NTASKS": "16", "SLURM_PROCID": "0"},  # A batch script is one process.
    {"SLURM_STEP_NUM_TASKS": "", "OMPI_COMM_WORLD_SIZE": "x"},
    {"TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0", "MEGASCALE_NUM_SLICES": "1"},
]


@pytest.mark.parametrize("told", SEVERAL + ONE)
def test_a_process_that_is_one_of_several_is_not_alone(monkeypatch, told):
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert DistributedConfig().or_found().coordinator_address == (AUTO if told in SEVERAL else None)
    alone = DistributedConfig(num_processes=1)
    assert alone.or_found() == alone and not alone.enabled


def test_what_jax_does_not_know_is_no_reason_to_train_alone(monkeypatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")  # Open MPI 5 no longer says where it runs.
    with pytest.raises(TrainingError) as error:
        locate(DistributedConfig().or_found(), 1)
    message = str(error.value)
    assert (
        "OMPI_COMM_WORLD_SIZE tells of 4 hosts, and JAX does not find the place of this" in message
    )
    assert "expected --coordinator_address=HOST:PORT, --num_processes and" in message
    assert "--num_processes=1 alone trains on this host by itself" in message


def test_auto_without_a_cluster():
    with pytest.raises(TrainingError, match="=auto: JAX does not find the place of this"):
        locate(DistributedConfig(coordinator_address=AUTO), 1)


@pytest.fixture
def metadata():
    """Attributes of a TPU VM, served as Google's server does; by key."""
    attributes = {}

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            key = self.path.rpartition("/")[2]
            known = key in attributes and self.headers["Metadata-Flavor"] == "Google"
            self.send_response(200 if known else 404)
            self.end_headers()
            self.wfile.write(attributes.get(key, "").encode())

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        attributes["server"] = f"127.0.0.1:{server.server_port}"
        yield attributes
        server.shutdown()
        thread.join()


@pytest.fixture
def tpu_vm(tmp_path, monkeypatch, metadata):
    """What tells that this is a TPU VM: libtpu, a device of Google's, and the metadata server."""
    (tmp_path / "libtpu.py").touch()
    (tmp_path / "vendor").write_text("0x1ae0\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(glob, "glob", lambda pattern: [str(tmp_path / "vendor")])
    monkeypatch.setenv("GCE_METADATA_IP", metadata["server"])
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    return metadata


@pytest.mark.parametrize(
    ("workers", "tpu_env", "address"),
    [
        ("t1v-n-0", "ZONE: 'us-central2-b'", None),
        ("t1v-n-0,t1v-n-1", "", AUTO),
        ("unknown:unknown:10.0.0.1,unknown:unknown:10.0.0.2", "", AUTO),
        ("t1v-n-0", "A: 'b'\nMEGASCALE_NUM_SLICES: '4'\nWORKER_ID: '0'", AUTO),
        ("t1v-n-0", "A: 'b'\nMEGASCALE_NUM_SLICES: '1'\nWORKER_ID: '9'", None),
    ],
)
def test_the_metadata_of_a_tpu_vm(tpu_vm, workers, tpu_env, address):
    """Where no variable tells it, as on Google's machines, but in Kubernetes."""
    tpu_vm |= {"worker-network-endpoints": workers, "tpu-env": tpu_env}
    assert DistributedConfig().or_found().coordinator_address == address


def test_a_machine_without_such_metadata_is_alone_at_once(tpu_vm, monkeypatch):
    assert not DistributedConfig().or_found().enabled
    monkeypatch.setenv("GCE_METADATA_IP", "10.255.255.1")  # Nobody answers.
    begin = time.monotonic()
    assert not DistributedConfig().or_found().enabled
    assert time.monotonic() - begin < 3
    tpu_vm["worker-network-endpoints"] = "a,b"
    monkeypatch.setenv("TPU_SKIP_MDS_QUERY", "1")
    assert not DistributedConfig().or_found().enabled


_LOCATE = """
import os
import jax
from runtime.cluster import DistributedConfig, locate
from runtime.proxies import bypass_proxies

os.environ.pop("TPU_SKIP_MDS_QUERY", None)  # JAX sets it, as there is no TPU here.
bypass_proxies()
print(*locate(DistributedConfig(coordinator_address="auto"), 5)[:4])
"""


def test_auto_on_a_tpu_vm_behind_a_proxy(metadata):
    """JAX asks for the metadata itself, and takes this machine for a TPU VM here."""
    metadata |= {
        "agent-worker-number": "1",
        "worker-network-endpoints": "unknown:unknown:127.0.0.1,unknown:unknown:10.0.0.2",
        "tpu-env": "ZONE: 'us-central2-b'",
    }
    environment = {**os.environ, "JAX_FORCE_TPU_INIT": "1", "JAX_PLATFORMS": "cpu"}
    environment |= dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-c", _LOCATE],
        cwd=ROOT,
        env={**environment, "GCE_METADATA_IP": metadata["server"]},
        capture_output=True,
        text=True,
        check=False,
    )
    address, *place = done.stdout.split()
    assert address.startswith("127.0.0.1:") and place == ["2", "1", "None"], done.stderr
