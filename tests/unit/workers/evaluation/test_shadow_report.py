"""What changes face by face, and the page that shows it."""

import re

import numpy as np
import pytest

from tests.unit.workers.evaluation.sets import vectors_of
from tests.unit.workers.evaluation.shadows import angles, numbered, shadow
from workers.evaluation import shadow_plots, shadow_worst
from workers.evaluation.shadow import Shadow, asked
from workers.evaluation.shadow_worst import FELL, GAINED, LOST, MISTAKEN, WORST, worst

PEOPLE = np.arange(40).repeat(3)


def test_the_faces_that_fell_most_come_first_and_none_of_a_person_twice() -> None:
    """By rank, then by lead; what has not fallen is not among them."""
    pair = shadow(vectors_of(40, 3, 0.5), vectors_of(40, 3, 1.6), PEOPLE)
    said = asked(pair)

    fell = worst(pair, said, (None, None))[FELL]

    falls = [(one.after.rank or 0) - (one.before.rank or 0) for one in fell]
    assert falls == sorted(falls, reverse=True)
    assert len(fell) == WORST
    assert len({_person(pair, one.before_face) for one in fell}) == WORST


def test_searches_that_end_otherwise_are_listed_by_how_they_do() -> None:
    """Ana is recognised only before, Ben only after, and Cyn's only face is taken for Ben's after."""
    people = numbered(1, 1, 2, 2, 3)
    pair = shadow(angles(0, 10, 90, 140, 220), angles(0, 60, 100, 105, 112), people)
    said = asked(pair)

    lists = worst(pair, said, (0.9, 0.9))

    faces = {name: [one.before_face for one in some] for name, some in lists.items()}
    assert faces[LOST] == [101]  # One of the two: of each person one.
    assert len(faces[GAINED]) == 1
    assert faces[GAINED][0] in {102, 103}
    assert faces[MISTAKEN] == [104]
    assert (lists[LOST][0].before.outcome, lists[LOST][0].after.outcome) == ("right", "unknown")
    assert lists[MISTAKEN][0].before.rank is None
    assert lists[MISTAKEN][0].after.shown in {102, 103}


def test_nobody_is_shown_by_the_face_that_is_searched_with() -> None:
    """The evidence for the right person is another face of theirs."""
    seen = vectors_of(40, 3, 0.5)
    pair = shadow(seen, vectors_of(40, 3, 1.6), PEOPLE)

    lists = worst(pair, asked(pair), (0.3, 0.3))

    for one in (one for some in lists.values() for one in some):
        assert one.before_face not in {one.before.shown, one.after.shown}


def test_what_is_kept_of_the_lists_names_faces_and_people_by_id() -> None:
    """And leaves out those that were deleted meanwhile."""
    pair = shadow(vectors_of(40, 3, 0.5), vectors_of(40, 3, 1.6), PEOPLE)
    lists = worst(pair, asked(pair), (0.3, 0.3))
    gone = lists[LOST][0].before_face
    seen = pair.look(shadow_worst.faces_of(lists))
    ids = {number: (face.face_id, face.person_id) for number, face in seen.items() if number != gone}

    kept = shadow_worst.of_figures(lists, ids)

    assert f"fac_{gone}" not in {one["face"] for one in kept[LOST]}
    assert len(kept[LOST]) == len(lists[LOST]) - 1
    assert "Person" not in str(kept)


@pytest.mark.slow
def test_plots_take_their_colours_from_the_page_and_have_names_of_their_own() -> None:
    """Light or dark: no drawing has a colour of its own."""
    pair = shadow(vectors_of(40, 3, 0.5), vectors_of(40, 3, 1.2), PEOPLE)

    drawn = shadow_plots.every(asked(pair), (0.5, None), seed=0)

    assert [one.name for one in drawn] == ["scores-before", "scores-after", "leads", "places"]
    for one in drawn:
        svg = one.svg()
        assert "var(--" in svg
        assert not re.findall(r"#[0-9a-f]{6}", svg)


def test_nothing_is_drawn_where_nobody_can_be_looked_for() -> None:
    """One face each."""
    seen = vectors_of(5, 1, 0.5)

    assert shadow_plots.every(asked(shadow(seen, seen, np.arange(5))), (0.5, 0.5), seed=0) == []


def _person(pair: Shadow, face: int) -> int:
    return int(pair.people[face - 100])
