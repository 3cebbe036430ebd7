"""Makes the 12 excerpts that models are measured on, from the recordings that they are of.

    python benchmarks/excerpts.py RECORDINGS OUT
    python main.py evaluate --audio_dir=OUT --codecs=flac

RECORDINGS has a folder for each, with the files that `excerpts.json` names in it, as WAV or FLAC;
where they come from is in docs/explanation/experiments.md. Of each file an excerpt has the first 12
s, one after the other, up to a MB. What is made is compared with the SHA-256 of its samples.
"""

import argparse
import hashlib
import json
import pathlib
import sys

import numpy as np
import soundfile

LIST = pathlib.Path(__file__).with_suffix(".json")
SECONDS = 12
SAMPLES = 500_000  # Of 16 bits, of all channels together.


def make_excerpt(folder: pathlib.Path, stems: list[str]) -> tuple[np.ndarray, int]:
    """Returns the samples of an excerpt, int16 [n, C], and their rate.

    Args:
      folder: of the recordings.
      stems: names of the files in their order, without suffix.
    """
    parts = []
    for stem in stems:
        (path,) = (p for p in folder.glob("*") if p.stem == stem and p.suffix in (".wav", ".flac"))
        frames, rate = soundfile.read(path, dtype="int16", always_2d=True)
        parts.append(frames[: SECONDS * rate])
    samples = np.concatenate(parts)
    return samples[: SAMPLES // samples.shape[1]], rate


def main() -> int:
    """Parses arguments, makes the excerpts, and returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recordings", type=pathlib.Path, help="folder of folders")
    parser.add_argument("out", type=pathlib.Path, help="folder for the excerpts")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    status = 0
    for name, excerpt in json.loads(LIST.read_text()).items():
        samples, rate = make_excerpt(arguments.recordings / name, excerpt["files"])
        soundfile.write(arguments.out / f"{name}.wav", samples, rate, "PCM_16")
        same = hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest() == excerpt["sha256"]
        print(f"{name}: {'the same samples' if same else 'OTHER SAMPLES than were measured on'}")
        status |= not same
    return status


if __name__ == "__main__":
    sys.exit(main())
