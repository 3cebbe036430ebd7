"""The step of a model, compiled once: the same floats whenever it is given the same.

R rows, O outputs.
"""

import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from codec.header import PROBE_BYTES
from models.interface import Inputs, Params, StepModel
from models.networks.cache import Cache, advance_cache

_PROBE_STEPS = 24  # At the beginning of a chunk, and at its end.

# Without threads of its own a step computes the same whatever the number of cores, and is as fast:
# segments are coded side by side.
# On a GPU, two processes must choose the same kernels.
_OPTIONS: dict[str, dict[str, bool | str]] = {
    "cpu": {"xla_cpu_multi_thread_eigen": False},
    "gpu": {"xla_gpu_autotune_level": "0", "xla_gpu_exclude_nondeterministic_ops": True},
}


class CompiledStep:
    """One position of R chunks, of one shape for ever."""

    def __init__(self, model: StepModel, params: Params, rows: int, length: int) -> None:
        """Compiles.

        Args:
          model: the model.
          params: its parameters.
          rows: R.
          length: of a chunk.
        """
        self._model = model
        self._rows, self._length = rows, length
        self._device = jax.local_devices(backend=model.platform)[0]
        self._params = jax.device_put(model.step_params(params), self._device)
        caches = self.begin()
        inputs = _example(model, rows)
        jitted = jax.jit(self._step, donate_argnums=2)
        lowered = jitted.lower(self._params, inputs, *_split(caches), np.int32(0))
        self._compiled = lowered.compile(compiler_options=_OPTIONS.get(model.platform))

    def begin(self) -> list[Cache]:
        """Returns the caches before the first position."""
        with jax.default_device(self._device):
            return list(self._model.init_caches(self._rows, self._length))

    def __call__(
        self, inputs: Inputs, caches: list[Cache], position: int
    ) -> tuple[np.ndarray, list[Cache]]:
        """Returns a position's outputs, float32 [R, O], and the caches for the next one.

        Outputs are log-weights, centres and logarithms of scales. The caches that were given must
        not be used again.
        """
        filling, full = _split(caches)
        outputs, filling = self._compiled(self._params, inputs, filling, full, np.int32(position))
        joined = [Cache(f, g) for f, g in zip(full, filling, strict=True)]
        return np.array(outputs), [advance_cache(cache, position) for cache in joined]

    def probe(self) -> bytes:
        """Returns a hash of what the step computes of inputs that are made of integers."""
        digest = hashlib.blake2b(digest_size=PROBE_BYTES)
        caches, shapes = self.begin(), _example(self._model, self._rows)
        first = range(min(_PROBE_STEPS, self._length))
        last = range(max(first.stop, self._length - _PROBE_STEPS), self._length)
        for number, position in enumerate([*first, *last]):
            if position == last.start:  # As if what came before were full of the first steps.
                caches = [_fill(cache) for cache in caches]
            inputs = {name: _numbers(number, like) for name, like in shapes.items()}
            outputs, caches = self(inputs, caches, position)
            digest.update(np.ascontiguousarray(outputs, "<f4").tobytes())
        return digest.digest()

    def _step(self, params: Params, inputs: Inputs, filling: Any, full: Any, position: Any) -> Any:
        caches = [Cache(f, g) for f, g in zip(full, filling, strict=True)]
        mixture, filling = self._model.step(params, inputs, caches, position)
        return jnp.concatenate(mixture, -1), filling


def _split(caches: list[Cache]) -> tuple[list, list]:
    """Returns what a step overwrites, and what it only reads."""
    return [cache.filling for cache in caches], [cache.full for cache in caches]


def _fill(cache: Cache) -> Cache:
    return Cache((jax.tree.map(jnp.copy, cache.filling),) * len(cache.full), cache.filling)


def _example(model: StepModel, rows: int) -> dict[str, np.ndarray]:
    names = ("stop", "position", "frames", "channels", "block")
    inputs, _ = model.init_rows({name: np.zeros(rows, np.int64) for name in names}).predict()
    return dict(inputs)


def _numbers(seed: int, like: np.ndarray) -> np.ndarray:
    """Returns numbers from -64 to 63.5, or from 1 on where they must be positive: by a hash."""
    index = np.arange(like.size, dtype=np.uint64) + np.uint64(seed * 2**32 + 1)
    mixed = (index * np.uint64(0x9E3779B97F4A7C15)) ^ (index >> np.uint64(7))
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    small = ((mixed >> np.uint64(56)).astype(np.int64) - 128).reshape(like.shape) / 2
    return np.where(like > 0, 1 + np.abs(small), small).astype(like.dtype)
