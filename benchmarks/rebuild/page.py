"""The tables of docs/rebuild.md, written anew from the figures of a run. ``python -m benchmarks.rebuild.page FILE``."""

import argparse
import json
from pathlib import Path

from benchmarks import parts

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "rebuild.md"


def main() -> None:
    """Write the tables into the page; parts that it has no place for are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path, help="what python -m benchmarks.rebuild --json wrote")
    parser.add_argument("--page", type=Path, default=_PAGE)
    asked = parser.parse_args()
    parts.write_into(asked.page, json.loads(asked.file.read_text("utf-8"))["parts"])


if __name__ == "__main__":
    main()
