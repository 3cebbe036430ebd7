"""How fast files are compressed and decompressed on one core, in how much memory, beside FLAC.

    python benchmarks/codec_speed.py song.wav               # the models that come with wavestream
    python benchmarks/codec_speed.py song.wav --models runs/mine/audio_model.npz
    python benchmarks/codec_speed.py song.wav --scaling     # twice, four times as long; the search
    python benchmarks/codec_speed.py song.wav --memory      # peak of the command, by length
    python benchmarks/codec_speed.py song.wav --start       # of the command, a file of a second

Speeds are samples per second of CPU time on one thread, after the first use, which compiles. 44.1
kHz stereo has 88,200 a second.
"""

import argparse
import io
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import numpy as np
import soundfile

from codec import api
from codec.model import CodecModel, load_codec_model
from codec.shipped import shipped_models
from models.config import AdaptiveModelConfig
from models.predictors.lag_search import find_lags

MAIN = str(pathlib.Path(__file__).resolve().parent.parent / "main.py")


class Speed(NamedTuple):
    """Of a codec: samples a second both ways, and bits per sample with the container."""

    encode: float
    decode: float
    bits: float


def timed(function: Callable[..., Any], *arguments: Any, **named: Any) -> tuple[float, Any]:
    """Returns seconds of this process's CPU time, and the result."""
    start = time.process_time()
    result = function(*arguments, **named)
    return time.process_time() - start, result


def wav_of(frames: np.ndarray, rate: int, subtype: str) -> bytes:
    """Returns a WAV; `frames` are int32 [n, C] of full scale 2^31."""
    file = io.BytesIO()
    soundfile.write(file, frames, rate, subtype, format="WAV")
    return file.getvalue()


def speed_of(model: CodecModel, wav: bytes, samples: int) -> Speed:
    """Compresses a WAV and decompresses it, on one thread."""
    seconds, packed = timed(api.compress, wav, model, num_threads=1)
    back, content = timed(api.decompress, packed, model, num_threads=1)
    if content != wav:
        raise SystemExit("what was decompressed is not what was compressed")
    return Speed(samples / seconds, samples / back, 8 * len(packed) / samples)


def speed_of_flac(frames: np.ndarray, rate: int, subtype: str) -> Speed:
    """Encodes by libFLAC at level 8, and decodes."""
    file = io.BytesIO()
    options = {"format": "FLAC", "compression_level": 1.0}
    subtype = "PCM_S8" if subtype == "PCM_U8" else subtype
    seconds, _ = timed(soundfile.write, file, frames, rate, subtype, **options)
    back, _ = timed(soundfile.read, io.BytesIO(file.getvalue()), dtype="int32")
    return Speed(frames.size / seconds, frames.size / back, 8 * len(file.getvalue()) / frames.size)


def print_speeds(models: list[CodecModel], wav: bytes, audio: tuple[np.ndarray, int, str]) -> None:
    """Prints a row for each model, and one for FLAC."""
    print(f"{'':28}{'compress':>12}{'decompress':>12}  samples/s a core{'bits':>9}")
    for model in models:
        _print_row(model.name, speed_of(model, wav, audio[0].size))
    _print_row("flac -8", speed_of_flac(*audio))


def _print_row(name: str, speed: Speed) -> None:
    label = os.path.basename(name)[-27:]
    figures = f"{speed.encode:12,.0f}{speed.decode:12,.0f}{'':18}{speed.bits:9.3f}"
    print(f"{label:28}{figures}", flush=True)


def tiled(frames: np.ndarray, count: int) -> np.ndarray:
    """Returns frames repeated to a length, each time louder or softer: no copy of the last."""
    times = -(-count // len(frames))
    gains = 1 - 0.37 * (np.arange(times) % 3)
    return np.concatenate([(frames * gain).astype(np.int32) for gain in gains])[:count]


def print_scaling(model: CodecModel, audio: tuple[np.ndarray, int, str]) -> None:
    """Prints the time of files of 1, 2 and 4 segments, and that of the search for lags."""
    frames, rate, subtype = audio
    unit = 2**17
    for times in (1, 2, 4):
        part = tiled(frames, times * unit)
        wav = wav_of(part, rate, subtype)
        seconds, packed = timed(api.compress, wav, model, segment=unit, num_threads=1)
        back, _ = timed(api.decompress, packed, model, num_threads=1)
        print(f"{times} x {unit:,} frames: compress {seconds:.2f} s, decompress {back:.2f} s")
    assert isinstance(model.config, AdaptiveModelConfig)
    for power in (20, 22, 24):
        residual = (tiled(frames[:, :1], 2**power).T / 2.0**16).astype(np.float32)
        seconds, _ = timed(find_lags, residual, model.config.predictors.long_term)
        each = seconds / 2**power * 1e6
        print(f"search for lags, 2^{power} samples: {seconds:.2f} s, {each:.2f} us each")


def _commands(frames: np.ndarray, rate: int, subtype: str) -> Iterator[list[str]]:
    """Yields command lines that compress and decompress a file, which is removed at last."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.wav")
        pathlib.Path(path).write_bytes(wav_of(frames, rate, subtype))
        for arguments in (["compress", path], ["decompress", "--force", f"{path}.wvst"]):
            yield [sys.executable, MAIN, *arguments]


_PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def print_memory(audio: tuple[np.ndarray, int, str]) -> None:
    """Prints the peak memory of the commands, of files of 1, 2 and 4 segments, on one thread."""
    frames, rate, subtype = audio
    for times in (1, 2, 4):
        for command in _commands(tiled(frames, times * 2**18), rate, subtype):
            line = [*command, "--jobs=1"]
            if command[2] == "compress":
                line += ["--fast", f"--segment={2**18}"]
            # From a small process: the peak of one that forks counts for its child, too.
            shown = subprocess.run(
                [sys.executable, "-c", _PEAK, *line], check=True, capture_output=True, text=True
            )
            print(f"{times} segments, {command[2]}: peak {int(shown.stdout) / 1024:,.0f} MiB")


def print_start(audio: tuple[np.ndarray, int, str]) -> None:
    """Prints how long the commands take for the first second of the audio."""
    frames, rate, subtype = audio
    for command in _commands(frames[:rate], rate, subtype):
        begin, before = time.perf_counter(), os.times()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        cpu = after.children_user + after.children_system
        cpu -= before.children_user + before.children_system
        seconds = time.perf_counter() - begin
        print(f"{command[2]} a second: {seconds:.2f} s, {cpu:.2f} s of CPU time")


def main() -> None:
    """Parses arguments, measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("audio", help="a WAV file of integers")
    parser.add_argument("--models", nargs="*", default=[], help="model files")
    parser.add_argument("--frames", type=int, default=2**18, help="of the file")
    for what in ("scaling", "memory", "start"):
        parser.add_argument(f"--{what}", action="store_true", help=f"measure {what}")
    arguments = parser.parse_args()
    models = list(map(load_codec_model, arguments.models)) or list(shipped_models())
    subtype = soundfile.info(arguments.audio).subtype
    frames, rate = soundfile.read(arguments.audio, arguments.frames, dtype="int32", always_2d=True)
    audio = frames, rate, subtype
    for model in models:  # Compiles.
        speed_of(model, wav_of(frames[:64], rate, subtype), 64)
    if arguments.scaling:
        print_scaling(models[0], audio)
    elif arguments.memory:
        print_memory(audio)
    elif arguments.start:
        print_start(audio)
    else:
        print_speeds(models, wav_of(frames, rate, subtype), audio)


if __name__ == "__main__":
    main()
