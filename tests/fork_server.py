"""Starts commands without importing TensorFlow and JAX each time, which takes most of a short run.

A server imports them once, and forks. (It starts no device and no thread of theirs before.) What a
test starts is a small process, `python fork_server.py SOCKET ARGUMENTS`, that hands its streams,
environment and folder to a fork, passes signals on, takes the fork with it when it is killed, and
ends with its status: `subprocess` need not know. Variables that the libraries read when they are
imported (JAX_*, GCS_RETRY_*) are those of the server: tests of such start Python itself.
"""

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Sequence

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STATUS = struct.Struct("i")
_servers: list[tuple[str, object]] = []  # One, once a test needs it.


def python(*arguments: str | os.PathLike) -> list[str]:
    """Returns a command line that does what `python ARGUMENTS` does: a program, -m or -c."""
    if not _servers:
        _servers.append(_start_server())
    command = [sys.executable, "-IS", __file__, _servers[0][0]]
    return command + [os.fspath(argument) for argument in arguments]


def _start_server() -> tuple[str, object]:
    """Starts a server that ends with this process; returns its address and what keeps it."""
    import tempfile

    folder = tempfile.TemporaryDirectory(prefix="wavestream_fork_")
    address = os.path.join(folder.name, "socket")
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    command = [sys.executable, "-m", "tests.fork_server", "--serve", address]
    return address, (folder, subprocess.Popen(command, stdin=subprocess.PIPE, cwd=root))


def _serve(address: str) -> None:
    """Forks for each connection; returns in the fork, as Python starts with its arguments."""
    import gc
    import importlib
    import select

    from runtime import devices

    devices.keep_tensorflow_off_accelerators()  # As commands do, before anything else imports it.
    for module in (
        "training.run",
        "training.compile_ahead",
        "models.build",
        "evaluation.run",
        "evaluation.training_runs.plots",
    ):
        importlib.import_module(module)

    gc.collect()
    gc.freeze()  # Else the first collection of each fork copies all pages.
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{address}.new")
        listener.listen()
        os.rename(f"{address}.new", address)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Nobody waits for the forks that watch.
        while True:
            ready = select.select([listener.fileno(), 0], [], [])[0]
            if 0 in ready:  # The tests are over.
                os._exit(0)
            with listener.accept()[0] as connection:
                if os.fork() == 0:
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    _start(connection)
                    return


def _start(connection: socket.socket) -> None:
    """Returns in a fork that has what was sent; its parent reports its end, or kills it."""
    import select

    message, streams, _, _ = socket.recv_fds(connection, 2**16, 3)
    while not message.endswith(b"\n"):
        message += connection.recv(2**16)
    child = os.fork()
    if child:
        os.closerange(0, 3)
        for stream in streams:
            os.close(stream)
        connection.sendall(_STATUS.pack(child))
        ended = os.pidfd_open(child)
        if ended not in select.select([connection.fileno(), ended], [], [])[0]:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        with contextlib.suppress(OSError):
            connection.sendall(_STATUS.pack(os.waitstatus_to_exitcode(status)))
        os._exit(0)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    # The server's own remember what kind of files they were.
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    request = json.loads(message)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["arguments"]


def _run() -> None:
    """Does what Python does with the arguments in `sys.argv`."""
    import runpy

    kind = sys.argv[0]
    if kind in ("-m", "-c"):
        content = sys.argv.pop(1)
        if kind == "-m":
            runpy.run_module(content, run_name="__main__", alter_sys=True)
        else:
            exec(compile(content, "<string>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_path(kind, run_name="__main__")


def _ask(address: str, arguments: Sequence[str]) -> int:
    """Has a server run a command; returns its status, -n if signal n has ended it."""
    request = {"folder": os.getcwd(), "environment": {**os.environ}, "arguments": arguments}
    with socket.socket(socket.AF_UNIX) as connection:
        for signum in _PASSED_ON:  # Not before there is a fork that gets them.
            signal.pthread_sigmask(signal.SIG_BLOCK, [signum])
        deadline = time.monotonic() + 200
        while connection.connect_ex(address):  # It is still importing.
            assert time.monotonic() < deadline, "the fork server has not started"
            time.sleep(0.05)
        message = json.dumps(request).encode() + b"\n"
        sent = socket.send_fds(connection, [message], [0, 1, 2])
        connection.sendall(message[sent:])
        (process,) = _STATUS.unpack(connection.recv(_STATUS.size))

        def pass_on(signum: int, frame: object) -> None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signum)

        for signum in _PASSED_ON:
            signal.signal(signum, pass_on)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signum])
        (status,) = _STATUS.unpack(connection.recv(_STATUS.size))
    return status


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        _serve(sys.argv[2])
        _run()
    else:
        status = _ask(sys.argv[1], sys.argv[2:])
        if status < 0:
            if status != -signal.SIGKILL:
                signal.signal(-status, signal.SIG_DFL)
            os.kill(os.getpid(), -status)
        sys.exit(status)
