"""A proxy before a server of buckets: it notes requests, and fails as networks and stores do."""

import contextlib
import http.client
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.fault import Fault

_PIECE = 1 << 16  # Bytes forwarded at once.
# TensorFlow sends a Transfer-Encoding of "identity", which Go's HTTP server refuses.
_NOT_FORWARDED = {"connection", "expect", "transfer-encoding", "proxy-connection", "content-length"}

Headers = Sequence[tuple[str, str]]
Answer = tuple[int, Headers, bytes]
"""(HTTP status, headers, body)."""


class CutError(Exception):
    """The connection is to be cut, or has been."""


class FaultyProxy:
    """Forwards HTTP to a server; ends TLS for clients that use it as their proxy of https.

    Attributes:
      port: where it listens, on 127.0.0.1.
      faults: a request meets the first of them that applies.
      requests: "METHOD host/path?query" of all requests so far, failed ones included; "CONNECT
        host:port" of connections that it refused as a proxy.
    """

    def __init__(
        self,
        upstream_port: int,
        credential: str,
        tls: ssl.SSLContext | None = None,
        hosts: Sequence[str] = (),
    ):
        """Starts it.

        Args:
          upstream_port: port of the server, on 127.0.0.1.
          credential: what the header Authorization must hold; else a request is answered 401.
          tls: certificate of the hosts that it stands for.
          hosts: their names; as a proxy it refuses to connect to others.
        """
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.upstream_port, self.credential = upstream_port, credential
        self.tls, self.hosts = tls, hosts
        self._lock = threading.Lock()
        self._server = _Server(self)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True).start()

    def stop(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()

    @contextlib.contextmanager
    def failing(self, fault: Fault) -> Iterator[None]:
        """Has a fault within the block, before all others."""
        self.faults.insert(0, fault)
        try:
            yield
        finally:
            self.faults.remove(fault)

    def count(self, pattern: str) -> int:
        """Returns how many requests so far have a pattern in "METHOD host/path?query"."""
        return sum(re.search(pattern, request) is not None for request in [*self.requests])

    def wait_for(self, pattern: str, *, count: int = 1, timeout: float = 60) -> None:
        """Waits until that many requests have begun that have a pattern in them."""
        end = time.monotonic() + timeout
        while self.count(pattern) < count:
            assert time.monotonic() < end, f"no request {pattern!r} in {timeout} s"
            time.sleep(0.01)

    def forward(self, method: str, path: str, headers: Message, body: Iterable[bytes]) -> Answer:
        """Returns the server's answer to a request. Raises what breaks on the way."""
        upstream = http.client.HTTPConnection("127.0.0.1", self.upstream_port, timeout=60)
        with contextlib.closing(upstream):
            upstream.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            if self.tls is not None:
                upstream.putheader("X-Forwarded-Proto", "https")
            for name, value in headers.items():
                if name.lower() not in _NOT_FORWARDED:
                    upstream.putheader(name, value)
            content = b"".join(body)
            upstream.putheader("Content-Length", str(len(content)))
            upstream.endheaders(content)
            answer = upstream.getresponse()
            return answer.status, answer.getheaders(), answer.read()

    def error_body(self, status: int) -> str:
        """Returns what the server's answer of an HTTP status says."""
        return f'{{"error": {{"code": {status}, "message": "the test wants {status}"}}}}'

    def admit(self, request: str) -> Fault:
        """Notes a request; returns what is to happen to it."""
        with self._lock:
            self.requests.append(request)
            return next((fault for fault in self.faults if fault.hits(request)), Fault())


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, proxy: FaultyProxy):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy = proxy

    def handle_error(self, request, client_address) -> None:
        """Clients that are killed break their connections; nothing to tell."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def finish(self) -> None:
        super().finish()
        self.connection.close()  # Not the one that the server knows, once it speaks TLS.

    def do_CONNECT(self) -> None:
        """From here on this connection speaks TLS, to the host that it names."""
        proxy = self.server.proxy
        if proxy.tls is None or self.path.rpartition(":")[0] not in proxy.hosts:
            proxy.admit(f"CONNECT {self.path}")
            self.send_error(403)
            return
        self.send_response_only(200)
        self.end_headers()
        self.connection = proxy.tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)
        self.close_connection = False

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Returns the handler of any other method."""
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def _handle(self) -> None:
        path = re.sub(r"^https?://[^/]+", "", self.path)
        fault = self.server.proxy.admit(f"{self.command} {self.headers['Host']}{path}")
        try:
            status, headers, body = self._answer(path, fault)
            if fault.lose_answer:
                raise CutError
            self._send(status, headers, body, fault.bytes_per_second)
        except (CutError, OSError, http.client.HTTPException):
            self.close_connection = True

    def _answer(self, path: str, fault: Fault) -> Answer:
        proxy = self.server.proxy
        allowed = proxy.credential in self.headers.get("Authorization", "")
        status = fault.status if allowed else 401
        if status is None:
            return proxy.forward(self.command, path, self.headers, self._body(fault))
        for _ in self._body(fault):
            pass
        return status, [], proxy.error_body(status).encode()

    def _body(self, fault: Fault) -> Iterator[bytes]:
        """Yields the body of the request; raises CutError where it ends early."""
        left = fault.cut_at
        for size in self._chunk_sizes():
            while size:
                step = min(size, self._piece(fault.bytes_per_second))
                if left is not None:
                    step = min(step, left)
                    left -= step
                    if not step:
                        raise CutError
                piece = self.rfile.read(step)
                if len(piece) < step:
                    raise CutError
                size -= step
                yield piece
        if left is not None:
            raise CutError

    def _chunk_sizes(self) -> Iterator[int]:
        """Yields the sizes in bytes of parts of the body, each of which is to be read then."""
        # TensorFlow names a Content-Length, too, which does not count.
        if self.headers.get("Transfer-Encoding") != "chunked":
            yield int(self.headers.get("Content-Length", 0))
            return
        size = -1
        while size:
            line = self.rfile.readline()
            if not line.endswith(b"\n"):
                raise CutError
            size = int(line.split(b";")[0], 16)
            yield size
            self.rfile.readline()

    def _send(self, status: int, headers: Headers, body: bytes, speed: float | None) -> None:
        self.send_response_only(status)
        kept = [(name, value) for name, value in headers if name.lower() not in _NOT_FORWARDED]
        if self.command == "HEAD":
            kept += [pair for pair in headers if pair[0].lower() == "content-length"]
        elif status != 204:
            kept.append(("Content-Length", str(len(body))))
        for name, value in kept:
            self.send_header(name, value)
        self.end_headers()
        step = self._piece(speed)
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            self._piece(speed)

    def _piece(self, speed: float | None) -> int:
        """Returns how many bytes to move at once, after the time that they take."""
        if speed is None:
            return _PIECE
        time.sleep(0.1)
        return max(1, int(speed / 10))
