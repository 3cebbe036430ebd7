"""What one start has compiled, the next one finds."""

import os
import pathlib
import subprocess
import sys

import pytest

from runtime import compilation_cache
from tests.gcs_server import GcsServer, gcs_unavailable

ROOT = pathlib.Path(__file__).parents[2]

_PROGRAM = """
import json, sys
import jax, jax.numpy as jnp
from runtime import compilation_cache
from tests.gcs_server import GcsServer, gcs_unavailable

hits = []
jax.monitoring.register_event_listener(
    lambda event, **_: hits.append(event) if event.endswith("/cache_hits") else None
)
compilation_cache.enable(json.loads(sys.argv[1]))
assert jax.jit(lambda x: jnp.sin(x) @ x)(jnp.ones((8, 8))).shape == (8, 8)
print(len(hits))
print(jax.config.jax_compilation_cache_dir)
"""


def start(folder: str, **env: str) -> tuple[int, str, str]:
    """Compiles in a process of its own; returns what it found compiled, the folder, and stderr."""
    result = subprocess.run(
        [sys.executable, "-c", _PROGRAM, folder],
        cwd=ROOT,
        env={
            **{name: value for name, value in os.environ.items() if "CACHE" not in name},
            "JAX_PLATFORMS": "cpu",
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            **env,
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    hits, folder = result.stdout.splitlines()
    return int(hits), folder, result.stderr


@pytest.mark.both_stacks
def test_the_second_start_compiles_nothing(tmp_path):
    folder = tmp_path / "new" / "cache"
    assert start(f'"{folder}"')[:2] == (0, str(folder))
    assert start(f'"{folder}"')[0] > 0
    # A start that was killed while it wrote.
    for path in folder.glob("*-cache"):
        path.write_bytes(path.read_bytes()[:100])
    assert start(f'"{folder}"')[0] == 0


@pytest.mark.slow
@pytest.mark.skipif(bool(gcs_unavailable()), reason=gcs_unavailable() or "")
def test_a_bucket_serves_all_machines():
    # As commands do first: JAX reaches buckets by TensorFlow.
    program = "from runtime.devices import *; keep_tensorflow_off_accelerators()" + _PROGRAM
    env = {"JAX_PLATFORMS": "cpu", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    with GcsServer("caches") as server:

        def start(folder: str) -> "subprocess.CompletedProcess[str]":
            return server.run([sys.executable, "-c", program, f'"{folder}"'], env=env)

        first, second = start("gs://caches/jax"), start("gs://caches/jax")
        assert first.stdout.splitlines() == ["0", "gs://caches/jax"], first.stderr
        assert second.stdout.splitlines()[0] > "0", second.stderr
        assert any(name.endswith("-cache") for name in server.names("caches", "jax/"))
        last = start("gs://missing/jax").stderr.strip().splitlines()[-1]
        assert "--compilation_cache_dir cannot be written: gs://missing/jax: " in last


def test_without_a_name_it_is_the_user_s(tmp_path):
    home, named = {"HOME": str(tmp_path)}, str(tmp_path / "named")
    assert start("null", **home)[1] == str(tmp_path / ".cache" / "wavestream" / "jax")
    assert start("null", **home, JAX_COMPILATION_CACHE_DIR=named)[1] == named
    assert start("null", XDG_CACHE_HOME=named)[1] == os.path.join(named, "wavestream", "jax")


def test_an_empty_name_turns_it_off(tmp_path):
    assert start('""', JAX_COMPILATION_CACHE_DIR=str(tmp_path))[:2] == (0, "None")
    assert not any(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"--compilation_cache_dir=.*file/cache is below a file"):
        compilation_cache.enable(str(tmp_path / "file" / "cache"))
    _, folder, err = start("null", XDG_CACHE_HOME=str(tmp_path / "file"))
    assert folder == "None"
    assert "steps are compiled anew at each start: " in err
