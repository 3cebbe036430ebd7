"""What the training loop is given, and what it gives back."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from models.config import ModelConfig
from training.checkpoints.schedule import CheckpointSchedule
from training.config import TrainingConfig
from training.metrics.writers import MetricWriter
from training.step import Batch


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What to train, on what.

    Attributes:
      train_data: from a number to the endless batches from that one on: this host's rows.
      valid_data: one pass over the held-out split, or None.
      model: the model.
      config: how to train it.
      bits: of a raw symbol, which the compression ratio is relative to.
      writer: takes the metrics.
      saver: saves the run.
      problem: asked after each step; tells why the run must end, or None.
      describe_batch: says what a batch of training holds.
      profile_dir: where `config.profile` writes its trace.
    """

    train_data: Callable[[int], Iterator[Batch]]
    valid_data: tf.data.Dataset | None
    model: ModelConfig
    config: TrainingConfig
    bits: int
    writer: MetricWriter
    saver: CheckpointSchedule
    problem: Callable[[], str | None] = lambda: None
    describe_batch: Callable[[int], str] = "batch {}".format
    profile_dir: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What came out of a run.

    Attributes:
      params: the model's parameters, NumPy arrays.
      steps: how many were done.
      train: the metrics of the last steps.
      valid: those of the last validation; empty where there is no held-out split.
      signal: the number of the signal that ended it before its last step, or None.
      failure: why it ended before its last step, if not by a signal.
      seconds: from the first batch asked for to the end.
    """

    params: Any
    steps: int
    train: Mapping[str, float]
    valid: Mapping[str, float]
    signal: int | None
    failure: str | None
    seconds: float

    @property
    def interrupted(self) -> bool:
        """Whether it ended before its last step."""
        return self.signal is not None or self.failure is not None
