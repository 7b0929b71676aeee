"""Groups: does the model serve everybody alike? Error rates within each group at the one threshold that serves all.

A CSV says who belongs where: a column ``person`` (the name) or ``path`` (of the photo), and every other column is a way to
divide the set, such as age or skin type.
"""

import csv
import io
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.errors import InvalidRequest, NotFound
from workers.evaluation import bootstrap, metrics
from workers.evaluation.bootstrap import Interval, Weights
from workers.evaluation.pairing import Pairing, Photos, Scored

MOST_GROUPS = 20
"""A column of more values (a number, a name) does not divide people into groups."""


@dataclass(frozen=True, slots=True)
class Column:
    """One way to divide a set."""

    name: str
    values: Sequence[str]
    """The groups, in order."""
    of_photos: NDArray[np.int64]
    """(m,): the group of each photo, a place in ``values``; -1 where the file does not say."""


@dataclass(frozen=True, slots=True)
class Group:
    """What is right and wrong within one group."""

    name: str
    people: int
    photos: int
    failure_to_detect: float
    mated: int
    non_mated: int
    tmr: float | None
    tmr_interval: Interval | None
    fmr: float | None
    """None where the group's non-mated pairs are too few for the rate that the threshold is set to."""
    fmr_interval: Interval | None
    false_matches: int


@dataclass(frozen=True, slots=True)
class Table:
    """Who or what belongs to which groups."""

    source: str
    """What to call it."""
    key: str
    """``person`` or ``path``: what ``rows`` are keyed by."""
    columns: Sequence[str]
    rows: Mapping[str, Mapping[str, str]]
    """By name or path: the group in each column; empty or left out where it is not known."""


def of_people(told: Mapping[str, Mapping[str, str]]) -> Table:
    """A table of people by name, as a request gives it."""
    columns = list(dict.fromkeys(column for groups in told.values() for column in groups))
    return Table("the request", "person", columns, {_same(name): groups for name, groups in told.items()})


def read(file: Path) -> Table:
    """The table in a CSV file: UTF-8, comma or semicolon; of a row that is there twice the last counts.

    Raises:
        NotFound: It is not there.
        InvalidRequest: It cannot be read, or has no column ``person`` or ``path``.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise NotFound("file of groups", file) from None
    except UnicodeDecodeError:
        raise InvalidRequest(f"{file} is not UTF-8. Save it as UTF-8.") from None
    except OSError as error:
        raise InvalidRequest(f"{file} cannot be read: {error.strerror}.") from None
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    columns = [(name or "").strip() for name in reader.fieldnames or []]
    lowered = [name.lower() for name in columns]
    key = next((each for each in ("person", "path") if each in lowered), None)
    if key is None:
        raise InvalidRequest(f"{file} has neither a column person nor path; its first line must name one of them.")
    columns[lowered.index(key)] = key
    reader.fieldnames = columns
    try:
        rows = {_same(row[key]): {k: v for k, v in row.items() if isinstance(v, str)} for row in reader if row[key]}
    except csv.Error as error:
        raise InvalidRequest(f"{file}, line {reader.line_num}: {error}.") from None
    return Table(file.name, key, [name for name in columns if name and name != key], rows)


def columns_of(
    table: Table, names: Sequence[str], paths: Sequence[str], photos: Photos
) -> tuple[list[Column], list[str]]:
    """The ways in which *table* divides a set, and what is odd about it.

    Args:
        table: Who belongs where.
        names: Of the people, by number.
        paths: Of the photos, in the order of *photos*.
        photos: Whom each shows.

    Raises:
        InvalidRequest: It speaks of nobody in the set, or has no column that divides it.
    """
    whose = [_same(names[person]) for person in photos.people.tolist()]
    if table.key == "path":
        whose = [_same(path) for path in paths]
    known = set(whose) & set(table.rows)
    if not known:
        examples = ", ".join(sorted(table.rows)[:3])
        raise InvalidRequest(
            f"Nothing in the column {table.key} of {table.source} is in this set; it names {examples}."
        )
    notes: list[str] = []
    if unknown := len(table.rows) - len(known):
        notes.append(f"{unknown} of the {len(table.rows)} rows of {table.source} are of nobody in this set.")
    found: list[Column] = []
    for name in table.columns:
        told = {each: value for each in known if (value := table.rows[each].get(name, "").strip())}
        values = sorted(set(told.values()))
        if len(values) > MOST_GROUPS:
            notes.append(f"The column {name} has {len(values)} values; up to {MOST_GROUPS} make groups.")
            continue
        if not values:
            continue
        places = {value: place for place, value in enumerate(values)}
        of_photos = np.array([places[told[each]] if each in told else -1 for each in whose], np.int64)
        if left := int((of_photos < 0).sum()):
            notes.append(f"{left} of {len(of_photos)} photos have no {name} in {table.source}.")
        found.append(Column(name, values, of_photos))
    if not found:
        raise InvalidRequest(
            f"No column of {table.source} divides the set: beside {table.key} it needs one with up to {MOST_GROUPS} values."
        )
    return found, notes


def _same(text: str | None) -> str:
    """What two spellings of a name or path have in common."""
    return unicodedata.normalize("NFC", (text or "").strip()).replace("\\", "/").removeprefix("./")


def within(
    column: Column, scored: Scored, pairing: Pairing, photos: Photos, at: tuple[float, float], weights: Weights
) -> list[Group]:
    """Each group of *column*: pairs whose two photos are both in it.

    Args:
        column: Who is in which.
        scored: What the model says of *pairing*.
        pairing: All pairs of the set.
        photos: Whom each photo shows.
        at: The FMR that the threshold is set to over all pairs, and the threshold.
        weights: From :func:`workers.evaluation.bootstrap.drawn`.
    """
    rate, threshold = at
    mated, non_mated = column.of_photos[pairing.mated], column.of_photos[pairing.non_mated]
    accepted_mated = scored.mated >= np.float32(threshold)
    accepted = scored.non_mated >= np.float32(threshold)
    owners, pair_people = photos.people[pairing.mated[:, 0]], photos.people[pairing.non_mated]
    rows: list[Group] = []
    for place, name in enumerate(column.values):
        own = (mated == place).all(1)
        others = (non_mated == place).all(1)
        mine = column.of_photos == place
        hits, counts = (
            bootstrap.by_person(owners[own], each, photos.everybody)
            for each in (accepted_mated[own], np.ones(int(own.sum())))
        )
        enough = metrics.can_show(rate, int(others.sum()))
        false = accepted[others]
        of_pairs = pair_people[others]
        rows.append(
            Group(
                name,
                len(np.unique(photos.people[mine])),
                int(mine.sum()),
                float(mine[photos.found :].sum() / max(int(mine.sum()), 1)),
                int(own.sum()),
                int(others.sum()),
                float(accepted_mated[own].mean()) if own.any() else None,
                bootstrap.share_interval(hits, counts, weights) if own.any() else None,
                float(false.mean()) if enough else None,
                _fmr_interval(of_pairs, false, photos, mine, weights, listed=pairing.listed) if enough else None,
                int(false.sum()),
            )
        )
    return rows


def _fmr_interval(
    people: NDArray[np.int64],
    false: NDArray[np.bool_],
    photos: Photos,
    mine: NDArray[np.bool_],
    weights: Weights,
    *,
    listed: bool,
) -> Interval | None:
    faces = np.bincount(photos.people[: photos.found][mine[: photos.found]], minlength=photos.everybody)
    wholes = bootstrap.totals(people, faces, weights, even=not listed)
    return bootstrap.pair_share_interval(people[false], wholes, weights)
