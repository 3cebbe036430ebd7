"""Codecs that are programs on the PATH, all optional.

Every program here has been run, and its own decoder has restored the same samples. To add one that
reads a WAV file and writes a file, add an entry to PROGRAMS.
"""

import dataclasses
import functools
import math
import os
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterable

import numpy as np

from evaluation.baselines.pcm import CodecError, Encoded, PcmFormat, write_wav

_VERSION = re.compile(rb"\d+(?:\.\d+)+")
_SECONDS_PER_MB = 20  # WavPack -hh -x takes 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """A program that encodes a WAV file.

    Attributes:
      key: its short name in flags.
      name: of the codec, with its options.
      executable: its name on the PATH.
      arguments: to encode `in.wav` to `output`, separated by spaces.
      output: name of the encoded file, such as "out.wv".
      version_argument: to print its version.
      container: from the path of an encoded file, its bytes without audio; NaN if unknown.
      timeout: in seconds, plus _SECONDS_PER_MB per megabyte of samples.
    """

    key: str
    name: str
    executable: str
    arguments: str
    output: str
    version_argument: str = "--version"
    container: Callable[[str], float] = lambda path: math.nan
    timeout: float = 60.0
    in_process: bool = dataclasses.field(default=False, init=False)

    @functools.cached_property
    def version(self) -> str:
        try:
            output = subprocess.run(
                [self.executable, self.version_argument],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=10,
            ).stdout
        except (OSError, subprocess.TimeoutExpired):
            return ""
        found = _VERSION.search(output)
        return f"{self.executable} {found[0].decode()}" if found else ""

    def encode(self, pcm: PcmFormat, blocks: Iterable[np.ndarray]) -> Encoded:
        with tempfile.TemporaryDirectory(
            prefix="wavestream_", ignore_cleanup_errors=True
        ) as folder:
            with open(os.path.join(folder, "in.wav"), "wb") as wav:
                write_wav(wav, pcm, blocks)
            self._run(folder, self.timeout + _SECONDS_PER_MB * pcm.num_bytes / 1e6)
            output = os.path.join(folder, self.output)
            if not os.path.exists(output) or not os.path.getsize(output):
                raise CodecError(f"{self.executable} reported no error, but wrote nothing")
            return Encoded(os.path.getsize(output), self.container(output))

    def _run(self, folder: str, timeout: float) -> None:
        # To a file, not a pipe: a child process that outlives the program would hold a pipe open.
        with open(os.path.join(folder, "log"), "w+b") as log:
            try:
                code = subprocess.run(
                    [self.executable, *self.arguments.split()],
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    timeout=timeout,
                ).returncode
            except subprocess.TimeoutExpired as error:
                raise CodecError(
                    f"{self.executable} was killed: it took longer than {self.timeout:.0f} s and"
                    f" {_SECONDS_PER_MB} s per megabyte"
                ) from error
            except OSError as error:
                reason = f"{self.executable} cannot be started: {error.strerror}"
                raise CodecError(reason) from error
            if code:
                log.seek(0)
                line = _last_line(log.read())
                raise CodecError(f"{self.executable} exited with status {code}: {line!r}")


def _last_line(log: bytes) -> str:
    lines = [line.strip() for line in re.split(r"[\r\n\b]+", log.decode(errors="replace"))]
    return next((line[:200] for line in reversed(lines) if line), "")


def wavpack_container(path: str) -> float:
    """Counts the bytes of a WavPack file that decoding the samples does not need.

    These are optional sub-blocks (the WAV header, a checksum and the like), and whole blocks
    without samples. According to "WavPack 4 & 5 Binary File / Block Format", a block is a header of
    32 bytes and sub-blocks, which have an id and their length in words of 16 bits.
    """
    container = 0
    with open(path, "rb") as file:
        while header := file.read(32):
            if len(header) < 32 or header[:4] != b"wvpk":
                return math.nan
            size, samples = struct.unpack_from("<4xI12xI", header)
            block = file.read(size - 24)
            container += _optional_bytes(block) if samples else 32 + len(block)
    return container


def _optional_bytes(block: bytes) -> int:
    """Returns the bytes of a WavPack block's sub-blocks that are marked as optional."""
    optional = begin = 0
    while begin < len(block):
        is_large = bool(block[begin] & 0x80)
        end_of_size = begin + (4 if is_large else 2)
        end = end_of_size + 2 * int.from_bytes(block[begin + 1 : end_of_size], "little")
        if block[begin] & 0x20:
            optional += end - begin
        begin = end
    return optional


PROGRAMS = (
    # Tested with 5.6.0: 8, 16, 24 and 32 bits, 1 to 3 channels.
    Program(
        key="wavpack",
        name="WavPack -hh -x",
        executable="wavpack",
        arguments="-hh -x -q -y in.wav -o out.wv",
        output="out.wv",
        container=wavpack_container,
    ),
)


def find_programs() -> list[Program]:
    """Returns the programs that are on the PATH."""
    return [program for program in PROGRAMS if shutil.which(program.executable)]


def missing_programs(keys: Collection[str]) -> list[str]:
    """Returns the programs of these keys that are not on the PATH: ["WavPack -hh -x (wavpack)"]."""
    found = find_programs()
    return [
        f"{program.name} ({program.executable})"
        for program in PROGRAMS
        if program.key in keys and program not in found
    ]
