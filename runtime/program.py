"""What the program is called where it runs."""

import os
import sys

IN_A_CLONE = "python main.py"
INSTALLED = "wavestream"


def program() -> str:
    """Returns the beginning of a command line that runs this program as it was run now."""
    return INSTALLED if os.path.basename(sys.argv[0]).startswith(INSTALLED) else IN_A_CLONE
