"""The tables of docs/rebuild.md, written anew from the figures of a run. ``python -m benchmarks.rebuild.page FILE``.

Between ``<!-- figures: PART -->`` and ``<!-- end of figures -->`` stands what that part of ``benchmarks.rebuild`` printed; the
page around it is written by hand.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.machine import Row, tables

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "rebuild.md"
_MARKED = re.compile(r"(<!-- figures: ([\w-]+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)


def main() -> None:
    """Write the tables into the page; parts that it has no place for are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path, help="what python -m benchmarks.rebuild --json wrote")
    parser.add_argument("--page", type=Path, default=_PAGE)
    asked = parser.parse_args()
    parts = json.loads(asked.file.read_text("utf-8"))["parts"]
    text = asked.page.read_text("utf-8")
    asked.page.write_text(_MARKED.sub(lambda found: found[1] + _told(parts, found) + found[3], text), "utf-8")
    if left := set(parts) - {found[2] for found in _MARKED.finditer(text)}:
        print(f"The page has no place for {', '.join(sorted(left))}.", file=sys.stderr)


def _told(parts: Mapping[str, Any], found: "re.Match[str]") -> str:
    """The tables of a part; what stands there where the run has none of it."""
    if found[2] not in parts:
        return found[0][len(found[1]) : -len(found[3])]
    part = parts[found[2]]
    before, after = part["load"]
    notes = "; ".join([*part["notes"], f"load of the machine {before:g} before, {after:g} after"])
    rows = [Row(**row) for row in part["rows"]]
    return "\n".join(["", f"{notes[:1].upper()}{notes[1:]}.", "", tables(rows), "", ""])


if __name__ == "__main__":
    main()
