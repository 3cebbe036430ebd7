"""What is a user's to mend: such errors are shown as one line, and all others with a traceback.

A bug of ours must never look like a mistake of the user's, so commands catch these classes (and
`OSError`, of a disk or a network) and nothing wider. A message says what was got, what was
expected and what to do, and names the file or the flag.
"""


class UserError(Exception):
    """Something that the user can mend; the message says how."""


class ConfigError(UserError, ValueError):
    """A setting is out of bounds, or two settings do not fit together."""


class DataError(UserError, ValueError):
    """Files cannot be used: none are there, too many are damaged, or one is of another kind."""


class TrainingError(UserError, RuntimeError):
    """Training cannot go on; what was trained so far is kept."""


class MissingDependencyError(UserError, ImportError):
    """An optional package is missing, or does not fit the others."""


class ResourceError(UserError, MemoryError):
    """This machine does not have what was asked for."""
