"""The plan of one shuffle window, as the graph asks for it: arrays in, arrays out.

N files, P reads, M chunks, Q calls.
"""

import dataclasses
import json

import numpy as np

from pipeline.config import PipelineConfig
from pipeline.reading.chunk_index import Chunks
from pipeline.reading.read_plan import file_columns, plan_reads
from pipeline.shuffle import SequentialOrder, ShuffledOrder

READ_COLUMNS = (
    *("size", "mtime_ns", "frames", "encoding", "channels", "begin", "length"),
    *("slot_bytes", "slot_frames", "skip", "samples", "chunks"),
)
"""Of the second result of `plan_window`; see `read_plan.ReadPlan`."""

CHUNK_COLUMNS = ("read", "stop", "channels", "channel", "position", "frames", "index")
"""Likewise of the third; `index` is the place in the stream of this host's rows."""

# Steps of the first stretch: enough until the devices have their first batches. So few are read
# at once; the rest of the window follows while they are used.
_HEAD_STEPS = 4

_ORDERS = {order.__name__: order for order in (ShuffledOrder, SequentialOrder)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Windows:
    """The stretches of steps that are planned, read and put in order at once.

    The first is a short one, the others are the windows of the order, of which the first and the
    last may be cut.

    Attributes:
      order: of the chunks.
      rows: the rows [first, last) of the global batch to read.
      first_step: of the first stretch.
      last_step: after the last one.
      config: of the chunks.
    """

    order: ShuffledOrder
    rows: tuple[int, int]
    first_step: int
    last_step: int
    config: PipelineConfig

    def __len__(self) -> int:
        first_window = self._head // self.order.window
        return 1 + max(0, -(-self.last_step // self.order.window) - first_window)

    @property
    def _head(self) -> int:
        return min(self.first_step + _HEAD_STEPS, self.last_step)

    def steps(self, number: int) -> tuple[int, int]:
        """Returns the steps [first, last) of a stretch."""
        if number == 0:
            return self.first_step, self._head
        window = self._head // self.order.window + number - 1
        begin, end = (step * self.order.window for step in (window, window + 1))
        return max(begin, self._head), min(end, self.last_step)

    def to_json(self) -> str:
        """Returns what `from_json` reads."""
        return json.dumps({**dataclasses.asdict(self), "kind": type(self.order).__name__})

    @classmethod
    def from_json(cls, text: str | bytes) -> "Windows":
        """Returns the windows that `to_json` described."""
        values = json.loads(text)
        order = _ORDERS[values.pop("kind")](**values.pop("order"))
        rows, config = tuple(values.pop("rows")), PipelineConfig(**values.pop("config"))
        return cls(order=order, rows=rows, config=config, **values)


def plan_inputs(chunks: Chunks, windows: Windows) -> list[str | np.ndarray]:
    """Returns the arguments of `plan_window` but for the first."""
    columns = file_columns(chunks)
    return [windows.to_json(), json.dumps([*columns]), *columns.values()]


def plan_window(
    number: np.ndarray,  # int64 []
    windows: bytes,
    names: bytes,
    *columns: np.ndarray,
) -> tuple[np.ndarray, ...]:  # bytes [P]; int64 [P, READ_COLUMNS], [M, CHUNK_COLUMNS], [Q, 4]
    """Plans one of the stretches that `Windows` describes; see `plan_inputs`.

    Returns:
      The paths, the reads and the chunks, in the order of the corpus, so that neighbours become one
      read; `index` says where each belongs. And for each call its first read and its first
      chunk, and those of the next call.
    """
    stretch = Windows.from_json(windows)
    steps = stretch.steps(int(number))
    occurrences = stretch.order.batch_occurrences(steps, stretch.rows)
    in_corpus = np.argsort(occurrences)
    table = dict(zip(json.loads(names), columns, strict=True))
    plan = plan_reads(table, occurrences[in_corpus], stretch.config)
    index = steps[0] * (stretch.rows[1] - stretch.rows[0]) + in_corpus
    chunks = {**plan.chunks, "index": index}
    return (
        plan.paths,
        np.stack([plan.reads[name] for name in READ_COLUMNS], axis=1),
        np.stack([chunks[name] for name in CHUNK_COLUMNS], axis=1),
        np.concatenate([plan.calls[:-1], plan.calls[1:]], axis=1),
    )
