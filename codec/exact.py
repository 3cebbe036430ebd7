"""The adaptive model as a codec: the same bytes, and the same samples, on every machine.

n frames, C channels.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from codec.fields import Fields, number
from codec.kernel import decode_stretch
from codec.range_coder import CODER, encode_shares, start_decoder
from models.config import AdaptiveModelConfig
from models.exact.analysis import segment_shares
from models.exact.network import ExactMlp
from models.exact.segment import before, stretches
from models.exact.stream import Stream, init_stream
from models.interface import DEFAULT_SEGMENT, Advance, no_advance
from models.native_scale import least_depth
from models.predictors.lags import pack_lags, unpack_lags
from runtime.errors import DataError
from runtime.threads import Call, run_in_turns

_LAGS, _SWAPPED = 8, 16
_DEPTH = 6  # Bits before that of the depth.


class ExactCoder:
    """Codes the channels of segments; see `codec.coder.Coder`."""

    segment = DEFAULT_SEGMENT
    probe = b""
    made_with = ""

    def __init__(self, config: AdaptiveModelConfig, network: ExactMlp) -> None:
        """Makes a coder.

        Args:
          config: the model's.
          network: its trained network.
        """
        self._config, self._network = config, network
        self.depth = config.depth

    def encode(
        self,
        samples: np.ndarray,  # int32 [C, n]
        *,
        num_threads: int = 1,
        advance: Advance = no_advance,
    ) -> tuple[int, bytes]:
        depth = least_depth(samples)
        config = dataclasses.replace(self._config, depth=depth)
        shares = segment_shares(
            config, self._network, samples, num_threads=num_threads, advance=advance
        )
        flags = (depth // 8 - 1) << _DEPTH | (_SWAPPED if shares.is_swapped else 0)
        lags = pack_lags(shares.lags, samples.shape[1], config.predictors.long_term)
        head = b""
        if lags:
            flags |= _LAGS
            head = number(len(lags)) + lags
        codes = [
            encode_shares(below, frequencies, shares.total)
            for below, frequencies in zip(shares.below, shares.frequencies, strict=True)
        ]
        head += b"".join(number(len(code)) for code in codes[:-1])
        return flags, head + b"".join(codes)

    def decode(
        self,
        flags: int,
        fields: Fields,
        channels: int,
        frames: int,
        *,
        num_threads: int = 1,
        advance: Advance = no_advance,
    ) -> np.ndarray:  # int32 [C, n]
        config = dataclasses.replace(self._config, depth=self._read_depth(flags))
        packed = fields.take(fields.number()) if flags & _LAGS else b""
        lags = unpack_lags(packed, frames, config.predictors.long_term)
        if not packed:
            lags = lags[:0]
        sizes = [fields.number() for _ in range(channels - 1)]
        codes = [np.frombuffer(fields.take(size), np.uint8) for size in sizes]
        codes.append(np.frombuffer(fields.rest(), np.uint8))
        begin = functools.partial(init_stream, config, self._network, lags, frames)
        decoding = _Decoding(begin, codes, stretches(config.predictors.long_term, frames), frames)
        for _ in run_in_turns(decoding.turns(), num_threads):
            advance(*decoding.take_done())
        samples = decoding.samples
        return samples[::-1] if flags & _SWAPPED else samples

    def _read_depth(self, flags: int) -> int:
        depth = 8 * (1 + (flags >> _DEPTH))
        if depth > self.depth:
            raise DataError(f"samples of {depth} bits, and the model codes {self.depth} at most")
        return depth


class _Decoding:
    """A segment while it is decoded: the channels in turns, each behind the one before it.

    Attributes:
      samples: int32 [C, n].
    """

    def __init__(
        self,
        begin: Callable[[Stream | None], Stream],
        codes: Sequence[np.ndarray],
        parts: Sequence[slice],
        frames: int,
    ) -> None:
        """Begins.

        Args:
          begin: from the channel before it, if there is one, to a channel before its first sample.
          codes: of the channels.
          parts: the stretches.
          frames: n.
        """
        self.samples = np.zeros((len(codes), frames), np.int32)
        self._begin, self._codes, self._stretches = begin, codes, parts
        # Only those that are needed: each takes a megabyte, and there may be 1,024 channels.
        self._streams: dict[int, Stream] = {}
        self._coders = np.zeros(len(codes), CODER)
        for coder, code in zip(self._coders, codes, strict=True):
            start_decoder(coder, code)
        self._done: list[int] = []  # Samples of stretches.
        self._told = 0  # Bytes of code that `take_done` has told of.

    def turns(self) -> Iterator[Sequence[Call]]:
        """Yields calls, see `run_in_turns`."""
        count, channels = len(self._stretches), range(len(self._codes))
        # Two stretches behind: a channel looks ahead in the one before it.
        for turn in range(count + 2 * (len(channels) - 1)):
            numbers = [(channel, turn - 2 * channel) for channel in channels]
            yield [
                functools.partial(self._decode, channel, self._stretches[number])
                for channel, number in numbers
                if 0 <= number < count
            ]

    def take_done(self) -> tuple[int, float]:
        """Returns the samples, and their bits, that have been done since it was last called."""
        count, self._done = sum(self._done), []
        told, self._told = self._told, int(self._coders["position"].sum())
        return count, 8.0 * (self._told - told)

    def _decode(self, channel: int, stretch: slice) -> None:
        if stretch.start == 0:
            self._streams[channel] = self._begin(self._streams.get(channel - 1))
        decode_stretch(
            self._streams[channel],
            before(self.samples, channel),
            stretch.start,
            self._coders[channel],
            self._codes[channel],
            self.samples[channel, stretch],
        )
        self._done.append(stretch.stop - stretch.start)
        if stretch == self._stretches[-1]:
            self._streams.pop(channel - 1, None)
