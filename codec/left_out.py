"""What lies below the folders of a command, and is not among its files."""

import collections
import dataclasses

from pipeline.catalogue.catalogue import Skipped


@dataclasses.dataclass
class LeftOut:
    """What is left out.

    Attributes:
      counts: of files that nobody expects to be taken, by the reason.
      named: what some expect to be taken, such as links to folders.
      failed: what should be taken, and cannot be read or written.
      empty_folders: the names, below the folders of the command, of those that hold nothing.
      models: fingerprints of the models of results that are there already; b"" for none.
    """

    counts: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
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
        return "; ".join(filter(None, (", ".join(texts), describe_skipped(named))))
