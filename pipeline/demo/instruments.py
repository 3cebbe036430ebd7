"""The instruments of the demo corpus: plucked strings, percussion and a babbling voice.

Each function returns one sound, float64 [F], with a peak of about 1. `sample_rate` is in Hz, `hz` a
fundamental frequency. Vectorised, so that minutes of audio take seconds.
"""

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float64]

# Formants of five vowels in Hz: the men of Peterson and Barney (1952), and a fourth for body.
_VOWELS = np.array(
    [
        [730.0, 1090.0, 2440.0, 3400.0],  # father
        [530.0, 1840.0, 2480.0, 3500.0],  # bet
        [270.0, 2290.0, 3010.0, 3600.0],  # beet
        [570.0, 840.0, 2410.0, 3300.0],  # bought
        [300.0, 870.0, 2240.0, 3200.0],  # boot
    ]
)
_BANDWIDTHS = np.array([70.0, 90.0, 130.0, 180.0])
_FORMANT_GAINS = np.array([1.0, 0.5, 0.25, 0.12])
# Centre in Hz, length in seconds and gain of the noise of s, sh, f, t and k.
_CONSONANTS = (
    (5500.0, 0.11, 0.30),
    (3000.0, 0.12, 0.35),
    (4200.0, 0.09, 0.10),
    (3800.0, 0.03, 0.40),
    (1800.0, 0.03, 0.40),
)


def pluck(rng: np.random.Generator, sample_rate: int, hz: float, seconds: float) -> Sound:
    """A plucked string (Karplus and Strong, 1983), in tune at every sample rate.

    A period depends on nothing later than the one before it, so each is computed at once.
    """
    # The loop delays by whole frames, half a frame (the damping average), and the fraction left.
    delay = sample_rate / hz - 0.5
    period = int(delay)
    fraction = delay - period
    loss = 0.5 ** (1 / (0.6 * hz))
    here, before, last = loss * 0.5 * np.array([1 - fraction, 1.0, fraction])

    burst = _smooth(rng.uniform(-1, 1, period + 2), max(1, sample_rate // 6000))
    burst -= np.roll(burst, period // 5)  # plucked at a fifth of the string
    string = np.empty(len(burst) + int(sample_rate * seconds))
    string[: len(burst)] = burst / np.abs(burst).max()
    for start in range(len(burst), len(string), period):
        stop = min(start + period, len(string))
        string[start:stop] = (
            here * string[start - period : stop - period]
            + before * string[start - period - 1 : stop - period - 1]
            + last * string[start - period - 2 : stop - period - 2]
        )
    return string[len(burst) :] * _fade(len(string) - len(burst), sample_rate)


def bar(sample_rate: int, hz: float, seconds: float) -> Sound:
    """A struck wooden bar (marimba): three modes, the high ones die first."""
    t = np.arange(int(sample_rate * seconds)) / sample_rate
    sound = np.zeros_like(t)
    for ratio, gain, half_life in ((1.0, 0.75, 0.22), (3.93, 0.2, 0.05), (9.2, 0.08, 0.015)):
        if ratio * hz < 0.45 * sample_rate:
            sound += gain * 0.5 ** (t / half_life) * np.sin(2 * np.pi * ratio * hz * t)
    return sound * _fade(len(t), sample_rate)


def kick(sample_rate: int) -> Sound:
    """A bass drum: a sine that falls from 160 Hz to 50 Hz."""
    t = np.arange(int(sample_rate * 0.35)) / sample_rate
    cycles = 50 * t + 110 * 0.03 * (1 - np.exp(-t / 0.03))
    return np.sin(2 * np.pi * cycles) * np.exp(-t / 0.1) * _fade(len(t), sample_rate)


def snare(rng: np.random.Generator, sample_rate: int) -> Sound:
    """A snare drum: two modes of the head and the rattle of the wires."""
    t = np.arange(int(sample_rate * 0.25)) / sample_rate
    head = np.sin(2 * np.pi * 185 * t) + 0.6 * np.sin(2 * np.pi * 330 * t)
    rattle = noise_band(rng, sample_rate, 0.25, centre=3500.0)
    sound = 0.5 * head * np.exp(-t / 0.04) + 0.6 * rattle * np.exp(-t / 0.07)
    return sound * _fade(len(t), sample_rate)


def hat(rng: np.random.Generator, sample_rate: int, seconds: float) -> Sound:
    """A hi-hat, closed (0.05 s) to open (0.3 s)."""
    noise = noise_band(rng, sample_rate, seconds, centre=9000.0)
    t = np.arange(len(noise)) / sample_rate
    return noise * np.exp(-4 * t / seconds) * _fade(len(t), sample_rate)


def noise_band(rng: np.random.Generator, sample_rate: int, seconds: float, centre: float) -> Sound:
    """Noise around `centre` Hz, a third as wide as it is high, kept below the Nyquist frequency."""
    frames = int(sample_rate * seconds)
    centre = min(centre, 0.38 * sample_rate)
    frequencies = np.fft.rfftfreq(frames, 1 / sample_rate)
    band = np.exp(-0.5 * ((frequencies - centre) / (centre / 3)) ** 2)
    noise = np.fft.irfft(np.fft.rfft(rng.uniform(-1, 1, frames)) * band, frames)
    return noise / np.abs(noise).max()


def speak(rng: np.random.Generator, sample_rate: int, seconds: float, hz: float) -> Sound:
    """A sentence in no language: words of one to three syllables, falling in pitch around `hz`."""
    speech = np.zeros(int(sample_rate * seconds))
    now = 0.0
    while now < seconds - 0.7:
        for _ in range(rng.integers(1, 4)):
            centre, length, gain = _CONSONANTS[rng.integers(len(_CONSONANTS))]
            noise = noise_band(rng, sample_rate, length, centre)
            _add(speech, gain * noise * np.hanning(len(noise)), int(now * sample_rate))
            now += 0.8 * length
            length = rng.uniform(0.12, 0.28)
            tone = hz * (1.15 - 0.3 * now / seconds) * rng.uniform(0.92, 1.08)
            start, stop = _VOWELS[rng.choice(len(_VOWELS), 2)]
            vowel = _vowel(rng, sample_rate, length, tone, start, stop)
            _add(speech, vowel, int(now * sample_rate))
            now += length
            if now > seconds - 0.5:
                break
        now += rng.uniform(0.05, 0.25)
    return speech / np.abs(speech).max()


def _vowel(
    rng: np.random.Generator, sample_rate: int, seconds: float, hz: float, start: Sound, stop: Sound
) -> Sound:
    """A vowel that glides between two sets of formants [4] in Hz.

    Each glottal pulse rings the formants (FOF synthesis; Rodet, 1984), so no filter has to run
    frame by frame: the pulses [P] and their responses [P, T] are whole arrays.
    """
    pulses = int(seconds * hz)
    along = np.linspace(0, 1, pulses)
    periods = (1 + 0.12 * along + rng.uniform(-0.01, 0.01, pulses)) / hz
    onsets = (np.cumsum(periods) - periods[0]) * sample_rate  # in frames
    loudness = np.sin(np.pi * (0.08 + 0.92 * along)) ** 0.6

    first = np.ceil(onsets).astype(int)
    t = (np.arange(int(0.025 * sample_rate)) + (first - onsets)[:, None]) / sample_rate  # [P, T]
    responses = 0.02 * rng.uniform(-1, 1, t.shape) * np.exp(-t / 0.003)  # breath
    for low, high, width, gain in zip(start, stop, _BANDWIDTHS, _FORMANT_GAINS, strict=True):
        if max(low, high) < 0.48 * sample_rate:
            formant = (low + (high - low) * along)[:, None]
            responses += gain * np.exp(-np.pi * width * t) * np.sin(2 * np.pi * formant * t)
    vowel = np.zeros(first[-1] + t.shape[1])
    for at, response in zip(first, loudness[:, None] * responses, strict=True):
        vowel[at : at + len(response)] += response
    return vowel


def _add(track: Sound, sound: Sound, at: int) -> None:
    stop = min(at + len(sound), len(track))
    track[at:stop] += sound[: max(0, stop - at)]


def _smooth(cycle: Sound, width: int) -> Sound:
    """A circular moving average without offset: a soft pick, equally soft at every sample rate."""
    smooth = np.mean([np.roll(cycle, shift) for shift in range(width)], axis=0)
    return smooth - smooth.mean()


def _fade(frames: int, sample_rate: int) -> Sound:
    """Ends a sound without a click: 1, then linear to 0 in the last 10 ms."""
    return np.minimum(1.0, np.arange(frames, 0, -1) / (0.01 * sample_rate))
