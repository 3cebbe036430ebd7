"""What main.py asks of a command."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from absl.flags import FlagValues

from flags import Group

Run = Callable[[FlagValues, Sequence[str]], int | None]
"""(flags, other arguments) -> exit status; None is success."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """A command: each module that main.py's table names has one, called COMMAND.

    Attributes:
      doc: what --help says of it above its flags; the first line is its entry in the list of
        commands.
      groups: the flags that it takes.
      run: carries it out. What takes seconds to import, TensorFlow or JAX, is imported within it.
      arguments: what it takes besides flags, such as "RUN_DIR ..."; empty for nothing.
    """

    doc: str
    groups: tuple[Group, ...]
    run: Run
    arguments: str = ""


Commands = Mapping[str, Command]
"""The commands by their names. The first is meant where none is named."""
