"""Options of XLA's compiler."""

import functools

import jax

# Without MLIR's emitters, and optimized less: of `init` 0.4 of the time, and the same results.
_QUICK = {"xla_backend_optimization_level": 1, "xla_cpu_use_fusion_emitters": False}


@functools.cache
def quick_options() -> dict[str, bool | int] | None:
    """Returns options for what runs once: on CPUs XLA compiles faster, to slower code.

    None: on this backend, or with this XLA, there are none.
    """
    if jax.default_backend() != "cpu":
        return None
    try:
        jax.jit(lambda: 0, compiler_options=_QUICK).lower().compile()
    except jax.errors.JaxRuntimeError:  # It refuses options that it does not know.
        return None
    return _QUICK
