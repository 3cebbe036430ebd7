"""The Python that the graph calls: a plan a window, and a call a second to a minute of audio.

A graph does not contain Python functions, but their tokens in a registry of the process that runs
it. For another process that is a name that both sides agree on.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from pipeline.reading.byte_ranges import OnUnreadable, read_ranges
from pipeline.reading.window_plan import plan_window
from runtime.private_apis import register_py_func

VERSION = "wavestream_2"
"""Begins the names of functions in graphs for other processes: that of their signatures."""

PLAN, READ = f"{VERSION}_plan_window", f"{VERSION}_read_ranges"


def call_python(
    token: str,
    function: Callable | None,
    inputs: Sequence[Any],
    outputs: Sequence[tf.DType],
) -> Sequence[tf.Tensor]:
    """Calls a function of NumPy arrays in the graph.

    Args:
      token: its name in other processes.
      function: what this process calls; None makes a graph for another one, see `serve_python`.
      inputs: tensors.
      outputs: types of the results.
    """
    if function is None:
        return tf.raw_ops.PyFuncStateless(input=inputs, token=token, Tout=outputs)
    return tf.numpy_function(function, inputs, outputs, stateful=False)


def serve_python(on_unreadable: OnUnreadable) -> None:
    """Registers the functions for graphs of other processes, which name them by tokens."""
    register_py_func(PLAN, plan_window)
    register_py_func(READ, functools.partial(read_ranges, on_unreadable=on_unreadable))
