"""The tunes of the demo corpus: who plays what, when, and from which side."""

import functools

import numpy as np

from pipeline.demo import instruments
from pipeline.demo.instruments import Sound

_PENTATONIC = np.array([0, 3, 5, 7, 10])
# Broken chords in semitones above the root, a bar each: i, VI, III, VII of a minor key.
_PROGRESSION = np.array([[0, 7, 12, 15], [-4, 3, 8, 12], [3, 10, 15, 19], [-2, 5, 10, 14]])


class Track:
    """A stereo recording [F, 2] in the making, to which sounds are added."""

    def __init__(self, rng: np.random.Generator, sample_rate: int, seconds: float):
        self.rng, self.sample_rate, self.seconds = rng, sample_rate, seconds
        self.frames = np.zeros((int(sample_rate * seconds), 2))

    def add(self, sound: Sound, at: float, gain: float = 1.0, pan: float = 0.0) -> None:
        """Adds `sound` [F] at second `at`; `pan` goes from -1, left, to 1, right."""
        start = int(at * self.sample_rate)
        target = self.frames[start : start + len(sound)]
        sound = gain * sound[: len(target)]
        for channel, side in enumerate((-pan, pan)):  # In NumPy faster than [F, 2] at once.
            target[:, channel] += sound * np.sqrt(0.5 * (1 + side))

    def in_a_room(self) -> Sound:
        """The track [F, 2] with the echoes of three walls, each from the other side."""
        wet = self.frames.copy()
        for seconds, gain in ((0.031, 0.22), (0.047, 0.16), (0.089, 0.1)):
            delay = int(seconds * self.sample_rate)
            wet[delay:] += gain * self.frames[:-delay, ::-1]
        return wet


def arpeggio(track: Track, root: int = 45, beat: float = 0.24) -> None:
    """Broken chords that ring on, the bass on the one."""
    for step in range(int(track.seconds / beat)):
        chord = _PROGRESSION[step // 8 % 4]
        note = chord[(0, 1, 2, 3, 2, 1, 3, 2)[step % 8]]
        sound = instruments.pluck(track.rng, track.sample_rate, _frequency(root + note), 2.0)
        at = step * beat + track.rng.uniform(0, 0.01)
        track.add(sound, at, gain=1.0 if step % 8 == 0 else 0.6, pan=0.15 * (step % 4) - 0.2)


def melody(track: Track, root: int = 57, beat: float = 0.4) -> None:
    """A walk on a pentatonic scale over a drone: phrases of eight beats, each twice."""
    rng, phrase_beats = track.rng, 8
    phrases = int(track.seconds / (phrase_beats * beat)) + 1
    for phrase in range(phrases):
        if phrase % 2 == 0:
            lengths = rng.choice([0.5, 1.0, 1.5], 16)
            degrees = 3 + np.cumsum(rng.integers(-2, 3, 16)) % 9
        start = phrase * phrase_beats * beat
        for drone in range(0, phrase_beats, 4):
            sound = instruments.pluck(rng, track.sample_rate, _frequency(root - 12), 4 * beat)
            track.add(sound, start + drone * beat, 0.5, pan=-0.3)
        onsets = np.cumsum(lengths) - lengths
        for onset, degree in zip(onsets[onsets < phrase_beats], degrees, strict=False):
            note = root + 12 * (degree // 5) + _PENTATONIC[degree % 5]
            sound = instruments.pluck(rng, track.sample_rate, _frequency(note), 1.6)
            track.add(sound, start + onset * beat, 0.8, pan=0.3)


def drums(track: Track, beat: float = 0.24) -> None:
    """A shuffled beat with ghost notes on the snare."""
    rng, sample_rate = track.rng, track.sample_rate
    kick = instruments.kick(sample_rate)
    for step in range(int(track.seconds / (beat / 2))):
        at = (step + 0.18 * (step % 2)) * beat / 2
        place = step % 16
        if place in (0, 7, 10):
            track.add(kick, at, 1.0)
        if place in (4, 12):
            track.add(instruments.snare(rng, sample_rate), at, 0.8, pan=0.1)
        elif rng.random() < 0.12:
            track.add(instruments.snare(rng, sample_rate), at, 0.12, pan=0.1)
        length = 0.3 if place == 14 else 0.06
        track.add(instruments.hat(rng, sample_rate, length), at, rng.uniform(0.12, 0.25), pan=-0.4)


def marimba(track: Track, root: int = 57, beat: float = 0.17) -> None:
    """An ostinato of twelve beats in the right hand, the chord's root in the left."""
    pattern = (0, 2, 4, 3, 4, 7, 4, 2, 5, 4, 2, 1)
    bar = functools.cache(functools.partial(instruments.bar, track.sample_rate))
    for step in range(int(track.seconds / beat)):
        degree, shift = pattern[step % 12], _PROGRESSION[step // 24 % 4][0]
        note = root + shift + 12 * (degree // 5) + _PENTATONIC[degree % 5]
        gain = 0.5 * track.rng.uniform(0.8, 1.1)
        high = bar(_frequency(note), 0.9)
        track.add(high, step * beat, gain, pan=0.35)
        if step % 6 == 0:
            low = bar(_frequency(root + shift - 12), 1.2)
            track.add(low, step * beat, 0.8, pan=-0.35)


def band(track: Track) -> None:
    """The drums under the arpeggio."""
    drums(track)
    arpeggio(track)


def dialogue(track: Track) -> None:
    """A man and a woman, each on a side."""
    talk(track, (105.0, -0.5), (190.0, 0.5))


def talk(track: Track, *voices: tuple[float, float]) -> None:
    """Sentences, the voices (pitch in Hz, pan) in turn."""
    now, turn = 0.1, 0
    while now < track.seconds - 1:
        hz, pan = voices[turn % len(voices)]
        length = track.rng.uniform(1.5, 3.5)
        track.add(instruments.speak(track.rng, track.sample_rate, length, hz), now, 0.8, pan)
        now, turn = now + length + track.rng.uniform(0.0, 0.3), turn + 1


def _frequency(note: float) -> float:
    """The frequency of a MIDI note: 69 is A4, 440 Hz."""
    return 440.0 * 2.0 ** ((note - 69) / 12)
