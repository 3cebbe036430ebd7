"""Runs a module's `digest` as another processor would, in a process of its own."""

import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping

ROOT = pathlib.Path(__file__).parents[2]


def digest_elsewhere(module: str, settings: Mapping[str, str], cache: os.PathLike) -> str:
    """Returns the digest, compiled anew.

    Args:
      module: a test that has a function `digest`.
      settings: environment variables, such as NUMBA_CPU_NAME.
      cache: an empty folder.
    """
    done = subprocess.run(
        [sys.executable, "-c", f"from {module} import digest; print(digest())"],
        cwd=ROOT,
        env={**os.environ, **settings, "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
