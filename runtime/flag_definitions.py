"""Definitions of flags: what absl needs to parse them, and what --help says of them.

Nothing is registered in absl's global FLAGS: `define` returns a `FlagValues` of its own.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from absl import flags as absl_flags
from absl.flags import FlagValues


@dataclasses.dataclass(frozen=True)
class Definition:
    """A flag.

    Attributes:
      name: without dashes.
      default: its value where it is not given.
      placeholder: stands for the value in --help: its unit or kind, such as SECONDS or FILE; empty
        for a switch.
      text: what it means, in sentences.
      default_text: the default in words, where the value itself does not tell; None: the value.
      choices: the values that are allowed, if these are few.
      add: the function of absl that defines it.
      check: whether a value is allowed, besides what `add` checks.
      expected: what such a value is.
    """

    name: str
    default: Any
    placeholder: str
    text: str
    default_text: str | None = None
    _: dataclasses.KW_ONLY
    choices: tuple[str, ...] = ()
    add: Callable[..., object]
    check: Callable[[Any], bool] | None = None
    expected: str = ""

    def define(self, values: FlagValues) -> None:
        """Adds the flag to others."""
        self.add(name=self.name, default=self.default, help=self.text, flag_values=values)
        if self.check is not None:
            absl_flags.register_validator(
                self.name, self.check, f"expected {self.expected}", flag_values=values
            )

    def described(self, text: str, default_text: str | None = None) -> "Definition":
        """Returns the same flag with the words for another command."""
        return dataclasses.replace(self, text=text, default_text=default_text)


class Group:
    """Flags that belong together, under one heading of --help and of the documentation."""

    def __init__(self, heading: str, *definitions: Definition) -> None:
        self.heading = heading
        self.definitions = definitions


def define(groups: Iterable[Group]) -> FlagValues:
    """Returns a FlagValues with the flags of some groups, in their order."""
    values = FlagValues()
    for definition in (definition for group in groups for definition in group.definitions):
        if definition.name not in values:  # Commands may describe one flag in different words.
            definition.define(values)
    return values


def switch(name: str, default: bool, text: str) -> Definition:
    """Returns a flag that is on or off."""
    return Definition(name, default, "", text, add=absl_flags.DEFINE_boolean)


def string(
    name: str,
    default: str | None,
    placeholder: str,
    text: str,
    default_text: str | None = None,
    *,
    check: Callable[[str], bool] | None = None,
    expected: str = "",
) -> Definition:
    """Returns a flag whose value is a text."""
    return Definition(
        *(name, default, placeholder, text, default_text),
        add=absl_flags.DEFINE_string,
        check=check,
        expected=expected,
    )


def strings(
    name: str,
    default: list[str] | None,
    placeholder: str,
    text: str,
    default_text: str | None = None,
    *,
    is_repeated: bool = False,
) -> Definition:
    """Returns a flag whose values are texts, with commas between them, or given one by one."""
    return Definition(
        *(name, default, placeholder, text, default_text),
        add=absl_flags.DEFINE_multi_string if is_repeated else absl_flags.DEFINE_list,
    )


def choice(
    name: str,
    default: str | None,
    choices: Sequence[str],
    text: str,
    default_text: str | None = None,
) -> Definition:
    """Returns a flag whose value is one of a few."""
    return Definition(
        *(name, default, "|".join(choices), text, default_text),
        choices=tuple(choices),
        add=functools.partial(absl_flags.DEFINE_enum, enum_values=list(choices)),
    )


def integer(
    name: str,
    default: int | None,
    placeholder: str,
    text: str,
    default_text: str | None = None,
    *,
    at_least: int = 0,
    at_most: int = 2**31 - 1,
) -> Definition:
    """Returns a flag whose value is a whole number within bounds, 0 or more."""
    return Definition(
        *(name, default, placeholder, text, default_text),
        add=functools.partial(absl_flags.DEFINE_integer, lower_bound=at_least, upper_bound=at_most),
    )


class _TimeParser(absl_flags.ArgumentParser):
    """Reads seconds, also as they are written where damage is told: 0:01:05.250."""

    syntactic_help = "a time"
    _WRITTEN = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+\.?\d*|\.\d+)", re.ASCII)

    def parse(self, argument: Any) -> float:
        found = self._WRITTEN.fullmatch(str(argument).strip())
        expected = "expected seconds, or [H:]MM:SS, such as 90, 1:30 or 0:01:30.250"
        if found is None:
            raise ValueError(expected)
        hours, minutes, seconds = (float(text or 0) for text in found.groups())
        if (found[2] and seconds >= 60) or (found[1] and minutes >= 60):
            raise ValueError(expected)
        return 3600 * hours + 60 * minutes + seconds

    def flag_type(self) -> str:
        return "time"


def _define_time(name: str, default: float | None, help: str, flag_values: FlagValues) -> None:
    serializer: absl_flags.ArgumentSerializer[float] = absl_flags.ArgumentSerializer()
    absl_flags.DEFINE(_TimeParser(), name, default, help, flag_values, serializer)


def time(
    name: str, default: float | None, text: str, default_text: str | None = None
) -> Definition:
    """Returns a flag whose value is a time in seconds, 0 or more."""
    return Definition(*(name, default, "TIME", text, default_text), add=_define_time)


def number(
    name: str,
    default: float | None,
    placeholder: str,
    text: str,
    default_text: str | None = None,
    *,
    at_least: float = 0.0,
    at_most: float | None = None,
) -> Definition:
    """Returns a flag whose value is a finite number within bounds, 0 or more."""
    return Definition(
        *(name, default, placeholder, text, default_text),
        add=functools.partial(absl_flags.DEFINE_float, lower_bound=at_least, upper_bound=at_most),
        # NaN passes bounds, and infinity those with one side open.
        check=lambda value: value is None or math.isfinite(value),
        expected="a finite number",
    )
