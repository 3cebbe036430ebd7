"""Flag files: one flag a line, as absl reads them, in whatever bytes the names of files have.

A line in double quotes is a JSON string: a run writes one so where the line alone would not bring a
value back, such as a name with a newline in it, or a space at its end.
"""

import codecs
import json
import os
from collections.abc import Iterable

from runtime.errors import ConfigError
from runtime.filesystem import read_bytes
from runtime.gfile import require_filesystem

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_flag_file(path: str) -> list[str]:
    """Returns the flags in a file, without blank lines and comments (`#` or `//`).

    Raises:
      ConfigError: the file cannot be read, or is no text.
    """
    try:
        require_filesystem(path)
        content = read_bytes(path)
    except OSError as error:
        raise ConfigError(f"--flagfile={path}: {error.strerror or error}") from error
    if content.startswith(_UTF16):
        raise ConfigError(f"--flagfile={path}: it is UTF-16: expected UTF-8 (save it as that)")
    if b"\0" in content:
        raise ConfigError(f"--flagfile={path}: not a text file: expected one flag a line")
    # As the system decodes names, so that a name of any bytes comes back.
    text = os.fsdecode(content.removeprefix(codecs.BOM_UTF8))
    lines = (line.strip() for line in text.split("\n"))
    return [_unquote(path, line) for line in lines if line and not line.startswith(("#", "//"))]


def format_flag_file(flags: Iterable[str]) -> str:
    """Returns a text whose bytes, by `os.fsencode`, `read_flag_file` reads as these flags."""
    return "".join(f"{_quote(flag)}\n" for flag in flags)


def expand_flag_files(arguments: list[str], within: tuple[str, ...] = ()) -> list[str]:
    """Returns a command line with the content of each --flagfile in its place.

    Args:
      arguments: without the name of the program.
      within: the flag files that these arguments are of, to find one that includes itself.

    Raises:
      ConfigError: see `read_flag_file`.
    """
    expanded: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if argument == "--":
            return [*expanded, argument, *rest]
        if name not in ("--flagfile", "-flagfile"):
            expanded.append(argument)
            continue
        path = os.path.expanduser(value if equals else next(rest, ""))
        if not path:
            raise ConfigError("--flagfile is empty: expected a file of flags")
        if path in within:
            raise ConfigError(f"--flagfile={path}: it includes itself")
        expanded += expand_flag_files(read_flag_file(path), (*within, path))
    return expanded


def _quote(flag: str) -> str:
    if flag == flag.strip() and not {"\n", "\r"} & {*flag}:
        return flag
    return json.dumps(flag, ensure_ascii=False)


def _unquote(path: str, line: str) -> str:
    if not line.startswith('"'):
        return line
    try:
        # The system's bytes that are no text are lone surrogates, which JSON lets pass.
        return json.loads(line)
    except ValueError as error:
        raise ConfigError(
            f"--flagfile={path}: {line}: expected a JSON string where a line begins with a quote"
        ) from error
