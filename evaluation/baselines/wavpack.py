"""WavPack: the program `wavpack`, which is optional.

Tested with 5.6.0, whose decoder restored the same samples: 8, 16, 24 and 32 bits, 1 to 3 channels.
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
from collections.abc import Iterable
from typing import ClassVar

import numpy as np
import soundfile

from evaluation.baselines.pcm import CodecError, Encoded, PcmFormat, write_audio

# -q: no progress; -y: without a question.
ENCODE = ("wavpack", "-hh", "-x", "-q", "-y", "in.wav", "-o", "out.wv")

_VERSION = re.compile(rb"\d+(?:\.\d+)+")
_SECONDS_PER_MB = 20  # it takes 0.1
_MAX_WAV_BYTES = 2**32 - 2**10  # the sizes in its headers have 32 bits


@dataclasses.dataclass(frozen=True, kw_only=True)
class WavPack:
    """WavPack, with the options that compress most.

    Attributes:
      timeout: of a stream, in seconds, plus _SECONDS_PER_MB per megabyte of samples.
    """

    timeout: float = 60.0
    key: ClassVar[str] = "wavpack"
    name: ClassVar[str] = "WavPack -hh -x"
    in_process: ClassVar[bool] = False

    @property
    def is_installed(self) -> bool:
        """Whether the program is on the PATH."""
        return shutil.which("wavpack") is not None

    @functools.cached_property
    def version(self) -> str:
        try:
            done = subprocess.run(["wavpack", "--version"], capture_output=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        found = _VERSION.search(done.stdout)
        return f"wavpack {found[0].decode()}" if found else ""

    def encode(self, pcm: PcmFormat, blocks: Iterable[np.ndarray]) -> Encoded:
        if pcm.num_bytes > _MAX_WAV_BYTES:
            raise CodecError("the program reads WAV files, which hold less than 4 GiB")
        # A killed program may have left a child that still writes there.
        with tempfile.TemporaryDirectory(
            prefix="wavestream_", ignore_cleanup_errors=True
        ) as folder:
            try:
                write_audio(os.path.join(folder, "in.wav"), pcm, blocks, format="WAV")
            except soundfile.LibsndfileError as error:  # It does not say that a disk is full.
                raise CodecError(
                    f"a temporary WAV file cannot be written, disk full? {error.error_string}"
                ) from error
            self._run(folder, self.timeout + _SECONDS_PER_MB * pcm.num_bytes / 1e6)
            output = os.path.join(folder, "out.wv")
            if not os.path.exists(output) or not os.path.getsize(output):
                raise CodecError("wavpack reported no error, but wrote nothing")
            return Encoded(os.path.getsize(output), container_bytes(output))

    def _run(self, folder: str, timeout: float) -> None:
        # To a file, not a pipe: a child process that outlives the program would hold a pipe open.
        with open(os.path.join(folder, "log"), "w+b") as log:
            try:
                code = subprocess.run(
                    ENCODE,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    timeout=timeout,
                ).returncode
            except subprocess.TimeoutExpired as error:
                raise CodecError(
                    f"wavpack was killed: it took longer than {self.timeout:.0f} s and"
                    f" {_SECONDS_PER_MB} s per megabyte"
                ) from error
            except OSError as error:
                raise CodecError(f"wavpack cannot be started: {error.strerror}") from error
            if code:
                log.seek(0)
                line = _last_line(log.read())
                raise CodecError(f"wavpack exited with status {code}: {line!r}")


def _last_line(log: bytes) -> str:
    # It redraws its progress with carriage returns and backspaces: these, too, end a line.
    lines = [line.strip() for line in re.split(r"[\r\n\b]+", log.decode(errors="replace"))]
    return next((line[:200] for line in reversed(lines) if line), "")


def container_bytes(path: str) -> float:
    """Counts the bytes of a WavPack file that decoding the samples does not need.

    These are optional sub-blocks (the WAV header, a checksum and the like), and whole blocks
    without samples. According to "WavPack 4 & 5 Binary File / Block Format", a block is a header of
    32 bytes and sub-blocks, which have an id and their length in words of 16 bits.

    Returns:
      Their number; NaN if the file has another format.
    """
    container = 0
    with open(path, "rb") as file:
        while header := file.read(32):
            if len(header) < 32 or header[:4] != b"wvpk":
                return math.nan
            size, samples = struct.unpack_from("<4xI12xI", header)
            block = file.read(size - 24)  # The size leaves out the first 8 bytes of the header.
            container += _optional_bytes(block) if samples else 32 + len(block)
    return container


def _optional_bytes(block: bytes) -> int:
    """Returns the bytes of a WavPack block's sub-blocks that are marked as optional."""
    optional = begin = 0
    while begin < len(block):
        is_large = bool(block[begin] & 0x80)  # its length has three bytes, not one
        end_of_size = begin + (4 if is_large else 2)
        end = end_of_size + 2 * int.from_bytes(block[begin + 1 : end_of_size], "little")
        if block[begin] & 0x20:  # a decoder may ignore it
            optional += end - begin
        begin = end
    return optional
