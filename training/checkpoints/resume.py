"""From which checkpoint a run goes on; the files of a run that it replaces are backed up."""

from collections.abc import Mapping
from typing import Any

from evaluation.training_runs.metrics_log import METRICS, TIMING
from runtime.filesystem import exists
from runtime.formatting import format_row
from runtime.logging import logger
from training.checkpoints.backup import back_up
from training.checkpoints.checkpoint_file import Checkpoint
from training.checkpoints.compatibility import check_resumable, is_same_run
from training.checkpoints.store import CheckpointStore
from training.config import RunConfig


def find_start(
    config: RunConfig, model_config: Any, settings: Mapping[str, Any], store: CheckpointStore | None
) -> Checkpoint | None:
    """Returns the checkpoint to resume from, or None, with the files of an earlier run backed up.

    Args:
      config: the run.
      model_config: a dataclass, see `Model.config`.
      settings: the run's `compatibility.run_settings`.
      store: its checkpoints; None: there are none.

    Raises:
      TrainingError: there is a run to go on with, but with other settings or more steps.
    """
    start = None
    if store is not None and not config.checkpoint.fresh:
        start = store.restore()
    allowed = config.checkpoint.allow_change
    if start is not None and is_same_run(start, settings, allowed):
        check_resumable(start, settings, allowed, model_config)
        steps = config.training.training_steps
        if start.step == steps:
            row = format_row("finished", f"all {steps} steps are done; --fresh trains anew")
        else:
            row = format_row("resuming", f"after step {start.step} of {steps}")
        logger.info("%s", row)
        return start
    if start is None and not config.checkpoint.fresh and exists(config.path(METRICS)):
        logger.info(
            "%s", format_row("starting over", "the run here ended before its first checkpoint")
        )
    # Only now, when there is audio to train on: a mistyped folder leaves an earlier run untouched.
    for suffix in (METRICS, TIMING, "_curves.png", "_checkpoints"):
        back_up(config.path(suffix))
    return None
