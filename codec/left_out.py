"""What lies below the folders of a command, and is not among its files."""

import collections
import dataclasses
import heapq

from pipeline.catalogue.catalogue import Skipped
from pipeline.wav.other_audio import OTHER_AUDIO_SUFFIXES

_MOST_OTHERS = 3


@dataclasses.dataclass
class LeftOut:
    """What is left out.

    Attributes:
      counts: of files that nobody expects to be taken, by the reason.
      others: paths of files whose names say that they are of another kind.
      wanted: what these are not, such as "WAV".
      named: what some expect to be taken, such as links to folders.
      failed: what should be taken, and cannot be read or written.
      empty_folders: the names, below the folders of the command, of those that hold nothing.
      models: fingerprints of the models of results that are there already; b"" for none.
    """

    counts: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    others: list[str] = dataclasses.field(default_factory=list)
    wanted: str = ""
    named: list[Skipped] = dataclasses.field(default_factory=list)
    failed: list[Skipped] = dataclasses.field(default_factory=list)
    empty_folders: list[str] = dataclasses.field(default_factory=list)
    models: list[bytes] = dataclasses.field(default_factory=list)

    def describe(self, *, with_failed: bool = False) -> str:
        """Returns the numbers of files by reason, and the first of those that have a name here.

        Args:
          with_failed: also what cannot be read, which has been told else.
        """
        from pipeline.corpus import describe_skipped

        texts = [f"{reason} ({count:,})" for reason, count in self.counts.most_common() if count]
        named = [*self.named, *(self.failed if with_failed else [])]
        parts = (self._describe_others(), ", ".join(texts), describe_skipped(named))
        return "; ".join(filter(None, parts))

    def other_audio(self) -> str:
        """Returns the first path of audio of another kind; empty if there is none."""
        found = (x for x in self.others if x.lower().endswith(OTHER_AUDIO_SUFFIXES))
        return min(found, default="")

    def _describe_others(self) -> str:
        if not self.others:
            return ""
        if self.wanted != "WAV":  # Sources beside their results, as everybody expects.
            return f"not {self.wanted} ({len(self.others):,})"
        names = ", ".join(map(repr, heapq.nsmallest(_MOST_OTHERS, self.others)))
        rest = len(self.others) - _MOST_OTHERS
        return f"not {self.wanted}: {names}" + (f" and {rest:,} more" if rest > 0 else "")
