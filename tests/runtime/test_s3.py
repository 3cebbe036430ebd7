"""s3:// paths, against a local server. Needs the extras [io] and [dev]."""

import json
from collections.abc import Iterator

import numpy as np
import pytest

from pipeline.wav.encoding import Encoding
from tests.s3_server import S3Server, s3_unavailable
from tests.wav_files import write_wav

pytestmark = pytest.mark.both_stacks

if reason := s3_unavailable():
    pytest.skip(reason, allow_module_level=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[S3Server]:
    """Has s3://corpus/music: [F, C] = [700, 1], [300, 2]."""
    folder = tmp_path_factory.mktemp("corpus")
    mono, stereo = np.arange(700)[:, None], np.arange(600).reshape(300, 2)
    (folder / "deep").mkdir()
    write_wav(folder / "deep" / "mono.WAV", mono, Encoding.S16)
    write_wav(folder / "stereo.wav", stereo, Encoding.S24)
    (folder / "notes.txt").write_text("no audio")
    with S3Server("corpus") as started:
        started.put_folder("corpus", "music", folder)
        yield started


def test_a_bucket_is_catalogued_and_streamed(server):
    result = server.run_python(
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


def test_exit_codes_survive(server):
    result = server.run_python(
        "import atexit, sys\n"
        "from runtime import filesystem, gfile\n"
        "gfile.require_filesystem('s3://corpus')\n"
        "filesystem.read_bytes('s3://corpus/music/notes.txt')\n"
        "atexit.register(print, 'cleaned up')\n"
        "sys.exit(3)\n"
    )
    assert (result.returncode, result.stdout) == (3, "cleaned up\n"), result.stderr


def test_a_missing_folder_is_named(server):
    result = server.run_python(
        "from pipeline.catalogue.catalogue import build_catalogue\n"
        "build_catalogue(['s3://corpus/nothing'])\n"
    )
    assert result.returncode == 1
    assert "s3://corpus/nothing" in result.stderr.strip().splitlines()[-1]


def test_files_are_written(server):
    result = server.run_python(
        "from runtime import atomic_files, gfile\n"
        "gfile.require_filesystem('s3://corpus')\n"
        "atomic_files.write_atomically('s3://corpus/out/big', [b'1' * 3_000_000, b'2'])\n"
        "atomic_files.write_bytes_atomically('s3://corpus/out/small', b'3')\n"
    )
    assert result.returncode == 0, result.stderr
    assert server.objects("corpus", "out/") == {
        "out/big": b"1" * 3_000_000 + b"2",
        "out/small": b"3",
    }
