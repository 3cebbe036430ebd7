"""What the servers of gs:// and s3:// have in common: machines that see their buckets."""

import abc
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Self

from tests.command_line import ROOT
from tests.faulty_proxy import FaultyProxy

Command = Sequence[str | os.PathLike]

_OF_THE_USER = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class BucketServer(abc.ABC):
    """Buckets that live as long as the object; `with` ends it.

    Attributes:
      proxy: what is between the machines and the buckets: has faults, counts requests.
    """

    proxy: FaultyProxy

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.stop()

    @abc.abstractmethod
    def stop(self) -> None:
        """Ends it; its buckets are gone."""

    @abc.abstractmethod
    def variables(self) -> dict[str, str]:
        """Returns the variables by which a process sees the buckets."""

    @abc.abstractmethod
    def put(self, bucket: str, name: str, content: bytes) -> None:
        """Writes an object, past the proxy."""

    @abc.abstractmethod
    def get(self, bucket: str, name: str) -> bytes:
        """Returns the content of an object, past the proxy."""

    @abc.abstractmethod
    def delete(self, bucket: str, name: str) -> None:
        """Deletes an object, past the proxy."""

    @abc.abstractmethod
    def names(self, bucket: str, prefix: str = "") -> list[str]:
        """Returns the sorted names of the objects that begin with `prefix`, past the proxy."""

    def objects(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        """Returns the objects of which the names begin with `prefix`."""
        return {name: self.get(bucket, name) for name in self.names(bucket, prefix)}

    def put_folder(self, bucket: str, name: str, folder: str | os.PathLike) -> None:
        """Writes the files below a local folder, as objects `name`/..."""
        for path in sorted(pathlib.Path(folder).rglob("*")):
            if path.is_file():
                self.put(bucket, f"{name}/{path.relative_to(folder)}", path.read_bytes())

    def popen(
        self,
        command: Command,
        *,
        env: Mapping[str, str] | None = None,
        **kwargs,
    ) -> "subprocess.Popen[str]":
        """Starts a command in the repository that sees the buckets.

        Args:
          command: the program and its arguments.
          env: variables on top of those of this process and `variables()`.
          **kwargs: for `subprocess.Popen`; by default its output is piped, as text.
        """
        environment = {
            name: value for name, value in os.environ.items() if name.lower() not in _OF_THE_USER
        }
        environment |= {"TF_CPP_MIN_LOG_LEVEL": "2"} | self.variables() | dict(env or {})
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        kwargs = pipes | {"cwd": ROOT, "env": environment, "text": True} | kwargs
        return subprocess.Popen(command, **kwargs)

    def run(
        self,
        command: Command,
        *,
        env: Mapping[str, str] | None = None,
        timeout: float = 120,
    ) -> "subprocess.CompletedProcess[str]":
        """Runs a command to its end, whatever its status; see `popen`."""
        with self.popen(command, env=env) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def run_python(self, program: str, **kwargs: Any) -> "subprocess.CompletedProcess[str]":
        """Runs a Python program, given as text; see `run`."""
        return self.run([sys.executable, "-c", program], **kwargs)

    def run_main(self, *args: str, **kwargs: Any) -> "subprocess.CompletedProcess[str]":
        """Runs main.py; see `run`."""
        return self.run([sys.executable, "main.py", *args], **kwargs)
