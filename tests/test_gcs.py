"""gs:// paths: TensorFlow's own client, against a server of Google's protocol on this machine."""

import json
from collections.abc import Iterator

import pytest

from tests.faulty_proxy import Fault
from tests.gcs_server import UPLOADS, GcsServer, gcs_unavailable

if reason := gcs_unavailable():
    pytest.skip(reason, allow_module_level=True)


@pytest.fixture(scope="module")
def server() -> Iterator[GcsServer]:
    with GcsServer("corpus", "second") as started:
        yield started


def test_files_of_a_bucket(server):
    server.put("corpus", "notes/a b.txt", b"text of one")
    result = server.run_python(
        "import json, sys\n"
        "from runtime import filesystem\n"
        "path = 'gs://corpus/notes/a b.txt'\n"
        "filesystem.require_filesystem(path)\n"
        "with filesystem.open_for_reads(path) as read_at:\n"
        "    end = read_at(8, 100)\n"
        "print(json.dumps([\n"
        "    filesystem.read_bytes(path).decode(),\n"
        "    end.decode(),\n"
        "    filesystem.stat(path)[0],\n"
        "    filesystem.exists(path),\n"
        "    filesystem.exists('gs://corpus/notes/missing'),\n"
        "]))\n"
        "filesystem.write_atomically('gs://second/out/big', [b'1' * 3_000_000, b'2'])\n"
        "filesystem.write_bytes_atomically('gs://second/out/empty', b'')\n"
        "filesystem.read_bytes('gs://second/missing')\n"
    )
    assert json.loads(result.stdout) == ["text of one", "one", 11, True, False]
    assert server.objects("second") == {"out/big": b"1" * 3_000_000 + b"2", "out/empty": b""}
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 1 and last.startswith("FileNotFoundError: "), result.stderr
    assert "gs://second/missing" in result.stderr


def test_an_upload_that_breaks_off_is_resumed(server):
    """Only what is missing is sent again; the object is not there before all of it is."""
    program = (
        "from runtime import filesystem\n"
        "filesystem.write_bytes_atomically('gs://second/resumed', bytes(3_000_000))\n"
    )
    with server.proxy.failing(Fault(on=UPLOADS, cut_at=1_000_000, times=1)):
        result = server.run_python(program, env={"GCS_RETRY_CONFIG_INIT_DELAY_TIME_US": "1000"})
    assert result.returncode == 0, result.stderr
    assert server.get("second", "resumed") == bytes(3_000_000)
    assert server.proxy.count(UPLOADS + ".*") >= 3  # Cut, asked, sent.
