"""Names of files that tell them apart."""

import collections
from collections.abc import Sequence


def distinct_names(names: Sequence[str], paths: Sequence[str]) -> tuple[str, ...]:
    """Returns each file's name, after as many of its folders as tell it from those of other files.

    Args:
      names: [N], the ends of the paths.
      paths: [N], all different, with "/" between the parts.
    """
    shown = list(names)
    while True:
        counts = collections.Counter(shown)
        alike = [i for i, name in enumerate(shown) if counts[name] > 1 and name != paths[i]]
        if not alike:
            return tuple(shown)
        for i in alike:
            folders = paths[i].removesuffix(shown[i]).rstrip("/")
            shown[i] = paths[i][folders.rfind("/") + 1 :]
