"""What filters would win that begin with learned weights, not with zeros: the predictors alone.

    python benchmarks/starting_weights.py --train=DIR --test=DIR

The starting weights are the mean, over the files that are trained on, of the weights that a filter
has at their end. Prints bits per sample of its errors on other files under an adaptive logistic,
over their first 500, 4,000 and 32,768 samples, from zeros and from these weights.
"""

import argparse
import pathlib
import sys

import numpy as np
import soundfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from benchmarks.long_term import bits
from models.predictors.bank import Bank, init_bank, run
from models.predictors.config import (
    AdaptivePredictorsConfig,
    ChainConfig,
    HighOrderConfig,
    LeastSquaresConfig,
)

_SAMPLES = 32768
_SPANS = (500, 4000, _SAMPLES)
_HEADS: dict[str, LeastSquaresConfig | HighOrderConfig] = {
    "least squares of 32 taps": LeastSquaresConfig(taps=32, decay=0.998),
    "of 32 taps, by conjugate gradients": HighOrderConfig(taps=32, interval=16, steps=8),
    "of 256 taps, likewise": HighOrderConfig(taps=256, decay=0.999),
}


def weights_of(bank: Bank, taps: int) -> np.ndarray:
    """Returns the weights of a bank's only predictor, a view."""
    predictor = (bank.least_squares if bank.least_squares.size else bank.high_order)[0]
    return bank.doubles[predictor["weights"] : predictor["weights"] + taps]


def adapt(
    head: LeastSquaresConfig | HighOrderConfig, samples: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the errors, [n], and the weights at the end."""
    config = AdaptivePredictorsConfig(chains=(ChainConfig(head=head),))
    bank = init_bank(config, 16)
    weights_of(bank, head.taps)[:] = start
    shown = np.empty((samples.size, 1 + len(config.combination.decays)), np.float32)
    base = np.empty(samples.size)
    run(bank, samples, np.zeros(0, np.int32), 0, shown, base)
    return samples - (shown[:, 0] + base), weights_of(bank, head.taps).copy()


def read(folder: str) -> list[np.ndarray]:
    """Returns the beginnings of the files that are long enough, of their first channels."""
    found = []
    for path in sorted(pathlib.Path(folder).rglob("*.wav")):
        frames, _ = soundfile.read(path, _SAMPLES, dtype="int16", always_2d=True)
        if len(frames) == _SAMPLES:
            found.append(np.ascontiguousarray(frames[:, 0], np.int32))
    return found


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", required=True, help="folder of WAV files")
    parser.add_argument("--test", required=True, help="folder of other WAV files")
    args = parser.parse_args()
    train, test = read(args.train), read(args.test)
    print(f"{len(train)} files to train on, {len(test)} others\n")
    print("| bits per sample | " + " | ".join(f"first {n:,}" for n in _SPANS) + " |")
    print("| --- |" + " ---: |" * len(_SPANS), flush=True)
    for label, head in _HEADS.items():
        zeros = np.zeros(head.taps)
        learned = np.mean([adapt(head, samples, zeros)[1] for samples in train], 0)
        for name, start in (("from zeros", zeros), ("from learned weights", learned)):
            errors = [adapt(head, samples, start)[0] for samples in test]
            cells = [f"{np.mean([bits(e[:n]) for e in errors]):.4f}" for n in _SPANS]
            print(f"| {label}, {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
