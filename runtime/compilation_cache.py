"""JAX's persistent compilation cache: what one start has compiled, the next one reads."""

import os

from runtime import atomic_files, filesystem
from runtime.logging import log_once

FLAG = "--compilation_cache_dir"
# What takes less to compile is not kept. JAX's own second leaves out half the start of a small run.
_MIN_SECONDS_NAME, _MIN_SECONDS = "jax_persistent_cache_min_compile_time_secs", 0.2


def enable(folder: str | None) -> None:
    """Keeps what is compiled from now on for the next start, and uses what is kept.

    JAX names each entry by the program, the devices, their features, and the versions of compiler
    and JAX, so that any number of machines may share a folder. Of several hosts the first one alone
    writes. Whoever can write there can run code in every process that reads it.

    Args:
      folder: local or a bucket's; None: JAX_COMPILATION_CACHE_DIR, else one of this user's; empty:
        nothing is kept.

    Raises:
      OSError, MissingDependencyError, DataError: the given folder cannot be written; of the default
        this is no more than a warning.
    """
    import jax

    if folder is None and jax.config.values["jax_compilation_cache_dir"]:
        return
    if folder:
        folder = os.path.expanduser(folder)
        atomic_files.make_writable_folder(folder, FLAG)
    elif folder is None:
        folder = filesystem.cache_folder("jax")
        try:
            atomic_files.make_writable_folder(folder, FLAG)
        except OSError as error:
            log_once(FLAG, "steps are compiled anew at each start: %s", error)
            folder = None
    jax.config.update("jax_compilation_cache_dir", folder or None)
    if _MIN_SECONDS_NAME.upper() not in os.environ:
        jax.config.update(_MIN_SECONDS_NAME, _MIN_SECONDS)
