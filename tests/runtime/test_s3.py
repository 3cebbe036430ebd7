"""s3:// paths, against a local server. Needs the extras [io] and [dev]."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from pipeline.wav.encoding import Encoding
from tests.wav_files import write_wav

for module in ("tensorflow_io", "moto", "boto3"):  # found, not imported: it takes seconds
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"needs {module}", allow_module_level=True)

Run = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Iterator[Run]:
    """Runs a program in a process of its own that sees s3://corpus: [F, C] = [700, 1], [300, 2]."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    credentials = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    client.create_bucket(Bucket="corpus")
    folder = tmp_path_factory.mktemp("corpus")
    mono, stereo = np.arange(700)[:, None], np.arange(600).reshape(300, 2)
    content = write_wav(folder / "mono.wav", mono, Encoding.S16)
    client.put_object(Bucket="corpus", Key="music/deep/mono.WAV", Body=content)
    content = write_wav(folder / "stereo.wav", stereo, Encoding.S24)
    client.put_object(Bucket="corpus", Key="music/stereo.wav", Body=content)
    client.put_object(Bucket="corpus", Key="music/notes.txt", Body=b"no audio")

    environment = os.environ | credentials | {"AWS_REGION": "us-east-1", "S3_ENDPOINT": endpoint}
    environment |= {"S3_USE_HTTPS": "0", "TF_CPP_MIN_LOG_LEVEL": "2"}

    def run_program(program: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    yield run_program
    server.stop()


def test_a_bucket_is_catalogued_and_streamed(run):
    result = run(
        "import json\n"
        "from pipeline.catalogue.catalogue import build_catalogue\n"
        "from pipeline.reading.chunk_index import Chunks\n"
        "from pipeline.config import PipelineConfig\n"
        "from pipeline.dataset import make_dataset\n"
        "from pipeline.iterate import iterate\n"
        "found = build_catalogue(['s3://corpus/music'])\n"
        "config = PipelineConfig(chunk_size=200, batch_size=2, depth=16)\n"
        "chunks = Chunks(catalogue=found, config=config)\n"
        "samples = []\n"
        "for batch in iterate(make_dataset(chunks, one_pass=True)):\n"
        "    for row, stop in zip(batch['samples'][0], batch['stop'][0]):\n"
        "        samples += row[:stop].tolist()\n"
        "print(json.dumps([[*found.names], found.frames.tolist(), sorted(samples)]))\n"
    )
    # tensorflow-io 0.37.1 aborts any process that has used s3://, unless we prevent it.
    assert result.returncode == 0, result.stderr
    names, frames, samples = json.loads(result.stdout)
    assert names == ["deep/mono.WAV", "stereo.wav"]
    assert frames == [700, 300]
    mono, stereo = np.arange(700), np.arange(600).reshape(300, 2).sum(axis=1) // 2 >> 8
    assert samples == sorted(np.concatenate([mono, stereo]).tolist())


def test_exit_codes_survive(run):
    result = run(
        "import atexit, sys\n"
        "from runtime import filesystem, gfile\n"
        "gfile.require_filesystem('s3://corpus')\n"
        "filesystem.read_bytes('s3://corpus/music/notes.txt')\n"
        "atexit.register(print, 'cleaned up')\n"
        "sys.exit(3)\n"
    )
    assert (result.returncode, result.stdout) == (3, "cleaned up\n"), result.stderr


def test_a_missing_folder_is_named(run):
    result = run(
        "from pipeline.catalogue.catalogue import build_catalogue\n"
        "build_catalogue(['s3://corpus/nothing'])\n"
    )
    assert result.returncode == 1
    assert "s3://corpus/nothing" in result.stderr.strip().splitlines()[-1]
