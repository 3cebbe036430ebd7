"""The hosts of a run: given by flags, or found in what a cluster tells each of its processes."""

import contextlib
import dataclasses
import glob
import importlib.util
import os
import pathlib
import re
import urllib.request
from collections.abc import Sequence
from typing import NamedTuple

from runtime import private_apis
from runtime.errors import ConfigError, TrainingError

AUTO = "auto"
_GOOGLE_PCI_VENDOR = "0x1ae0"
_METADATA_SECONDS = 1.0  # It answers within milliseconds, where there is one.


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistributedConfig:
    """The hosts of a run; by default this one alone.

    Attributes:
      coordinator_address: HOST:PORT of the primary; "auto": JAX detects all three in the
        environment of a TPU slice, Slurm or Open MPI.
      num_processes: number of hosts, one process each; 1 without an address: this one alone,
        whatever its environment says.
      process_id: index of this host, from 0.

    Raises:
      ConfigError: a field is missing or out of bounds.
    """

    coordinator_address: str | None = None
    num_processes: int | None = None
    process_id: int | None = None

    def __post_init__(self) -> None:
        address, count, number = self.coordinator_address, self.num_processes, self.process_id
        if address in (None, AUTO):
            if (count, number) != (None, None) and (address, count, number) != (None, 1, None):
                raise ConfigError(
                    "--num_processes and --process_id need --coordinator_address=HOST:PORT, the "
                    f"same on all hosts; got {address}"
                )
            return
        if count is None or number is None:
            raise ConfigError("--coordinator_address needs --num_processes and --process_id")
        match = re.fullmatch(r"[^/]+:(\d{1,5})", str(address))
        if not match or int(match[1]) >= 2**16:
            raise ConfigError(f"--coordinator_address={address}: expected HOST:PORT, or auto")
        if not 0 <= number < count:
            raise ConfigError(
                f"--process_id={number}: expected 0 to {count - 1}, with --num_processes={count}"
            )

    @property
    def enabled(self) -> bool:
        """Whether there may be other hosts."""
        return self.coordinator_address is not None

    def or_found(self) -> "DistributedConfig":
        """Returns "auto" where no flag is given, and a cluster has started several hosts."""
        if self != DistributedConfig() or _find_cluster() is None:
            return self
        return DistributedConfig(coordinator_address=AUTO)


class Place(NamedTuple):
    """This host among those of a run.

    Attributes:
      address: HOST:PORT of the primary.
      num_processes: number of hosts.
      process_id: index of this host, from 0.
      local_device_ids: devices for this process, where it shares its machine; None: all.
      id_name: what says the index, for messages.
    """

    address: str
    num_processes: int
    process_id: int
    local_device_ids: Sequence[int] | None = None
    id_name: str = "--process_id"


def locate(config: DistributedConfig, timeout_s: float) -> Place:
    """Returns the place of this host.

    Args:
      config: the hosts; enabled.
      timeout_s: how long to wait for the name of the primary to be known.

    Raises:
      TrainingError: "auto", and JAX finds no cluster, or not all that it needs.
    """
    if config.coordinator_address != AUTO:
        return Place(*dataclasses.astuple(config))
    cluster = _find_cluster()
    found, reason = None, "it knows TPU slices (with libtpu), Slurm and Open MPI 4"
    try:
        found = private_apis.detect_cluster(timeout_s)
    except (OSError, RuntimeError, ImportError, LookupError, ValueError) as error:
        # A variable is missing, or the metadata server.
        reason = f"{type(error).__name__}: {error}"
    if found is not None:
        return Place(*found, cluster.id_name if cluster else "process id")
    told = f"{cluster.count_name} tells of {cluster.num_hosts} hosts, and " if cluster else ""
    alone = "; --num_processes=1 alone trains on this host by itself" if cluster else ""
    raise TrainingError(
        f"--coordinator_address=auto: {told}JAX does not find the place of this one ({reason}): "
        "expected --coordinator_address=HOST:PORT, --num_processes and --process_id on each host"
        f"{alone}"
    )


class _Cluster(NamedTuple):
    """What tells that there are several hosts, and which one this is."""

    num_hosts: int
    count_name: str
    id_name: str


def _find_cluster() -> _Cluster | None:
    """Returns the cluster that has started this process as one of several, if any.

    In JAX's order. What tells the number of processes of this very step counts: a shell or a script
    within a Slurm allocation is one process.
    """
    found = [
        _Cluster(_number(os.environ.get(count_name, "")), count_name, id_name)
        for count_name, id_name in (
            ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
            ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
        )
    ]
    # Last, as it may ask the network.
    several = (cluster for cluster in found if cluster.num_hosts > 1)
    return next(several, None) or _find_tpu_slices()


def _find_tpu_slices() -> _Cluster | None:
    """Returns the hosts of all slices that train together, as the environment or Google tells."""
    num_slices = os.environ.get("MEGASCALE_NUM_SLICES", "")
    id_name = "TPU_WORKER_ID"
    for count_name in ("TPU_PROCESS_ADDRESSES", "TPU_WORKER_HOSTNAMES"):
        if hosts := os.environ.get(count_name):
            break
    else:
        count_name, id_name = "worker-network-endpoints", "agent-worker-number"
        hosts = _metadata(count_name)
        if hosts and not num_slices:
            num_slices = _metadata("tpu-env").partition("MEGASCALE_NUM_SLICES")[2]
    slices = _number(num_slices)
    if slices > 1:  # The process id then counts all slices, and no variable has it.
        count_name, id_name = "MEGASCALE_NUM_SLICES", "process id"
    num_hosts = (hosts.count(",") + 1) * slices
    return _Cluster(num_hosts, count_name, id_name) if num_hosts > 1 else None


def _number(text: str) -> int:
    """Returns the first number in a text; 1 if there is none."""
    match = re.search(r"\d+", text.partition("\n")[0])
    return int(match[0]) if match else 1


def _metadata(key: str) -> str:
    """Returns an attribute of this TPU VM; empty where there is none, or this is no TPU VM."""
    if "TPU_SKIP_MDS_QUERY" in os.environ or importlib.util.find_spec("libtpu") is None:
        return ""
    # A TPU, or Google's network card: elsewhere nobody would answer.
    vendors = glob.glob("/sys/bus/pci/devices/*/vendor")
    with contextlib.suppress(OSError, ValueError):
        if any(pathlib.Path(v).read_text().strip() == _GOOGLE_PCI_VENDOR for v in vendors):
            server = os.environ.get("GCE_METADATA_IP", "169.254.169.254")
            url = f"http://{server}/computeMetadata/v1/instance/attributes/{key}"
            request = urllib.request.Request(url, headers={"Metadata-Flavor": "Google"})
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=_METADATA_SECONDS) as answer:
                return answer.read().decode()
    return ""
