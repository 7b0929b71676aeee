"""Tracks: names belong to faces, and take several answers."""

import itertools
import math
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from services.cli.tracks import Box, Nearest, Seen, Track, Tracks, assign

THRESHOLD = 0.5
IMPOSSIBLE = 1e6
EVERY_S = 0.2


def _face(x: float, name: str | None, similarity: float = 0.8) -> Seen:
    nearest = None if name is None else Nearest(f"per_{name}", name, None, similarity)
    return Seen(Box(x, 100.0, 100.0, 120.0), nearest)


def _after(*answers: Sequence[Seen], every_s: float = EVERY_S) -> Tracks:
    tracks = Tracks()
    for number, faces in enumerate(answers):
        assert tracks.answer(number * every_s, faces, THRESHOLD)
    return tracks


def _said(tracks: Tracks) -> list[str]:
    def word(track: Track) -> str:
        return track.deciding.person.name if track.deciding.person is not None else track.deciding.state

    return [word(track) for track in sorted(tracks.all, key=lambda track: track.box.x)]


def test_nobody_is_named_before_three_answers_agree() -> None:
    ana = [_face(100, "Ana")]

    assert [_said(_after(*[ana] * n)) for n in (1, 2, 3)] == [["unsure"], ["unsure"], ["Ana"]]


def test_nobody_is_unknown_before_four_answers_accept_nobody() -> None:
    stranger = [_face(100, "Ana", THRESHOLD - 0.1)]

    assert [_said(_after(*[stranger] * n)) for n in (3, 4)] == [["unsure"], ["unknown"]]


def test_a_name_does_not_flicker() -> None:
    ana, ben = [_face(100, "Ana")], [_face(100, "Ben")]

    assert _said(_after(ana, ana, ana, ben, ana, ben)) == ["Ana"]


def test_who_walks_keeps_the_track_and_whoever_comes_gets_a_new_one() -> None:
    tracks = _after(*[[_face(100 + 40 * n, "Ana")] for n in range(6)], [_face(340, "Ana"), _face(600, "Ben")])

    assert [(track.number, _x(track)) for track in tracks.all] == [(1, 340), (2, 600)]


def test_faces_that_cross_keep_their_names() -> None:
    way = [(0, 400), (60, 340), (120, 280), (180, 220), (240, 160), (300, 100), (360, 40)]
    answers = [[_face(a, "Ana"), _face(b, "Ben")] for a, b in way]
    doubtful = [Seen(face.box, None) for face in answers[3]]

    tracks = _after(*answers[:3], doubtful, *answers[4:])

    assert _said(tracks) == ["Ben", "Ana"]
    assert [track.number for track in sorted(tracks.all, key=lambda one: one.number)] == [1, 2]


def test_an_answer_about_an_older_frame_changes_nothing() -> None:
    tracks = _after([_face(100, "Ana")], [_face(120, "Ana")])

    assert not tracks.answer(0.1, [_face(500, "Ben")], THRESHOLD)
    assert [_x(track) for track in tracks.all] == [120]


def test_one_person_is_one_face_the_one_that_is_more_like_them() -> None:
    both = [_face(100, "Ana", 0.9), _face(400, "Ana", 0.6)]

    assert _said(_after(both, both, both)) == ["Ana", "unsure"]


def test_who_is_not_found_for_a_while_is_gone() -> None:
    assert _said(_after([_face(100, "Ana")], [], [], every_s=1.0)) == []


@given(
    st.integers(0, 4).flatmap(
        lambda width: st.lists(
            st.lists(st.one_of(st.floats(0, 3), st.just(IMPOSSIBLE)), min_size=width, max_size=width), max_size=4
        ).map(lambda costs: (costs, width))
    )
)
def test_faces_are_dealt_out_at_the_least_cost(made: tuple[list[list[float]], int]) -> None:
    costs, width = made

    def total(columns: Sequence[int | None]) -> float:
        return sum(IMPOSSIBLE if j is None else costs[i][j] for i, j in enumerate(columns))

    dealt = assign(costs, width)

    places = [*range(width), *[None] * len(costs)]
    least = min(total(way) for way in itertools.permutations(places, len(costs)))
    assert math.isclose(total(dealt), least, abs_tol=1e-6)
    assert all(j is None or costs[i][j] < IMPOSSIBLE for i, j in enumerate(dealt))


def _x(track: Track) -> float:
    return track.box.x
