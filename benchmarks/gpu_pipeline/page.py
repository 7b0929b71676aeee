"""The tables of docs/gpu.md, written anew from the figures of a run. ``python -m benchmarks.gpu_pipeline.page FILE``.

Between ``<!-- figures: PART -->`` and ``<!-- end of figures -->`` stands what that part of ``benchmarks.gpu_pipeline`` found.
"""

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.machine import Row, tables

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "gpu.md"
_MARKED = re.compile(r"(<!-- figures: ([\w ,.-]+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)
_LEFT_OUT = "layers at once"
"""Whether cuDNN had its calls of several layers at once: the page says so in words."""


def main() -> None:
    """Write the tables into the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path, help="what python -m benchmarks.gpu_pipeline --json wrote")
    asked = parser.parse_args()
    held = json.loads(asked.file.read_text("utf-8"))
    text = _PAGE.read_text("utf-8")
    _PAGE.write_text(_MARKED.sub(lambda found: found[1] + _told(held, found[2]) + found[3], text), "utf-8")


def _told(held: Mapping[str, Any], part: str) -> str:
    """What was measured on, or the tables of a part."""
    if part == "machine":
        machine = held["machine"]
        on = f"{machine['gpu']}; {machine['processor']}, {machine['cores']} cores"
        by = f"torch {machine['torch']}, cuDNN {machine['cudnn']}, Python {machine['python']}; {machine['date']}"
        return f"\n{on}; {by}; `python -m benchmarks.gpu_pipeline FOLDER`.\n\n"
    (name,) = (name for name in held["parts"] if name.startswith(part))
    rows = [row for row in (Row(**each) for each in held["parts"][name]["rows"]) if row.metric != _LEFT_OUT]
    return f"\n{tables(rows)}\n\n" if rows else "\nNot measured.\n\n"


if __name__ == "__main__":
    main()
