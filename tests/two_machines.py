"""Two machines on one: network namespaces, where the system lets us have them."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence

import pytest

from tests.command_line import ROOT

ADDRESSES = ("10.77.0.1", "10.77.0.2")


@contextlib.contextmanager
def two_machines(names: Sequence[str] = ADDRESSES) -> Iterator[list[list[str]]]:
    """Yields the command that is Python on the one, and on the other.

    Args:
      names: of the machines; JAX's collectives on CPUs look up their address.
    """
    sleepers = [
        subprocess.Popen(
            ["unshare", "--net", "--uts", "--", "sh", "-c", "echo; exec sleep 600"], stdout=-1
        )
        for _ in ADDRESSES
    ]
    try:
        for sleeper in sleepers:
            if not (sleeper.stdout and sleeper.stdout.readline()):
                pytest.skip("network namespaces are not permitted here")
        prefixes = [["nsenter", f"--target={s.pid}", "--net", "--uts", "--"] for s in sleepers]
        one, other = (str(sleeper.pid) for sleeper in sleepers)
        _run("ip", "link", "add", "e", "netns", one, "type", "veth", "peer", "e", "netns", other)
        for prefix, address, name in zip(prefixes, ADDRESSES, names, strict=True):
            _run(*prefix, "ip", "address", "add", f"{address}/24", "dev", "e")
            _run(*prefix, sys.executable, "-c", f"import socket; socket.sethostname({name!r})")
            for device in ("lo", "e"):
                _run(*prefix, "ip", "link", "set", device, "up")
        yield [[*prefix, sys.executable] for prefix in prefixes]
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.communicate()


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no network between namespaces here: {done.stderr}")
