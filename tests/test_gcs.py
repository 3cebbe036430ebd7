"""gs:// paths: TensorFlow's own client, against a server of Google's protocol on this machine."""

import http.client
import json
import pathlib
import ssl
import sys
from collections.abc import Iterator

import pytest

from tests.command_line import TINY
from tests.fault import Fault
from tests.gcs_server import UPLOADS, WRITES, GcsServer, gcs_unavailable
from tests.wav_files import write_walks

if reason := gcs_unavailable():
    pytest.skip(reason, allow_module_level=True)


@pytest.fixture(scope="module")
def server() -> Iterator[GcsServer]:
    with GcsServer("corpus", "second") as started:
        yield started


@pytest.mark.both_stacks
def test_files_of_a_bucket(server):
    server.put("corpus", "notes/a b.txt", b"text of one")
    server.put("corpus", "notes/deep/#1 100%.TXT", b"")
    for name in ("old", "new", "left"):
        server.put("second", name, name.encode())
    result = server.run_python(
        "import json\n"
        "from runtime import atomic_files, filesystem, gfile\n"
        "from runtime.find_files import find_files\n"
        "path = 'gs://corpus/notes/a b.txt'\n"
        "gfile.require_filesystem(path)\n"
        "with filesystem.open_for_reads(path) as read_at:\n"
        "    end = read_at(8, 100)\n"
        "print(json.dumps([\n"
        "    filesystem.read_bytes(path).decode(),\n"
        "    end.decode(),\n"
        "    filesystem.stat(path)[0],\n"
        "    filesystem.exists(path),\n"
        "    filesystem.exists('gs://corpus/notes/missing'),\n"
        "    sorted(found.name for found in find_files('gs://corpus/notes', ('.txt',), set())),\n"
        "]))\n"
        "atomic_files.write_atomically('gs://second/out/big', [b'1' * 3_000_000, b'2'])\n"
        "atomic_files.write_bytes_atomically('gs://second/out/empty', b'')\n"
        "with gfile.open_gfile(path) as opened:\n"
        "    opened.rename('gs://second/old', 'gs://second/new', overwrite=True)\n"
        "    opened.remove('gs://second/left')\n"
        "filesystem.read_bytes('gs://second/missing')\n"
    )
    names = ["a b.txt", "deep/#1 100%.TXT"]
    assert json.loads(result.stdout) == ["text of one", "one", 11, True, False, names]
    assert server.objects("second") == {
        "new": b"old",
        "out/big": b"1" * 3_000_000 + b"2",
        "out/empty": b"",
    }
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 1 and last.startswith("FileNotFoundError: "), result.stderr


def test_strangers_are_refused(server):
    """Who names no credentials, and who takes it for a proxy to anywhere."""
    trust = ssl.create_default_context(cafile=server.variables()["CURL_CA_BUNDLE"])
    connection = http.client.HTTPSConnection("127.0.0.1", server.proxy.port, context=trust)
    connection.set_tunnel("storage.googleapis.com")
    connection.request("GET", "/corpus/notes")
    assert connection.getresponse().status == 401
    connection.close()
    connection.set_tunnel("example.com")
    with pytest.raises(OSError, match="403"):
        connection.request("GET", "/")
    assert server.proxy.count("^CONNECT example.com:443$") == 1


@pytest.mark.both_stacks
def test_faults_on_the_way(server):
    """What TensorFlow's client makes of each; all on objects of their own, in one process."""
    faults = [
        # Only what is missing is sent again.
        Fault(on=UPLOADS + ".*cut", cut_at=1_000_000, times=1),
        Fault(on="PUT .*unanswered", lose_answer=True, times=1),
        Fault(on="POST .*busy", status=503, times=2),
        Fault(on="PUT .*expired", status=410, times=1),
        Fault(on="down", status=503),
        Fault(on=WRITES + ".*readonly", status=403),
    ]
    server.proxy.faults.extend(faults)
    program = (
        "import json, sys\n"
        "import tensorflow as tf\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        with tf.io.gfile.GFile(name, 'wb') as file:\n"
        "            file.write(bytes(3_000_000))\n"
        "    except tf.errors.OpError as error:\n"
        "        print(name.split('/')[-1], type(error).__name__)\n"
    )
    names = ["cut", "unanswered", "busy", "expired", "down", "readonly"]
    paths = [f"gs://second/faults/{name}" for name in names]
    result = server.run(
        [sys.executable, "-c", program, *paths, "gs://missing/bucket"],
        env={"GCS_RETRY_CONFIG_MAX_RETRIES": "3", "GCS_RETRY_CONFIG_INIT_DELAY_TIME_US": "1000"},
    )
    del server.proxy.faults[:]
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "down AbortedError",
        "readonly PermissionDeniedError",
        "bucket NotFoundError",
    ]
    written = {f"faults/{name}": bytes(3_000_000) for name in names[:4]}
    assert server.objects("second", "faults/") == written


READS = """
import numpy as np
from pipeline.reading.byte_ranges import read_ranges
from runtime.logging import start_logging
start_logging(None)
paths = np.array([b"gs://corpus/outage/missing", b"gs://corpus/outage/there"])
numbers = [np.array([number] * 2) for number in (2, 5, 5, 10, 0)]
content, readable = read_ranges(paths, *numbers, lambda path, reason: print(path))
print(content.tobytes(), readable)
"""


@pytest.mark.slow
def test_reading_waits_for_a_bucket_that_fails_for_a_while(server):
    """Else the samples of a run would depend on the network."""
    server.put("corpus", "outage/there", b"0123456789")
    with server.proxy.failing(Fault(on="outage", status=503, times=9)):
        result = server.run_python(READS, env={"GCS_RETRY_CONFIG_MAX_RETRIES": "1"})
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "gs://corpus/outage/missing",
        r"b'\x00\x00\x00\x00\x0023456' [False  True]",
    ]
    assert result.stderr.count("gs://corpus cannot be accessed (") == 1, result.stderr
    assert result.stderr.count("gs://corpus can be accessed again") == 1


@pytest.fixture(scope="module")
def folders(server, tmp_path_factory) -> list[pathlib.Path]:
    """Audio, which is also in gs://corpus/speech and gs://second/music."""
    root = tmp_path_factory.mktemp("audio")
    for bucket, name in (("corpus", "speech"), ("second", "music")):
        (root / name).mkdir()
        write_walks(root / name)
        server.put_folder(bucket, name, root / name)
    return [root / "speech", root / "music"]


REMOTE = "--audio_dir=gs://corpus/speech,gs://second/music"
CHUNKS = ("--batch_size=4", "--chunk_size=64", "--chunks_per_read=8", "--shuffle_window=64")
STEPS = ("--training_steps=9", "--eval_every=4", "--eval_steps=2", "--log_every=2")


@pytest.mark.slow
@pytest.mark.both_stacks
def test_two_buckets_are_read_as_local_folders(server, folders, tmp_path):
    """The same batches, and the same metrics to the last bit; by a model that compiles at once."""
    listed = "--catalogue=gs://second/lists/files.catalogue"
    local = f"--audio_dir={','.join(map(str, folders))}"
    out = f"--output_dir={tmp_path}"
    toy = {"toy": "tests.several_hosts"}
    commands = [
        (["inspect", REMOTE, listed, *CHUNKS, out], {}),
        (["toy", f"{tmp_path}/remote", "0", REMOTE, listed, *CHUNKS, *STEPS, f"{out}/remote"], toy),
        (["toy", f"{tmp_path}/local", "0", local, *CHUNKS, *STEPS, f"{out}/local"], toy),
    ]
    program = "from main import COMMANDS\nfrom tests.command_line import run_main\n"
    for arguments, table in commands:
        program += f"assert run_main(*{arguments}, table={table} or COMMANDS) == 0\n"
    result = server.run_python(program)
    assert result.returncode == 0, result.stderr
    assert "10 with 0.68 seconds of audio" in result.stdout
    assert (tmp_path / "remote.0").read_text() == (tmp_path / "local.0").read_text()
    of_buckets, of_folders = (
        (tmp_path / name / "audio_model_metrics.jsonl").read_bytes() for name in ("remote", "local")
    )
    assert of_buckets == of_folders
    assert server.names("second", "lists/") == ["lists/files.catalogue"]
    # Each folder was listed once: the second command had the catalogue.
    assert server.proxy.count("GET .*[?&]delimiter=.*prefix=(speech|music)") == 2


@pytest.mark.slow
def test_a_model_is_trained_and_evaluated_from_buckets(server, folders, tmp_path):
    out = f"--output_dir={tmp_path}"
    result = server.run_main(REMOTE, *CHUNKS, *TINY, *STEPS, out, timeout=600)
    assert result.returncode == 0, result.stderr
    model = f"--model={tmp_path}/audio_model.npz"
    result = server.run_main("evaluate", model, f"--report_dir={tmp_path}/report", timeout=600)
    assert result.returncode == 0, result.stderr
    assert "On 2 files of held-out audio the model needs" in result.stdout
