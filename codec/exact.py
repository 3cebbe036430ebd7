"""The adaptive model as a codec: the same bytes, and the same samples, on every machine.

n frames, C channels.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from codec.coder import MOST_PER_BYTE
from codec.fields import Fields, number
from codec.interleave import Deinterleaver, interleave, slices, turns
from codec.kernel import decode_stretch
from codec.range_coder import CODER, encode_shares, start_decoder
from models.config import AdaptiveModelConfig
from models.exact.analysis import segment_shares
from models.exact.network import ExactMlp
from models.exact.segment import before
from models.exact.stream import Stream, init_stream
from models.interface import DEFAULT_SEGMENT, Advance, no_advance
from models.native_scale import least_depth
from models.predictors.lags import pack_lags, unpack_lags
from runtime.errors import DataError
from runtime.threads import Call, run_in_turns

_LAGS, _SWAPPED = 8, 16
_PIECE = 8192  # Frames, and samples, of which a decoder's caller is told at once: it takes time.
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
        parts = slices(samples.shape[1])
        starts = np.array([part.start for part in parts], np.int64)
        coded = [
            encode_shares(below, frequencies, shares.total, starts)
            for below, frequencies in zip(shares.below, shares.frequencies, strict=True)
        ]
        codes = [code for code, _ in coded]
        codes[-1] = codes[-1].ljust(samples.size // MOST_PER_BYTE, b"\0")
        head += b"".join(number(len(code)) for code in codes[:-1])
        return flags, head + interleave(codes, np.stack([found for _, found in coded]), parts)

    def decode(
        self,
        flags: int,
        fields: Fields,
        channels: int,
        frames: int,
        *,
        num_threads: int = 1,
        advance: Advance = no_advance,
    ) -> Iterator[np.ndarray]:  # int32 [C, m]
        config = dataclasses.replace(self._config, depth=self._read_depth(flags))
        packed = fields.take(fields.number()) if flags & _LAGS else b""
        lags = unpack_lags(packed, frames, config.predictors.long_term)
        if not packed:
            lags = lags[:0]
        sizes = [fields.number() for _ in range(channels - 1)]
        sizes.append(fields.left + fields.missing - sum(sizes))
        if sizes[-1] < 0:
            raise DataError("the codes of the channels are longer than their segment")
        codes = Deinterleaver(fields.rest(), sizes)
        begin = functools.partial(init_stream, config, self._network, lags, frames)
        decoding = _Decoding(begin, codes, frames)
        for _ in run_in_turns(decoding.turns(), num_threads):
            if decoding.count_done() >= _PIECE:
                advance(*decoding.take_done())
            samples = decoding.take_frames()
            if samples.size:
                yield samples[::-1] if flags & _SWAPPED else samples
        advance(*decoding.take_done())

    def _read_depth(self, flags: int) -> int:
        depth = 8 * (1 + (flags >> _DEPTH))
        if depth > self.depth:
            raise DataError(f"samples of {depth} bits, and the model codes {self.depth} at most")
        return depth


class _Decoding:
    """A segment while it is decoded: the channels in turns, each behind the one before it."""

    def __init__(
        self,
        begin: Callable[[Stream | None], Stream],
        codes: Deinterleaver,
        frames: int,
    ) -> None:
        """Begins.

        Args:
          begin: from the channel before it, if there is one, to a channel before its first sample.
          codes: of the channels.
          frames: n.
        """
        self._channels = len(codes.codes)
        self._samples = np.zeros((self._channels, frames), np.int32)
        self._begin, self._codes, self._slices = begin, codes, slices(frames)
        # Only those that are needed: each takes a megabyte, and there may be 1,024 channels.
        self._streams: dict[int, Stream] = {}
        self._coders = np.zeros(self._channels, CODER)
        self._done: list[int] = []  # Samples of slices.
        self._whole = self._taken = 0  # Frames that are done, and those that were taken.
        self._told = 0  # Bytes of code that `take_done` has told of.

    def turns(self) -> Iterator[Sequence[Call]]:
        """Yields calls, see `run_in_turns`."""
        for turn in turns(self._channels, len(self._slices)):
            calls = []
            for channel, place in turn:
                part = self._slices[place]
                self._codes.give(channel, int(self._coders[channel]["position"]), part)
                calls.append(functools.partial(self._decode, channel, part))
            yield calls

    def count_done(self) -> int:
        """Returns the samples, about, that have been done since `take_done` was called."""
        return len(self._done) * (self._slices[0].stop - self._slices[0].start)

    def take_done(self) -> tuple[int, float]:
        """Returns the samples, and their bits, that have been done since it was last called."""
        count, self._done = sum(self._done), []
        told, self._told = self._told, int(self._coders["position"].sum())
        return count, 8.0 * (self._told - told)

    def take_frames(self) -> np.ndarray:  # int32 [C, m]
        """Returns the frames done since it was last called; none where these are few yet."""
        begin, end = self._taken, self._whole
        if end - begin < _PIECE and end < self._samples.shape[1]:
            end = begin
        self._taken = end
        return self._samples[:, begin:end]

    def _decode(self, channel: int, part: slice) -> None:
        coder, code = self._coders[channel], self._codes.codes[channel]
        if part.start == 0:
            self._streams[channel] = self._begin(self._streams.get(channel - 1))
            start_decoder(coder, code)
        decode_stretch(
            self._streams[channel],
            before(self._samples, channel),
            part.start,
            coder,
            code,
            self._samples[channel, part],
        )
        self._done.append(part.stop - part.start)
        if channel + 1 == self._channels:
            self._whole = part.stop
        if part == self._slices[-1]:
            self._streams.pop(channel - 1, None)
