"""Who is who after another detector has looked."""

from workers.faces.refinding import refind
from workers.faces.values import Box

ANA, BEN = Box(100, 100, 80, 100), Box(300, 100, 80, 100)


def moved(box: Box, by: float) -> Box:
    """*box*, a little to the right."""
    return Box(box.x + by, box.y, box.w, box.h)


def test_each_face_is_found_in_the_detection_that_overlaps_it() -> None:
    refound = refind([ANA, BEN], [True, True], [moved(BEN, 8), moved(ANA, -8), Box(500, 500, 50, 50)])

    assert (refound.found, refound.ambiguous) == ({0: 1, 1: 0}, {})
    assert refound.taken == {0, 1}


def test_a_face_that_nothing_overlaps_is_not_found() -> None:
    refound = refind([ANA, BEN], [True, True], [ANA])

    assert (refound.found, refound.ambiguous) == ({0: 0}, {})


def test_a_face_that_fits_two_detections_is_ambiguous_the_nearest_first() -> None:
    both = Box(100, 100, 160, 100)

    refound = refind([both], [True], [Box(100, 100, 70, 100), Box(180, 100, 80, 100)])

    assert (refound.found, refound.ambiguous) == ({}, {0: [1, 0]})


def test_a_detection_that_fits_two_faces_is_the_clearly_nearer_ones() -> None:
    refound = refind([ANA, moved(ANA, 30)], [True, True], [moved(ANA, 2)])

    assert (refound.found, refound.ambiguous) == ({0: 0}, {})


def test_a_detection_between_two_faces_makes_both_ambiguous() -> None:
    refound = refind([ANA, moved(ANA, 30)], [True, True], [moved(ANA, 15)])

    assert (refound.found, refound.ambiguous) == ({}, {0: [0], 1: [0]})


def test_what_is_near_a_lost_face_and_nobody_elses_is_for_a_person_to_decide() -> None:
    near = moved(ANA, 45)  # IoU 0.28.

    assert refind([ANA], [True], [near]).ambiguous == {0: [0]}
    assert refind([ANA, near], [True, True], [near]).ambiguous == {}


def test_a_whole_face_goes_before_a_bystander_and_bystanders_are_never_ambiguous() -> None:
    refound = refind([moved(ANA, 5), ANA, Box(300, 100, 160, 100)], [False, True, False], [ANA, BEN, moved(BEN, 80)])

    assert (refound.found, refound.ambiguous) == ({1: 0, 2: 1}, {})


def test_without_detections_nothing_is_found() -> None:
    assert refind([ANA], [True], []).found == {}
    assert refind([], [], [ANA]).taken == set()
