"""The order of chunks: a pure function of (seed, step, row of the batch).

Nothing is stored and nothing is replayed: batch k is plain arithmetic, so training may resume at
any step, and a host computes only the rows that it reads.

How chunks are ordered. Let T be the number of chunks, B the global batch. Batch k, row b is
*position* `p = k*B + b` of an endless stream; epoch `e = p // T` begins where epoch e-1 ends, so no
batch is short and every chunk comes exactly once an epoch. Within an epoch, position `i` belongs to
*shard* `r = i % B` (virtual shards: as many as rows, whatever the hosts), and each shard owns T/B
consecutive chunks: a batch therefore holds one chunk from each B-th of the corpus (stratified
sampling; lower variance than drawing them freely). A shard is visited

  * in *runs* of S consecutive chunks, because a run is one read,
  * in *windows* of K steps, because a window fits in memory: its chunks are permuted.

A window holds K/S runs of each shard. They are stratified, too: the runs of a shard are divided
into K/S equal parts, a window takes one run of each, and each part is visited in an order of its
own. So a window holds as many places of the corpus as it can, and windows differ little.

What holds of it, for a value that is constant within each file and T much larger than a window:
two steps of a window share a run of a shard with probability (S-1)/(K-1), which is about the
autocorrelation of batch means at lag one; and 64 steps of one window see nearly all of its B*K/S
runs, if S is 8 and K is 256 (`benchmarks/shuffle_quality.py`).

Each epoch first rotates the ring of all T chunks by a random offset, so that shards and runs begin
elsewhere every time. Runs and windows are aligned to absolute steps: window w is exactly the
batches [w*K, (w+1)*K), whatever the corpus.

Shapes: N is any number of positions. All arithmetic is int64 and exact, on every machine and
version: a change of the order is a breaking change (`tests/pipeline/test_shuffle.py` holds golden
values).
"""

import dataclasses

import numpy as np

from runtime.errors import require_at_least

_MASK32 = 0xFFFFFFFF
_ROUNDS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShuffledOrder:
    """The order of the chunks of one split.

    Attributes:
      num_chunks: T, chunks in an epoch.
      batch_size: B, rows of the global batch.
      run_length: S, chunks in a run.
      window: K, steps in a window.
      seed: random seed of the order.
    """

    num_chunks: int
    batch_size: int
    run_length: int
    window: int
    seed: int

    def __post_init__(self) -> None:
        require_at_least(self, 1, "num_chunks", "batch_size", "run_length", "window")
        require_at_least(self, 0, "seed")

    def occurrences(
        self,
        steps: np.ndarray,  # int64 [N]
        rows: np.ndarray,  # int64 [N], 0 <= row < B
    ) -> np.ndarray:  # int64 [N]
        """Returns the chunk at each (step, row), as `epoch * num_chunks + chunk`.

        Occurrences are unique over all of training, and those of a window are mostly consecutive
        numbers: sorted, they are the reads to perform.
        """
        total, batch = self.num_chunks, self.batch_size
        position = steps * batch + rows
        epoch, index = position // total, position % total
        shard, turn = index % batch, index // batch
        spare = total % batch  # The first `spare` shards own one chunk more.
        length = total // batch + (shard < spare)
        base = shard * (total // batch) + np.minimum(shard, spare)
        start = steps - turn  # The step at which the shard begins in this epoch.
        epoch_key = hash_key(0, self.seed, self.seed >> 32, epoch)
        shard_key = hash_key(epoch_key, shard)

        # Permute within the window, as far as it lies in this epoch.
        window = steps // self.window
        low = np.maximum(start, window * self.window)
        high = np.minimum(start + length, (window + 1) * self.window)
        step = low + permute(steps - low, high - low, hash_key(shard_key, window))

        # Permute the runs that lie wholly in this epoch; a partial one at either end stays in
        # place, so that the result is still a permutation of the shard.
        run = step // self.run_length
        first = -(-start // self.run_length)
        count = (start + length) // self.run_length - first
        whole = (run >= first) & (run < first + count)
        index, size = np.where(whole, run - first, 0), np.where(whole, count, 1)
        moved = first + _spread(index, size, self.window_runs, hash_key(shard_key, -1))
        step = np.where(whole, moved * self.run_length + step % self.run_length, step)

        rotation = hash_key(epoch_key, -1) * 2**30 + hash_key(epoch_key, -2)
        chunk = (base + step - start + rotation % total) % total
        return epoch * total + chunk

    @property
    def length(self) -> int:
        """Chunks in an epoch."""
        return self.num_chunks

    @property
    def window_runs(self) -> int:
        """Runs of a shard in a window."""
        return -(-self.window // self.run_length)

    def batch_occurrences(
        self,
        steps: tuple[int, int],
        rows: tuple[int, int],
    ) -> np.ndarray:  # int64 [(steps[1] - steps[0]) * (rows[1] - rows[0])]
        """Returns the occurrences of a range of batches, step by step, for a range of rows."""
        numbers = np.meshgrid(
            *(np.arange(*x, dtype=np.int64) for x in (steps, rows)), indexing="ij"
        )
        return self.occurrences(*(number.reshape(-1) for number in numbers))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SequentialOrder(ShuffledOrder):
    """Chunks in the order of their numbers, row by row: for evaluation, not for training.

    Attributes:
      count: N, of how many chunks: evenly spaced over all T (systematic sampling).
    """

    count: int

    @property
    def length(self) -> int:
        """Chunks in an epoch: N."""
        return self.count

    def occurrences(self, steps: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Returns the chunk at each (step, row): position * T / N, of all chunks the position."""
        position = steps * self.batch_size + rows
        stride, rest = divmod(self.num_chunks, self.count)
        # Not position * T: of 10^11 chunks that is no int64.
        return position * stride + stride // 2 + position * rest // self.count


def _spread(
    index: np.ndarray,  # int64 [N], 0 <= index < size
    size: np.ndarray,  # int64 [N], at least 1
    parts: int,
    key: np.ndarray,  # int64 [N]
) -> np.ndarray:  # int64 [N]
    """Permutes [0, size) so that any `parts` consecutive indices go to as many different parts.

    The parts are consecutive, of equal length or one more. A part has an order of its own.
    """
    turn, residue = index // parts, index % parts
    spare = size % parts  # The first `spare` parts are longer by one, as are these residues.
    is_long = residue < spare
    offset = np.where(is_long, 0, spare)
    part = offset + permute(residue - offset, np.where(is_long, spare, parts - spare), key)
    length = size // parts
    turn = permute(turn, length + is_long, hash_key(key, part))
    return part * length + np.minimum(part, spare) + turn


def permute(
    index: np.ndarray,  # int64 [N], 0 <= index < size
    size: np.ndarray,  # int64 [N], 1 <= size < 2^53
    key: np.ndarray,  # int64 [N], 0 <= key < 2^32
) -> np.ndarray:  # int64 [N]
    """Returns the image of each index under the permutation of [0, size) that its key selects.

    The generalized Feistel cipher with cycle walking of Black and Rogaway, "Ciphers with arbitrary
    finite domains" (CT-RSA 2002): a bijection of Z_a x Z_b with a*b just over `size`, applied until
    the result lies below `size`. Each shard needs a key of its own, and so each index here.
    """
    left_size = np.sqrt(size.astype(np.float64)).astype(np.int64) + 1
    right_size = -(-size // left_size)
    value = _cipher(index, left_size, right_size, key)
    while (outside := np.flatnonzero(value >= size)).size:  # Few: a*b is just over `size`.
        parameters = (array[outside] for array in (value, left_size, right_size, key))
        value[outside] = _cipher(*parameters)
    return value


def _cipher(
    value: np.ndarray, left_size: np.ndarray, right_size: np.ndarray, key: np.ndarray
) -> np.ndarray:  # int64 [N], as all arguments
    left, right = np.divmod(value, right_size)
    for number in range(0, _ROUNDS, 2):
        left = (left + _mix(right, key, number)) % left_size
        right = (right + _mix(left, key, number + 1)) % right_size
    return left * right_size + right


def hash_key(key: np.ndarray | int, *parts: np.ndarray | int) -> np.ndarray:
    """Returns 32 well-mixed bits of a key and the low 32 bits of each part, as int64."""
    key = np.asarray(key, np.int64)
    for number, part in enumerate(parts):
        # Seeds may have 64 bits, and -1 all of them.
        key = _mix(np.asarray(part & _MASK32, np.int64), key, number)
    return key


def _mix(value: np.ndarray, key: np.ndarray, number: int) -> np.ndarray:
    """Mixes 32-bit `value` and `key` in int64, with no product of 2^63 or more.

    An integer hash of the form of C. Wellons, "Prospecting for Hash Functions", with multipliers
    below 2^31 so that products stay exact.
    """
    value = value + (key ^ number * 0x9E3779B9 % 2**32) & _MASK32
    value = (value ^ value >> 16) * 0x21F0AAAD & _MASK32
    value = (value ^ value >> 15) * 0x735A2D97 & _MASK32
    return value ^ value >> 15
