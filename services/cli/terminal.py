"""The terminal: results to standard output, progress and complaints to standard error.

Nothing that came from outside is ever taken for markup or for a control sequence.
"""

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

_WIDTH_OF_FILES = 160

out = Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else _WIDTH_OF_FILES)
err = Console(stderr=True, highlight=False, markup=False, emoji=False)


_FOLDED = {
    "name",
    "person",
    "detail",
    "nearest colleague",
    "rejected file",
    "rejected",
    "meaning",
    "value",
    "default",
    "licence",
}
"""Columns whose text may be long; the others are read at a glance or copied, and never folded."""


def plain(value: object) -> str:
    """*value* as text that a terminal only shows: control and formatting characters are replaced."""
    text = "" if value is None else str(value)
    return "".join("\ufffd" if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else c for c in text)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """A table for people; a column whose name ends in ``>`` is set to the right."""
    made = Table(
        title=None if title is None else Text(plain(title), style="bold"),
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.endswith(">") else "left"
        made.add_column(column.rstrip(">"), justify=justify, overflow="fold", no_wrap=column.rstrip(">") not in _FOLDED)
    for row in rows:
        made.add_row(*(Text(plain(cell)) for cell in row))
    out.print(made)


def say(text: str) -> None:
    """A line of result; folded on a terminal only, so that what is copied or read by programs stays whole."""
    out.print(Text(plain(text)), soft_wrap=not out.is_terminal)


def complain(text: str) -> None:
    """A line to standard error, as :func:`say` writes one."""
    err.print(Text(plain(text)), soft_wrap=not err.is_terminal)


def document(value: Any) -> None:  # noqa: ANN401 - whatever JSON can say
    """One JSON document and nothing else."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def progress() -> Progress:
    """A progress bar on standard error, seen only on a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=err,
        disable=not sys.stderr.isatty(),
        transient=True,
    )


def number(value: float | None, digits: int = 3) -> str:
    """A number for people; empty for none."""
    return "" if value is None else f"{value:.{digits}f}"
