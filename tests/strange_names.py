"""Names that a file system takes, and that something somewhere takes for a pattern."""

import os

STRANGE_NAMES = (
    *("[b]", "a*b", "a?b", "a\\b", "**", "{a}", " a ", " ", "a,b", "'a\"", "%41", "a\nb", "a\r"),
    *("#a", "~", "$HOME", "-x", "música", "x" * 225, os.fsdecode(b"\xff\xfe")),
)
