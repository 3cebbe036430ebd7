"""Compare runs: settings that differ, last metrics, and a plot of their curves.

For example:

    python main.py compare runs/quickstart runs/speech_8bit
    python main.py compare --report_dir=report runs   # all below it

A run is a folder that training wrote, or FOLDER/MODEL_NAME if it holds several. The plot is
compare.png, in the current folder or in --report_dir.
"""

import os
import sys
from collections.abc import Sequence

from absl.flags import FlagValues

import flags
from commands.interface import Command
from runtime.errors import ConfigError
from runtime.terminal import emphasize_marked


def run(values: FlagValues, arguments: Sequence[str]) -> int | None:
    """Prints the comparison and writes the plot; returns the exit status."""
    # Checked here, before NumPy and Matplotlib are imported.
    if not arguments:
        raise ConfigError("expected the folders of runs, as in: compare runs/one runs/two")
    from evaluation.training_runs.compare import compare, format_comparison, write_comparison
    from runtime.logging import start_logging

    start_logging(None)
    comparison = compare(arguments)
    print(emphasize_marked(format_comparison(comparison), sys.stdout))
    plot = write_comparison(comparison, os.path.expanduser(values.report_dir or "."))
    print(f"plot: {plot}")
    return 1 if comparison.problems else None


COMMAND = Command(doc=__doc__, groups=(flags.PLOT,), run=run, arguments="RUN_DIR ...")
