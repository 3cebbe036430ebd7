"""Reading on other machines: the servers of a tf.data service, and whether there are any.

A dispatcher hands out windows of batches, workers read them. `client.py` is the trainer's side.
TensorFlow is imported where it is needed only, so that a mistake answers at once.
"""

import dataclasses
import logging
import os
import re
import signal
import socket
import time

from runtime.errors import ConfigError
from runtime.logging import log_once
from runtime.private_apis import worker_port

logger = logging.getLogger("wavestream")

ROLES = ("dispatcher", "worker")
_ADDRESS = r"grpc://(\[[^\]]+\]|[^:/\[\]]+):(\d+)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServiceConfig:
    """A server of the input service.

    Attributes:
      role: one of ROLES.
      dispatcher: a worker's dispatcher, grpc://host:port; None for a dispatcher.
      port: to listen at; 0: any that is free.

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
    """Takes an address, grpc://host:port, apart. Raises ConfigError."""
    match = re.fullmatch(_ADDRESS, address)
    if not match or not 0 < int(match[2]) < 2**16:
        raise ConfigError(f"expected grpc://host:port, such as grpc://10.0.0.2:5050, got {address}")
    return match[1].strip("[]"), int(match[2])


def require_dispatcher(flag: str, address: str, seconds: float = 15.0) -> str:
    """Waits until something listens at an address; TensorFlow itself would wait for an hour.

    Args:
      flag: name of the flag that the address comes from.
      address: grpc://host:port.
      seconds: to wait; a dispatcher that is started at the same moment may come a little later.

    Returns:
      This machine's own address, as it is seen from there.

    Raises:
      ConfigError: see `host_and_port`.
      ConnectionError: nothing listens there.
    """
    host, port = host_and_port(address)
    deadline = time.monotonic() + seconds
    while True:
        try:
            left = max(deadline - time.monotonic(), 0.5)
            with socket.create_connection((host, port), timeout=left) as connection:
                return connection.getsockname()[0]
        except OSError as error:
            if time.monotonic() + 0.5 > deadline:
                raise ConnectionError(
                    f"{flag}={address}: nothing answers there ({error}); expected a dispatcher: "
                    f"python main.py serve_input --role=dispatcher --port={port}"
                ) from error
        time.sleep(0.5)


def serve(config: ServiceConfig) -> None:
    """Serves until SIGINT or SIGTERM, which end the process with status 130 or 143.

    Raises:
      ConnectionError: nothing listens at the dispatcher's address.
      OSError: the port is taken, or may not be used.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    server = _dispatcher(config) if config.role == "dispatcher" else _worker(config)
    while server:
        time.sleep(1)  # In Python, where signals are seen; server.join() would never be.


def _end(number: int, frame: object) -> None:
    logger.info("%s: ended; trainers read what is missing", signal.Signals(number).name)
    # Not sys.exit: it waits for threads of the graph that wait for Python (see `dataset`).
    os._exit(128 + number)


def _dispatcher(config: ServiceConfig) -> object:
    import tensorflow as tf

    service = tf.data.experimental.service
    _check_port(config.port)
    # A worker that is silent for so long is gone: its trainers need not ask it any more.
    server = service.DispatchServer(
        service.DispatcherConfig(port=config.port, worker_timeout_ms=30_000)
    )
    port = server.target.rsplit(":", 1)[1]
    logger.info(
        "dispatcher ready at port %s; workers take --dispatcher=grpc://%s:%s and trainers "
        "--data_service with the same address",
        port,
        socket.gethostname(),
        port,
    )
    return server


def _worker(config: ServiceConfig) -> object:
    assert config.dispatcher is not None
    host = require_dispatcher("--dispatcher", config.dispatcher)
    _check_port(config.port)
    import tensorflow as tf

    from pipeline.reading.read_chunks import serve_reads

    service = tf.data.experimental.service
    serve_reads(_log_unreadable)
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
    """Raises OSError, naming the flag, where nobody may listen at a port."""
    try:
        with socket.create_server(("", port)):
            pass
    except OSError as error:
        raise OSError(f"--port={port} cannot be listened at: {error}") from error


def _log_unreadable(path: str, reason: str) -> None:
    log_once(path, "%r cannot be read: %s", path, reason)
