"""Reading on other machines: the dispatcher and the workers of a tf.data service.

The dispatcher assigns shuffle windows to workers, which read them; `client.py` is the trainer's
side. TensorFlow, slow to import, is imported only where needed, so that bad flags fail immediately.
"""

import dataclasses
import os
import re
import signal
import socket
import time

from runtime.errors import ConfigError
from runtime.logging import log_once, logger
from runtime.private_apis import worker_port
from runtime.program import program
from runtime.proxies import bypass_proxies

ROLES = ("dispatcher", "worker")
_SECONDS_BETWEEN_CHECKS = 5.0
# What a client of HTTP/2, and so of gRPC, begins with. The server's first frame is of the same type
# as the client's, empty here: its settings.
_PREFACE, _SETTINGS = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_ADDRESS = r"grpc://(\[[^\]]+\]|[^:/\[\]]+):(\d+)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServiceConfig:
    """A server of the input service.

    Attributes:
      role: one of ROLES.
      dispatcher: a worker's dispatcher, grpc://host:port; None for a dispatcher.
      port: to listen on; 0: any free one.

    Raises:
      ConfigError: a field is missing, superfluous or out of bounds.
    """

    role: str | None
    dispatcher: str | None
    port: int

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ConfigError(f"--role is missing: one of {', '.join(ROLES)}")
        if not 0 <= self.port < 2**16:
            raise ConfigError(f"--port must be between 0 and 65535, got {self.port}")
        if self.role == "worker":
            if not self.dispatcher:
                raise ConfigError("--dispatcher is missing: the dispatcher's grpc://host:port")
            host_and_port(self.dispatcher)
        elif self.dispatcher:
            raise ConfigError("--dispatcher is for workers: a dispatcher needs --port alone")


def host_and_port(address: str) -> tuple[str, int]:
    """Parses an address, grpc://host:port. Raises ConfigError."""
    match = re.fullmatch(_ADDRESS, address)
    if not match or not 0 < int(match[2]) < 2**16:
        raise ConfigError(f"expected grpc://host:port, such as grpc://10.0.0.2:5050, got {address}")
    return match[1].strip("[]"), int(match[2])


def require_dispatcher(flag: str, address: str, seconds: float = 15.0) -> str:
    """Waits until a server answers at an address; TensorFlow itself would wait for an hour.

    Args:
      flag: name of the flag that the address comes from.
      address: grpc://host:port.
      seconds: how long to wait for a dispatcher that is being started at the same time.

    Returns:
      The address of this machine as that server sees it.

    Raises:
      ConfigError: see `host_and_port`.
      ConnectionError: no server listens there, or not one of gRPC.
    """
    host, port = host_and_port(address)
    deadline = time.monotonic() + seconds
    while True:
        try:
            return _greet(host, port, timeout=max(deadline - time.monotonic(), 0.5))
        except _NotGrpcError as error:
            raise ConnectionError(f"{flag}={address}: {error}; expected a dispatcher") from error
        except OSError as error:
            if time.monotonic() + 0.5 > deadline:
                raise ConnectionError(
                    f"{flag}={address}: nothing answers there ({error}); expected a dispatcher: "
                    f"{program()} serve_input --role=dispatcher --port={port}"
                ) from error
        time.sleep(0.5)


class _NotGrpcError(OSError):
    """A server answers in another protocol than that of gRPC."""


def _greet(host: str, port: int, timeout: float) -> str:
    """Exchanges the first frames of HTTP/2; returns this machine's address. Raises OSError."""
    with socket.create_connection((host, port), timeout) as connection:
        connection.sendall(_PREFACE + _SETTINGS)
        with connection.makefile("rb") as answer:
            head = answer.read(len(_SETTINGS))
        if len(head) < len(_SETTINGS) or head[3] != _SETTINGS[3]:
            raise _NotGrpcError("what answers there does not speak gRPC")
        return connection.getsockname()[0]


def serve(config: ServiceConfig) -> None:
    """Serves until SIGINT or SIGTERM, which end the process with status 130 or 143.

    Raises:
      ConnectionError: no dispatcher listens at the dispatcher's address.
      OSError: the port is in use or not permitted.
    """
    bypass_proxies()
    # TensorFlow connects with the interpreter locked: until then Python would handle no signal.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    server = _start_dispatcher(config) if config.role == "dispatcher" else _start_worker(config)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _exit)
    answered = True
    while server:  # Keeps the reference: a server stops when it is collected.
        time.sleep(_SECONDS_BETWEEN_CHECKS)  # Not server.join(): it would handle no signal.
        if config.dispatcher:
            answered = _log_change(config.dispatcher, answered)


def _log_change(dispatcher: str, answered: bool) -> bool:
    """Returns whether the dispatcher answers; logs when it no longer does, or does again."""
    reason = ""
    try:
        _greet(*host_and_port(dispatcher), timeout=_SECONDS_BETWEEN_CHECKS)
    except OSError as error:
        reason = str(error)
    if reason and answered:
        logger.warning(
            "dispatcher %s does not answer (%s): waiting for it; trainers read locally",
            dispatcher,
            reason,
        )
    elif not reason and not answered:
        logger.info("dispatcher %s answers again", dispatcher)
    return not reason


def _exit(number: int, frame: object) -> None:
    logger.info("%s: exiting; trainers read missing batches locally", signal.Signals(number).name)
    # Not sys.exit, which joins threads of the graph that wait for the interpreter (see `iterate`).
    os._exit(128 + number)


def _start_dispatcher(config: ServiceConfig) -> object:
    import tensorflow as tf

    service = tf.data.experimental.service
    _check_port(config.port)
    # A worker without a heartbeat for so long is dropped, and trainers stop polling it.
    server = service.DispatchServer(
        service.DispatcherConfig(port=config.port, worker_timeout_ms=30_000)
    )
    port = server.target.rsplit(":", 1)[1]
    logger.info(
        "dispatcher ready on port %s; start workers with --dispatcher=grpc://%s:%s and trainers "
        "with --data_service= and the same address",
        port,
        socket.gethostname(),
        port,
    )
    return server


def _start_worker(config: ServiceConfig) -> object:
    assert config.dispatcher is not None
    host = require_dispatcher("--dispatcher", config.dispatcher)
    _check_port(config.port)
    import tensorflow as tf

    from pipeline.reading.python_calls import serve_python

    service = tf.data.experimental.service
    serve_python(_log_unreadable)
    logger.info("connecting with dispatcher %s", config.dispatcher)
    host = f"[{host}]" if ":" in host else host
    server = service.WorkerServer(
        service.WorkerConfig(
            dispatcher_address=config.dispatcher.removeprefix("grpc://"),
            worker_address=f"{host}:%port%",
            port=config.port,
            heartbeat_interval_ms=5_000,
        )
    )
    port = worker_port(server)
    logger.info("worker ready at %s:%d, for dispatcher %s", host, port, config.dispatcher)
    return server


def _check_port(port: int) -> None:
    """Raises OSError, naming the flag, if a port cannot be listened on: gRPC's error names none."""
    try:
        with socket.create_server(("", port)):
            pass
    except OSError as error:
        raise OSError(f"--port={port} cannot be listened on: {error}") from error


def _log_unreadable(path: str, reason: str) -> None:
    log_once(path, "%r cannot be read: %s", path, reason)
