"""Starts `serve_input` as a user would, and ends it."""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator

from tests.command_line import ROOT
from tests.fork_server import python


def start(*args: str, **environment: str) -> subprocess.Popen:
    """Starts a server, with some variables of its environment."""
    return subprocess.Popen(
        python("main.py", "serve_input", *args),
        cwd=ROOT,
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def port_of(server: subprocess.Popen) -> int:
    """Waits until a server is ready; returns the port that it logs."""
    assert server.stderr is not None
    others = re.compile(r"connecting with dispatcher|WARNING: All log messages before|[EWI]\d{4} ")
    # gRPC logs lines of its own.
    line = next((line for line in server.stderr if not others.match(line)), "")
    ready = re.match(r"dispatcher ready on port (\d+);|worker ready at .*:(\d+),", line)
    if not ready:
        server.kill()  # Else reading the rest would wait for a server that serves on.
        raise AssertionError(
            f"expected a server that is ready, got {line}{server.communicate()[1]}"
        )
    return int(ready[1] or ready[2])


def end(server: subprocess.Popen, number: signal.Signals = signal.SIGKILL) -> tuple[int, str]:
    """Ends a server; returns its status and what it has said."""
    server.send_signal(number)
    said = server.communicate(timeout=20)[1]
    return server.returncode, said


@contextlib.contextmanager
def servers(
    num_workers: int,
) -> Iterator[tuple[str, list[subprocess.Popen], subprocess.Popen]]:
    """Yields a dispatcher's address, its workers, and the dispatcher."""
    started = [start("--role=dispatcher")]
    try:
        address = f"grpc://localhost:{port_of(started[0])}"
        started += [start("--role=worker", f"--dispatcher={address}") for _ in range(num_workers)]
        for worker in started[1:]:
            port_of(worker)
        yield address, started[1:], started[0]
    finally:
        for server in started:
            if server.poll() is None:
                end(server)
