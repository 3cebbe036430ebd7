"""The report of an evaluation: report.html for people, report.json with every number in it."""

import json
import os

from evaluation.report.figures import Figures
from evaluation.report.page import render
from runtime.filesystem import write_bytes_atomically


def write_report(figures: Figures, report_dir: str | os.PathLike[str]) -> str:
    """Writes `report.html`, which needs nothing else, and `report.json` into a folder.

    Args:
      figures: what is told, as `evaluation.report.figures.figures` gives it.
      report_dir: made if missing. What stood there under these names is replaced, each as a whole.

    Returns:
      The path of report.html.

    Raises:
      OSError: the folder cannot be written.
    """
    numbers = json.dumps(figures, allow_nan=False, indent=1)
    page = render(figures)
    os.makedirs(report_dir, exist_ok=True)
    path = os.path.join(os.fspath(report_dir), "report.html")
    write_bytes_atomically(os.path.join(os.fspath(report_dir), "report.json"), numbers.encode())
    write_bytes_atomically(path, page.encode())
    return path
