"""Benchmarks that are run in parts: what an earlier run has of them, and putting their tables into a page of docs/.

Between ``<!-- figures: PART -->`` and ``<!-- end of figures -->`` of a page stands what that part printed; the page around it is
written by hand.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.machine import Row, tables

_MARKED = re.compile(r"(<!-- figures: ([\w-]+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)


def kept(file: Path | None, *, quick: bool) -> dict[str, Any]:
    """The parts that *file* has of runs as quick as this one."""
    if file is None or not file.exists():
        return {}
    held: dict[str, Any] = json.loads(file.read_text("utf-8")).get("parts", {})
    return {name: part for name, part in held.items() if part.get("quick", False) == quick}


def circumstances(part: Mapping[str, Any]) -> str:
    """How long a part took, and how loaded the machine was."""
    return f"{part['seconds']:g} s; {_load(part)}"


def write_into(page: Path, parts: Mapping[str, Any], is_shown: Callable[[Row], bool] = lambda _: True) -> None:
    """Write the tables of *parts* into *page*; parts that it has no place for are named on standard error.

    Args:
        page: Of docs/. Where a run has nothing of a part, what stands there stays.
        parts: By name.
        is_shown: Whether a row is printed; others are only drawn.
    """
    text = page.read_text("utf-8") if page.exists() else ""

    def told(found: "re.Match[str]") -> str:
        return found[1] + _told(parts[found[2]], is_shown) + found[3] if found[2] in parts else found[0]

    page.write_text(_MARKED.sub(told, text), "utf-8")
    if left := set(parts) - {found[2] for found in _MARKED.finditer(text)}:
        print(f"The page has no place for {', '.join(sorted(left))}.", file=sys.stderr)


def _told(part: Mapping[str, Any], is_shown: Callable[[Row], bool]) -> str:
    rows = [row for row in (Row(**each) for each in part["rows"]) if is_shown(row)]
    if not rows:
        return "\n"  # Only drawn.
    notes = "; ".join([*part["notes"], _load(part)])
    return "\n".join(["", f"{notes[:1].upper()}{notes[1:]}.", "", tables(rows), "", ""])


def _load(part: Mapping[str, Any]) -> str:
    before, after = part["load"]
    return f"load of the machine {before:g} before, {after:g} after"
