"""The pages of the documentation, README included, and the blocks of commands in them.

Before each block is a comment: `<!-- run -->` where tests run it, `<!-- ci:test -->` where .ci/run
does, `<!-- not run: why -->` where nothing does.
"""

import pathlib
import re
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = (README, *sorted(DOCS.rglob("*.md")))

_BLOCK = re.compile(r"(?:<!-- ([^\n]*) -->\n)?```(bash|python)\n(.*?)```", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """Commands of a page."""

    mark: str  # Of the comment before it; empty where there is none.
    language: str
    text: str

    @property
    def is_run(self) -> bool:
        return self.mark == "run"


def blocks(page: pathlib.Path) -> list[Block]:
    """Returns the blocks of commands of a page, in their order."""
    return [Block(mark or "", *rest) for mark, *rest in _BLOCK.findall(page.read_text())]
