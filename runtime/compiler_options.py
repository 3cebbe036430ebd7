"""Options of XLA's compiler, with which it takes less time on CPUs."""

import functools

import jax

Options = dict[str, bool | int]

_LIGHT: Options = {"xla_backend_optimization_level": 1}
_LEAST: Options = {**_LIGHT, "xla_cpu_use_fusion_emitters": False}


@functools.cache
def light_options() -> Options | None:
    """Returns options for large programs: they compile in 0.8 to 0.9 of the time, and are as fast.

    Seen of a transformer's training step. Last bits of results may be others.
    """
    return _if_known(_LIGHT)


@functools.cache
def least_options() -> Options | None:
    """Returns options for what runs once: compiled in 0.4 of the time, to slower code.

    Seen of the initial parameters, whose bits are the same.
    """
    return _if_known(_LEAST)


def _if_known(options: Options) -> Options | None:
    """Returns the options; None: of this backend, or with this XLA, there are none."""
    if jax.default_backend() != "cpu":
        return None
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:  # It refuses options that it does not know.
        return None
    return options
