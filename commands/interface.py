"""What a command is to the command line."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from absl.flags import FlagValues

from runtime.flag_definitions import Group

Run = Callable[[FlagValues, Sequence[str]], int | None]
"""(flags, other arguments) -> exit status; None is success."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """A command: each module that main.py's table names has one, called COMMAND.

    Attributes:
      doc: description in --help, above the flags: its first line, the entry in the list of
        commands, is one sentence; examples are indented.
      groups: the groups of flags that the command has.
      run: the function to call. It imports TensorFlow, JAX and NumPy itself: importing the module
        must stay fast, because every command line, --help included, imports all commands.
      arguments: usage of the arguments besides flags, such as "RUN_DIR ..."; empty: none allowed.
      arguments_flag: the flag, a list, that the arguments are another spelling of; empty: of none.
      exclusive: pairs of flags of which one at most may be given.
    """

    doc: str
    groups: tuple[Group, ...]
    run: Run
    arguments: str = ""
    arguments_flag: str = ""
    exclusive: tuple[tuple[str, str], ...] = ()


Commands = Mapping[str, Command]
"""Commands by name; the first is the default."""
