"""What is wrong with a damaged file, and what of it is intact."""

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

from codec.block_index import Index, index_blocks, lost_segments
from codec.blocks import Kind
from codec.decoder import Opened, plain_header, require_plausible, times
from codec.header import HASH_BYTES, Format, end_payload, read_end, read_header
from codec.model import CodecModel, find_model, require_probe
from codec.search import intact_blocks
from runtime.errors import DataError

_MOST_TIMES = 5


class DamagedError(DataError):
    """A file is damaged.

    Attributes:
      is_recoverable: see `Assessment`.
    """

    def __init__(self, text: str, *, is_recoverable: bool) -> None:
        super().__init__(text)
        self.is_recoverable = is_recoverable


class Assessment(NamedTuple):
    """How much of a damaged file is lost.

    Attributes:
      text: in words; empty where no checksum is wrong, or it is not known.
      is_recoverable: whether `recover_parts` gives back anything.
    """

    text: str
    is_recoverable: bool


@dataclasses.dataclass
class Findings:
    """What is found out about a damaged file.

    Attributes:
      damage: what is wrong with it, a line each; empty if it is intact.
      verdict: whether anything of the source is lost, in words; empty until all is read.
      is_whole: whether the result has the hash of the source.
    """

    damage: list[str] = dataclasses.field(default_factory=list)
    verdict: str = ""
    is_whole: bool = False

    def lines(self) -> list[str]:
        """Returns the damage and the verdict; nothing of a file that is intact."""
        is_damaged = self.damage or not self.is_whole
        return [*self.damage, self.verdict] if is_damaged and self.verdict else self.damage


def open_damaged(
    file: BinaryIO, models: Sequence[CodecModel], folders: Sequence[str], findings: Findings
) -> Opened:
    """Reads the header or, where that is damaged, what the end says of it; and finds the model.

    Raises:
      DataError: header and end are damaged, or the model was not found.
    """
    format_ = _read_format(file, findings)
    if format_ is None:
        return Opened(file, None, None)
    model = find_model(format_.fingerprint, models, folders)
    require_probe(model, format_)
    return Opened(file, dataclasses.replace(format_, fingerprint=model.fingerprint), model)


def _read_format(file: BinaryIO, findings: Findings) -> Format | None:
    try:
        format_ = read_header(file)
    except DataError as error:
        format_ = _format_from_end(file, error)
        findings.damage.append(f"{error}: what the end repeats of it is used")
        file.seek(0)
    if format_ is not None:
        require_plausible(file, format_)
    return format_


def _format_from_end(file: BinaryIO, error: DataError) -> Format | None:
    if not file.seek(0, 2):
        raise error
    # The first one: another file may follow.
    for found in intact_blocks(file, 0, None, lambda *_: None, frozenset([Kind.END])):
        return read_end(found.payload)[1]
    raise DataError(
        f"{error}; the end, which repeats it, is damaged, too: nothing can be recovered"
    ) from error


def is_recoverable(path: str) -> bool:
    """Whether `recover_parts` gives back anything of a file, by the checksums of its blocks."""
    try:
        with open(path, "rb") as file:
            return assess_damage(file).is_recoverable
    except OSError:
        return False


def assess_damage(file: BinaryIO) -> Assessment:
    """Returns how much of a damaged file is lost, by the checksums of its blocks: none is decoded.

    Args:
      file: from its beginning; no model of it is needed.
    """
    file.seek(0)
    findings = Findings()
    try:
        opened = Opened(file, _read_format(file, findings), None)
    except DataError:
        return Assessment("", False)
    index = index_blocks(opened, findings.damage.append)
    lost, format_ = lost_segments(opened, index), opened.format
    text = ""
    if format_ is not None and (findings.damage or lost):
        text = _describe_lost(format_, lost, index)
    return Assessment(text, bool(index.damaged) or not is_all_lost(opened, index))


def _describe_lost(format_: Format, lost: list[int], index: Index) -> str:
    count = format_.num_segments
    if not lost:
        return all_intact(count)
    spans = [times(format_, *found) for found in ranges(map(format_.span_of, lost))]
    more = f" and {len(spans) - _MOST_TIMES} more" if len(spans) > _MOST_TIMES else ""
    where = ", ".join(spans[:_MOST_TIMES]) + more
    if not index.damaged:
        return f"{len(lost)} of {count} segments lost: {where}"
    return (
        f"{len(lost)} of {count} segments damaged: {where}; what is before the damage may be intact"
    )


def all_intact(count: int) -> str:
    """Returns that so many segments are intact."""
    return f"all {count} segments are intact" if count > 1 else "the only segment is intact"


def is_all_lost(opened: Opened, index: Index) -> bool:
    """Whether nothing of the source is there, which would not be empty."""
    if not index.is_empty or (opened.format and not lost_segments(opened, index)):
        return False
    return not _is_of(index.end, plain_header(opened), opened.format)


def _is_of(end: bytes | None, source: bytes, format_: Format | None) -> bool:
    """Whether an END has the hash of a source."""
    digest = hashlib.blake2b(source, digest_size=HASH_BYTES).digest()
    return end_payload(digest, format_) == end


def ranges(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yields spans of frames in their order, those as one that follow each other."""
    begin = end = 0
    for first, last in spans:
        if first > end or begin == end:
            if end > begin:
                yield begin, end
            begin = first
        end = last
    if end > begin:
        yield begin, end
