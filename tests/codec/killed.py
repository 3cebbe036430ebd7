"""Commands that are killed at random instants: `python -m tests.codec.killed`.

What they need is imported and compiled once, and each is a fork of this process.
"""

import os
import pathlib
import random
import re
import signal
import sys
import tempfile
import time

from commands import parser
from main import COMMANDS
from tests.golden.check import FOLDER, compress, decompress, read

KILLS = 20


def start(*arguments: str) -> int:
    """Runs a command in a fork; returns its process."""
    process = os.fork()
    if process == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (1, 2):
            os.dup2(null, stream)
        sys.argv = ["main.py", *arguments, f"--model={FOLDER / 'model.npz'}", "--jobs=2"]
        try:
            parser.run(COMMANDS)
        except SystemExit as error:
            os._exit(int(error.code or 0))
        finally:
            os._exit(1)  # A bug's traceback has been printed.
    return process


def kill_again_and_again(folder: pathlib.Path, before: dict[str, bytes], *arguments: str) -> int:
    """Starts a command and kills it, again and again; returns how often it was not done.

    Args:
      folder: an empty one, for files.
      before: names and contents of the files that the command is given.
      arguments: of the command.

    Raises:
      AssertionError: a file is lost, or neither the old nor the finished one.
    """
    chance = random.Random(0)
    seconds = 0.0
    killed = 0
    for number in range(KILLS + 1):
        for name, content in before.items():
            (folder / name).write_bytes(content)
        begin = time.monotonic()
        process = start(*arguments, *(str(folder / name) for name in before))
        if number:
            time.sleep(chance.uniform(0, 1.1 * seconds))
            os.kill(process, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        assert status == 0 or (number and status == -signal.SIGKILL), status
        killed += status != 0
        seconds = seconds or time.monotonic() - begin
        check(folder, before, is_deleted="--delete_input_file" in arguments)
        for path in folder.iterdir():
            path.unlink()
    return killed


def check(folder: pathlib.Path, before: dict[str, bytes], *, is_deleted: bool) -> None:
    """Raises AssertionError where a file is lost, or neither the old nor the finished one."""
    found = {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if not re.fullmatch(r"\.[0-9a-f]{16}\.tmp", path.name)
    }
    sources = {stem(name): source(name, content) for name, content in before.items()}
    for name, content in found.items():
        assert content == before.get(name, content), f"{name} has changed"
        assert source(name, content) == sources[stem(name)], f"{name} is wrong"
    for name in before:
        assert name in found or (is_deleted and f"{name}.wvst" in found), f"{name} is lost"


def stem(name: str) -> str:
    """The name of a source."""
    return name.removesuffix(".wvst")


def source(name: str, content: bytes) -> bytes:
    """What a file holds, compressed or not."""
    return content if name == stem(name) else decompress(content)


def main() -> None:
    """Kills compress and decompress; prints how often."""
    packed = {f"{name}.wav.wvst": read(name) for name in ("tags", "second_leads", "lags")}
    plain = {stem(name): decompress(content) for name, content in packed.items()}
    for content in plain.values():
        compress(content, 500, 2)  # What is compiled, is.
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        print(
            kill_again_and_again(folder, plain, "compress", "--segment=1024"),
            kill_again_and_again(
                folder, plain, "compress", "--segment=1024", "--delete_input_file"
            ),
            kill_again_and_again(folder, packed, "decompress"),
        )


if __name__ == "__main__":
    main()
