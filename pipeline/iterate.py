"""Iterators over the graph that let the program end."""

import atexit
import sys
import traceback
import weakref
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

NumpyBatch = dict[str, np.ndarray]


class _BatchIterator(Iterator[NumpyBatch]):
    """A dataset's iterator that can be closed, which TensorFlow's cannot."""

    def __init__(self, dataset: tf.data.Dataset) -> None:
        self._batches: Iterator[NumpyBatch] = dataset.as_numpy_iterator()

    def __next__(self) -> NumpyBatch:
        return next(self._batches)

    def close(self) -> None:
        """Drops the only reference to the graph's iterator, which ends its threads."""
        self._batches = iter(())


_iterators: weakref.WeakSet[_BatchIterator] = weakref.WeakSet()


def iterate(dataset: tf.data.Dataset) -> Iterator[NumpyBatch]:
    """Returns the batches of a dataset as NumPy arrays; the iterator is closed at exit.

    Use it in place of `as_numpy_iterator`: the graph calls into Python (see `byte_ranges`). A
    thread that does so while the interpreter shuts down never returns, and the iterator that joins
    it would block the exit forever.
    """
    iterator = _BatchIterator(dataset)
    _iterators.add(iterator)
    return iterator


@atexit.register
def _close_iterators() -> None:
    # Frames of the exception that ended the program may hold references to graph iterators.
    error = getattr(sys, "last_value", None)
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
    for iterator in list(_iterators):
        iterator.close()
