"""The tables and plots of docs/index.md, written anew from the figures of a run. ``python -m benchmarks.index.page FILE``.

Plots go to docs/images/index-*.svg.
"""

import argparse
import json
from pathlib import Path

from benchmarks import parts
from benchmarks.index import plots
from benchmarks.machine import Row

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "index.md"


def main() -> None:
    """Write the plots, and the tables into the page; parts that it has no place for are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path, help="what python -m benchmarks.index --json wrote")
    parser.add_argument("--page", type=Path, default=_PAGE)
    asked = parser.parse_args()
    held = json.loads(asked.file.read_text("utf-8"))["parts"]
    plots.draw([Row(**row) for part in held.values() for row in part["rows"]], asked.page.parent / "images")
    parts.write_into(asked.page, held, lambda row: not row.case.startswith("curve"))


if __name__ == "__main__":
    main()
