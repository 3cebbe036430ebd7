"""Errors that a user can fix: they are shown as one line, and all others with a traceback.

A bug must never look like a mistake of the user, so commands catch these classes, and `OSError`
(disks and networks), and nothing wider. A message says what was got, what was expected and what to
do, and names the file or the flag.
"""

from typing import Any


class UserError(Exception):
    """An error that the user can fix; the message says how."""


class ConfigError(UserError, ValueError):
    """A setting is out of bounds, or two settings do not fit together."""


def message_of(error: Exception) -> str:
    """Returns what an error says: of one of the system the file, and the reason in words."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


def require_at_least(config: Any, least: float, *names: str) -> None:
    """Raises ConfigError if one of these fields of a config is smaller than `least`, or NaN."""
    for name in names:
        if not getattr(config, name) >= least:
            raise ConfigError(f"{name} must be at least {least}, got {getattr(config, name)}")


class DataError(UserError, ValueError):
    """Files cannot be used: none are there, too many are damaged, or one is of another kind."""


class TrainingError(UserError, RuntimeError):
    """Training cannot continue; what was trained so far is kept."""


class MissingDependencyError(UserError, ImportError):
    """An optional package is missing, or does not fit the others."""


class ResourceError(UserError, MemoryError):
    """This machine has not enough memory."""
