"""Metrics to Weights & Biases, from a process of its own.

wandb waits for the network when it starts, when it finishes and when Python exits, not always
within its own timeouts (0.28 without a network delays the exit for more than ten minutes), and it
prompts for a key on a terminal. So it runs in a child process without a terminal, which can be
killed: this file, run as a script. The child reads lines of JSON, the arguments of `wandb.init` and
then `[step, metrics]` until its input ends, or `[null, metrics]` for the summary; it writes
`{"run": place}` when wandb has started, and `{"finished": true}` or `{"error": reason}` at the end.
"""

import contextlib
import json
import logging
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

logger = logging.getLogger("wavestream")


class WandbWriter:
    """Passes metrics to wandb, and waits for it in `close` only, for a bounded time.

    If wandb cannot start online, it records offline, with a warning; if that fails as well, or if
    wandb fails later, a warning says that it is off.
    """

    def __init__(
        self,
        project: str,
        run_name: str,
        config: Mapping[str, Any],
        directory: str | os.PathLike[str],
        *,
        run_id: str,
        summary: Mapping[str, float] | None = None,
        start_seconds: float = 30,
        close_seconds: float = 60,
    ) -> None:
        """Starts wandb in the background.

        Args:
          project: the wandb project.
          run_name: name of the run.
          config: settings of the run, JSON values.
          directory: a local folder; wandb writes to `wandb/` in it.
          run_id: id of the run: with that of an earlier process, its run is continued.
          summary: the last metrics of the earlier process.
          start_seconds: timeout for wandb to start online, and again offline.
          close_seconds: timeout of `close`, for what is not yet sent.
        """
        self._arguments = {
            "project": project,
            "name": run_name,
            "id": run_id,
            "resume": "allow",
            "config": dict(config),
            "dir": os.fspath(directory),
            # Below start_seconds, so that wandb itself can report what is wrong.
            "settings": {"init_timeout": start_seconds / 2},
        }
        self._start_seconds = start_seconds
        self._close_seconds = close_seconds
        self._records: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        if summary:
            self._records.put(json.dumps([None, dict(summary)]))
        self._end_reason = "its process died"
        self._child: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._feed, name="wandb", daemon=True)
        self._thread.start()

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Queues the metrics of one step without waiting."""
        if self._thread.is_alive():
            values = {name: float(value) for name, value in metrics.items()}
            self._records.put(json.dumps([int(step), values]))

    def close(self) -> None:
        """Waits until wandb has sent everything, or kills it after `close_seconds`."""
        self._records.put(None)
        self._thread.join(self._close_seconds)
        if self._thread.is_alive() and self._child is not None:
            self._end_reason = f"it did not finish in {self._close_seconds:g} s"
            self._child.kill()
            self._thread.join(1)

    def _feed(self) -> None:
        try:
            child = self._start_online_or_offline()
            try:
                while (record := self._records.get()) is not None:
                    print(record, file=child.stdin, flush=True)
            except BrokenPipeError:
                pass  # The child has exited; its reply below has the reason.
            reply, _ = child.communicate()
            if '"finished"' not in reply:
                raise RuntimeError(_error(reply) or self._end_reason)
        except Exception as error:
            logger.warning("wandb is off for the rest of this run: %s", error)

    def _start_online_or_offline(self) -> subprocess.Popen[str]:
        try:
            child, place = self._start(self._arguments)
        except RuntimeError as error:
            child, place = self._start({**self._arguments, "mode": "offline"})
            logger.warning(
                "wandb cannot start (%s) and records offline; to upload: wandb sync %s",
                error,
                place,
            )
        else:
            logger.info("wandb: %s", place)
        return child

    def _start(self, arguments: Mapping[str, Any]) -> tuple[subprocess.Popen[str], str]:
        """Returns the child and the URL or directory of its run."""
        # -P: this folder is not on the path, or `import wandb` would find this file.
        child = subprocess.Popen(
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # Ctrl-C and a closed terminal must not reach it.
        )
        self._child = child
        deadline = threading.Timer(self._start_seconds, child.kill)
        deadline.start()
        assert child.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError):  # The reply has the reason.
                print(json.dumps(arguments), file=child.stdin, flush=True)
            reply = child.stdout.readline()
        finally:
            deadline.cancel()
        if '"run"' not in reply:
            child.kill()
            child.communicate()
            raise RuntimeError(_error(reply) or f"no answer in {self._start_seconds:g} s")
        return child, json.loads(reply)["run"]


def _error(reply: str) -> str:
    return json.loads(reply)["error"] if reply else ""


def _serve() -> None:
    """The main function of the child: from records on stdin to replies on stdout."""
    # Copies: the processes of wandb do not inherit them, and its own output goes to /dev/null.
    records, replies = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    try:
        import wandb

        run = wandb.init(**json.loads(records.readline()))
        print(json.dumps({"run": run.url or os.path.dirname(run.dir)}), file=replies, flush=True)
        for record in records:
            step, metrics = json.loads(record)
            if step is None:
                run.summary.update(metrics)
            else:
                run.log(metrics, step=step)
        run.finish()
        print(json.dumps({"finished": True}), file=replies, flush=True)
    except BaseException as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        print(json.dumps({"error": reason}), file=replies, flush=True)
        os._exit(1)  # Exit handlers of wandb may wait for the network forever.


if __name__ == "__main__":
    _serve()
