"""What was asked of the command, and what a part hands back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.machine import Row


@dataclass(frozen=True, slots=True)
class Asked:
    """Sizes and places for one run."""

    folder: Path
    """Where the gallery is kept and services run."""
    quick: bool
    tuned: Path | None
    """A bundle's folder, in place of training one."""
    parts: Mapping[str, Any] = field(default_factory=dict)
    """The figures of the parts that have run."""


@dataclass(frozen=True, slots=True)
class Told:
    """The figures of one part, and what has to be said beside them."""

    rows: Sequence[Row]
    notes: Sequence[str] = ()


Part = Callable[[Asked], Told]


def value(parts: Mapping[str, Any], part: str, metric: str, case: str | None = None) -> float:
    """A figure that a part has measured.

    Raises:
        SystemExit: It has not run.
    """
    for row in parts.get(part, {}).get("rows", ()):
        if row["metric"] == metric and case in {None, row["case"]}:
            return float(row["value"])
    raise SystemExit(f"This part needs what {part!r} measures ({metric}); run that first.")
