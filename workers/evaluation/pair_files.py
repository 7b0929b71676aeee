"""Pair files: lists of two photos and whether both show one person, as CSV or as LFW's ``pairs.txt``.

CSV: the columns ``path_a``, ``path_b`` and ``same`` (0 or 1), and perhaps one that is called ``fold`` or ends so
(``lfw_fold``); UTF-8, comma or semicolon. LFW's format: a first line ``folds<TAB>pairs of each kind in a fold``, then
``name<TAB>n<TAB>n`` for one person's photos and ``name<TAB>n<TAB>name<TAB>n`` for those of two, ``n`` standing for
``name/name_000n.jpg``.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.errors import InvalidRequest, NotFound

_COLUMNS = ("path_a", "path_b", "same")


@dataclass(frozen=True, slots=True)
class Line:
    """One pair."""

    number: int
    """Of the line in the file, from 1."""
    a: str
    b: str
    same: bool
    fold: str | None


def read(path: Path) -> list[Line]:
    """The pairs of a file, in its order, at least one.

    Raises:
        NotFound: It is not there.
        InvalidRequest: It is not UTF-8, or a line of it is not a pair; with the line's number.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidRequest(f"{path} is not UTF-8. Save it as UTF-8.") from None
    except FileNotFoundError:
        raise NotFound("pair file", path) from None
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}.") from None
    first = text.partition("\n")[0]
    lines = _csv(path, text, first) if "path_a" in first.lower() else _lfw(path, text.splitlines())
    if not lines:
        raise InvalidRequest(f"{path} lists no pairs.")
    return lines


def _csv(path: Path, text: str, first: str) -> list[Line]:
    delimiter = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns = [name.strip().lower() for name in next(reader)]
    if missing := [name for name in _COLUMNS if name not in columns]:
        raise InvalidRequest(f"{path} has no column {missing[0]}. Its first line must name path_a,path_b,same.")
    a, b, same = (columns.index(name) for name in _COLUMNS)
    fold = next((i for i, name in enumerate(columns) if name.endswith("fold")), None)
    lines: list[Line] = []
    try:
        for row in reader:
            if not row:
                continue
            where = f"{path}, line {reader.line_num}"
            if len(row) != len(columns):
                raise InvalidRequest(f"{where}: {len(row)} fields where the first line names {len(columns)}.")
            paths = row[a].strip(), row[b].strip()
            if not all(paths):
                raise InvalidRequest(f"{where}: a path is empty.")
            label = _label(row[same], where)
            lines.append(Line(reader.line_num, *paths, label, None if fold is None else row[fold].strip()))
    except csv.Error as error:
        raise InvalidRequest(f"{path}, line {reader.line_num}: {error}.") from None
    return lines


def _label(text: str, where: str) -> bool:
    if text.strip() not in {"0", "1"}:
        raise InvalidRequest(f"{where}: same is {text!r}; it must be 1 (one person) or 0 (two).")
    return text.strip() == "1"


def _lfw(path: Path, rows: Sequence[str]) -> list[Line]:
    head = rows[0].split("\t") if rows else []
    if len(head) not in {1, 2} or not all(field.strip().isdecimal() for field in head):
        raise InvalidRequest(
            f"{path}, line 1: neither the columns path_a,path_b,same of a CSV file nor the two numbers (folds, pairs of "
            "each kind in a fold) that LFW's pairs.txt begins with."
        )
    lines: list[Line] = []
    for number, row in enumerate(rows[1:], start=2):
        if row.strip():
            lines.append(_lfw_line(f"{path}, line {number}", number, row.split("\t")))
    if len(head) == 1 or head[0].strip() == "1":
        return lines
    folds, each = int(head[0]), 2 * int(head[1])
    if len(lines) != folds * each:
        raise InvalidRequest(f"{path} has {len(lines)} pairs; its first line promises {folds} folds of {each}.")
    return [Line(line.number, line.a, line.b, line.same, str(i // each)) for i, line in enumerate(lines)]


def _lfw_line(where: str, number: int, fields: Sequence[str]) -> Line:
    fields = [field.strip() for field in fields]
    if len(fields) == 3:
        fields = [fields[0], fields[1], fields[0], fields[2]]
        same = True
    elif len(fields) == 4:
        same = False
    else:
        raise InvalidRequest(f"{where}: {len(fields)} fields, separated by tabs; three or four make a pair.")
    if not (fields[1].isdecimal() and fields[3].isdecimal() and fields[0] and fields[2]):
        raise InvalidRequest(f"{where}: a pair is a name and two numbers, or twice a name and a number.")
    a, b = (f"{name}/{name}_{int(n):04d}.jpg" for name, n in ((fields[0], fields[1]), (fields[2], fields[3])))
    return Line(number, a, b, same, None)
