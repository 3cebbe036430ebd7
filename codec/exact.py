"""The adaptive model as a codec: the same bytes, and the same samples, on every machine.

n frames, C channels.
"""

import dataclasses

import numpy as np

from codec.fields import Fields, number
from codec.kernel import decode_channel
from codec.range_coder import CODER, encode_shares, start_decoder
from models.config import AdaptiveModelConfig
from models.exact.network import ExactMlp
from models.exact.segment import before, segment_shares
from models.exact.stream import init_stream
from models.interface import DEFAULT_SEGMENT
from models.native_scale import least_depth
from models.predictors.lags import pack_lags, unpack_lags
from runtime.errors import DataError

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

    def encode(self, samples: np.ndarray) -> tuple[int, bytes]:  # int32 [C, n]
        depth = least_depth(samples)
        config = dataclasses.replace(self._config, depth=depth)
        shares = segment_shares(config, self._network, samples)
        flags = (depth // 8 - 1) << _DEPTH | (_SWAPPED if shares.is_swapped else 0)
        lags = pack_lags(shares.lags, samples.shape[1], config.predictors.long_term)
        head = b""
        if lags:
            flags |= _LAGS
            head = number(len(lags)) + lags
        return flags, head + encode_shares(shares.below, shares.frequencies, shares.total)

    def decode(
        self, flags: int, fields: Fields, channels: int, frames: int
    ) -> np.ndarray:  # int32 [C, n]
        config = dataclasses.replace(self._config, depth=self._read_depth(flags))
        packed = fields.take(fields.number()) if flags & _LAGS else b""
        lags = unpack_lags(packed, frames, config.predictors.long_term)
        if not packed:
            lags = lags[:0]
        coder, data = np.zeros(1, CODER), np.frombuffer(fields.rest(), np.uint8)
        start_decoder(coder[0], data)
        samples = np.zeros((channels, frames), np.int32)
        stream = None
        for channel in range(channels):
            stream = init_stream(config, self._network, lags, frames, stream)
            decode_channel(stream, before(samples, channel), coder[0], data, samples[channel])
        return samples[::-1] if flags & _SWAPPED else samples

    def _read_depth(self, flags: int) -> int:
        depth = 8 * (1 + (flags >> _DEPTH))
        if depth > self.depth:
            raise DataError(f"samples of {depth} bits, and the model codes {self.depth} at most")
        return depth
