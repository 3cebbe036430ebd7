"""Codecs that are programs on the PATH: found, not required.

The options are from the programs' own help texts; WavPack 5.6 alone has been tried with them.
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

_VERSION = re.compile(rb"(?:version|release|\bv|wavpack) *(\d+(?:\.\d+)*)", re.IGNORECASE)
# Ten times what the slowest of them takes: half a MB a second.
_SECONDS_PER_MB = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """A program that encodes a WAV file.

    Attributes:
      key: by which flags choose it.
      name: of the codec, with its options.
      executable: its name on the PATH.
      arguments: that make it encode `in.wav` to `output`, parted by spaces.
      output: such as "out.wv".
      version_argument: makes it tell its version; without any most programs do.
      container: tells the bytes of a file that hold no audio; NaN where unknown.
      timeout: seconds that it may take, and more the longer the file is.
    """

    key: str
    name: str
    executable: str
    arguments: str
    output: str
    version_argument: str = ""
    container: Callable[[str], float] = lambda path: math.nan
    timeout: float = 60.0
    in_process: bool = dataclasses.field(default=False, init=False)

    @functools.cached_property
    def version(self) -> str:
        try:
            output = subprocess.run(
                [self.executable, *self.version_argument.split()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=10,
            ).stdout
        except (OSError, subprocess.TimeoutExpired):
            return ""
        found = _VERSION.search(output)
        return f"{self.executable} {found[1].decode()}" if found else ""

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
        # To a file, not a pipe: what the program itself has started may hold a pipe open.
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
                    f"{self.executable} was ended: it took longer than {self.timeout:.0f} s and"
                    f" {_SECONDS_PER_MB} s a megabyte"
                ) from error
            except OSError as error:
                reason = f"{self.executable} cannot be started: {error.strerror}"
                raise CodecError(reason) from error
            if code:
                log.seek(0)
                said = _last_line(log.read())
                raise CodecError(f"{self.executable} ended with code {code}, saying {said!r}")


def _last_line(log: bytes) -> str:
    lines = [line.strip() for line in re.split(r"[\r\n\b]+", log.decode(errors="replace"))]
    return next((line[:200] for line in reversed(lines) if line), "")


def wavpack_container(path: str) -> float:
    """Counts the bytes of a WavPack file that a decoder can do without.

    They are its optional sub-blocks (the WAV header, a checksum and the like), and whole blocks
    without samples. The layout is that of the WavPack 4 & 5 file format description: a block is a
    header of 32 bytes and sub-blocks, which have an id and their length in words of 16 bits.
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


# In each line the first that is found: some have had several names.
_TTA = Program(
    key="tta", name="TTA", executable="tta", arguments="-e in.wav out.tta", output="out.tta"
)
_ALS = Program(
    key="als",
    name="MPEG-4 ALS -z3 -b -p",
    executable="mp4alsRM23",
    arguments="-z3 -b -p in.wav out.als",
    output="out.als",
)
PROGRAMS = (
    Program(
        key="wavpack",
        name="WavPack -hh -x",
        executable="wavpack",
        arguments="-hh -x -q -y in.wav -o out.wv",
        output="out.wv",
        version_argument="--version",
        container=wavpack_container,
    ),
    Program(
        key="monkeys",
        name="Monkey's Audio -c4000",
        executable="mac",
        arguments="in.wav out.ape -c4000",
        output="out.ape",
    ),
    Program(
        key="optimfrog",
        name="OptimFROG --preset 10",
        executable="ofr",
        arguments="--encode --preset 10 --silent in.wav --output out.ofr",
        output="out.ofr",
    ),
    _TTA,
    dataclasses.replace(_TTA, executable="ttaenc", arguments="-e -o out.tta in.wav"),
    _ALS,
    dataclasses.replace(_ALS, executable="mp4als"),
)


def find_programs() -> list[Program]:
    """Returns the programs on the PATH, one for each key."""
    found: dict[str, Program] = {}
    for program in PROGRAMS:
        if shutil.which(program.executable):
            found.setdefault(program.key, program)
    return list(found.values())


def missing_programs(keys: Collection[str]) -> list[str]:
    """Returns which codecs have no program on the PATH, such as "OptimFROG --preset 10 (ofr)".

    Args:
      keys: only these.
    """
    found = [program.key for program in find_programs()]
    missing: dict[str, list[str]] = {}
    for program in PROGRAMS:
        if program.key in keys and program.key not in found:
            missing.setdefault(program.name, []).append(program.executable)
    return [f"{name} ({' or '.join(executables)})" for name, executables in missing.items()]
