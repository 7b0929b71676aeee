"""Groups: who belongs where, and what is right and wrong within each."""

from pathlib import Path

import numpy as np
import pytest

from services.errors import InvalidRequest, NotFound
from tests.unit.workers.evaluation.sets import photos_of, vectors_of
from workers.evaluation import bootstrap, groups, metrics, pairing

NAMES = [f"José {n}" for n in range(40)]
PATHS = [f"José {n}/{photo}.jpg" for n in range(40) for photo in range(3)]


def test_a_group_that_looks_alike_is_seen_to(tmp_path: Path) -> None:
    """The people of one group are given half of one face: their FMR is many times that of the others."""
    photos, vectors = photos_of(40, 3), vectors_of(40, 3, 0.9)
    alike = vectors[:60] + 0.55 * vectors_of(1, 1, 0.0, seed=3)
    vectors[:60] = alike / np.linalg.norm(alike, axis=1, keepdims=True)
    table = groups.read(
        _csv(tmp_path, "person,site", *(f"{name},{'a' if i < 20 else 'b'}" for i, name in enumerate(NAMES)))
    )
    (column,), notes = groups.columns_of(table, NAMES, PATHS, photos)
    pairs = pairing.every_pair(photos)
    said = pairing.scored(vectors, photos, pairs)
    threshold = metrics.threshold_at(said.non_mated, 1e-2)

    a, b = groups.within(column, said, pairs, photos, (1e-2, threshold), bootstrap.drawn(40, draws=100))

    assert notes == []
    assert (a.name, a.people, a.photos, a.mated, a.non_mated) == ("a", 20, 60, 60, 60 * 57 // 2)
    assert a.fmr is not None
    assert b.fmr is not None
    assert a.fmr > 10 * b.fmr
    assert b.fmr < 3e-3
    assert a.fmr_interval is not None
    assert a.fmr_interval[0] > 0.01
    assert a.false_matches == round(a.fmr * a.non_mated)


def test_a_group_without_enough_pairs_says_nothing_of_its_rate(tmp_path: Path) -> None:
    """Three people, 27 pairs of two: no FMR of 1e-2; the TMR is told."""
    photos = photos_of(40, 3)
    table = groups.read(
        _csv(tmp_path, "person;site", *(f"{name};{'few' if i < 3 else 'many'}" for i, name in enumerate(NAMES)))
    )
    (column,), _ = groups.columns_of(table, NAMES, PATHS, photos)
    pairs = pairing.every_pair(photos)
    said = pairing.scored(vectors_of(40, 3, 0.9), photos, pairs)

    few, many = groups.within(column, said, pairs, photos, (1e-2, 0.4), bootstrap.drawn(40, draws=20))

    assert (few.fmr, few.fmr_interval) == (None, None)
    assert few.tmr is not None
    assert many.fmr is not None


def test_photos_may_belong_to_groups_by_path_and_failures_to_detect_are_of_theirs(tmp_path: Path) -> None:
    """A photo without a face counts in its group."""
    photos = photos_of(2, 2, faceless=(1,))
    paths = ["a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg", "b/3.jpg"]
    table = groups.read(
        _csv(tmp_path, "path,light", "./a/1.jpg,day", "a\\2.jpg,night", "b/1.jpg,night", "b/3.jpg,night")
    )

    (column,), notes = groups.columns_of(table, ["a", "b"], paths, photos)
    pairs = pairing.every_pair(photos)
    said = pairing.scored(vectors_of(2, 2, 0.1), photos, pairs)
    day, night = groups.within(column, said, pairs, photos, (1e-2, 0.4), bootstrap.drawn(2, draws=20))

    assert notes == ["1 of 5 photos have no light in groups.csv."]
    assert day.failure_to_detect == 0
    assert night.failure_to_detect == pytest.approx(1 / 3)
    assert (day.mated, night.mated) == (0, 1)
    assert day.tmr is None


def test_what_divides_nobody_is_passed_over_and_said(tmp_path: Path) -> None:
    """Numbers and names have too many values; rows of others are counted."""
    rows = [f"{name},{i},{'xy'[i % 2]}" for i, name in enumerate(NAMES)]
    table = groups.read(_csv(tmp_path, "person,badge,site", *rows, "Nobody,1,x"))

    columns, notes = groups.columns_of(table, NAMES, PATHS, photos_of(40, 3))

    assert [column.name for column in columns] == ["site"]
    assert any("badge has 40 values" in note for note in notes)
    assert any("1 of the 41 rows" in note for note in notes)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["name,site", "Ana,x"], "neither a column person nor path"),
        (["person,site", "Nobody,x"], "Nothing in the column person .* names Nobody"),
        (["person", *NAMES], "No column of groups.csv divides the set"),
    ],
)
def test_a_file_of_groups_that_says_nothing_is_refused(tmp_path: Path, lines: list[str], says: str) -> None:
    """With what it lacks."""
    with pytest.raises(InvalidRequest, match=says):
        groups.columns_of(groups.read(_csv(tmp_path, *lines)), NAMES, PATHS, photos_of(40, 3))


def test_a_file_of_groups_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(NotFound, match=r"nowhere\.csv"):
        groups.read(tmp_path / "nowhere.csv")


def _csv(folder: Path, *lines: str) -> Path:
    path = folder / "groups.csv"
    path.write_text("\ufeff" + "\n".join(lines) + "\n", "utf-8")
    return path
