"""Rebuilds from raw photos: a second look at every photo, whose faces stay who they are."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from services.catalog import faces, generations, people
from services.catalog.rebuilding import chunks, findings, rebuilds
from services.catalog.schema import Face, Photo, Removal
from services.catalog.tables.rebuild import Chunk, Finding, Rebuild
from services.errors import Conflict
from tests.integration.catalog import rows
from tests.integration.rebuilding import Died, Gallery
from workers.rebuild import planning

pytestmark = pytest.mark.slow

RAW = {"source": "raw"}


@pytest.fixture
def yunet(rebuilt: Gallery, shared: Path) -> int:
    """The number of another detector."""
    return rebuilt.detector(shared / "models" / "yunet_2026may.onnx")


def whose(gallery: Gallery, generation: int | None = None) -> list[tuple[Any, ...]]:
    """Faces with a chip, whose they are, and whether they can be searched."""
    return gallery.faces(generation)


def test_another_detector_finds_the_same_faces_again_under_chips_of_their_own(rebuilt: Gallery, yunet: int) -> None:
    rebuild = rebuilt.ready("old", detector_id=yunet)

    made = rebuilt.made(rebuild)
    assert rebuilt.plan(rebuild)["source"] == planning.RAW
    assert whose(rebuilt, made) == whose(rebuilt)
    assert rebuilt.found(rebuild) == []
    new = rebuilt.rows_of(made)
    assert {row.rule.split("-")[0] for row in new.values()} == {"yunet"}
    for old, chip_key, _ in rebuilt.chips():
        assert new[old].chip_key != chip_key
        assert rebuilt.tools.store.exists(new[old].chip_key or "")
    assert rebuilt.switch(rebuild) == "switched"
    assert rebuilt.active()[0:2] == (made, 1)
    for face, vector in rebuilt.vectors(made).items():
        assert rebuilt.cosine(rebuilt.embedded_again("old", face), vector) > 0.9999


def test_the_way_back_from_another_detector_keeps_what_was_assigned_meanwhile(
    rebuilt: Gallery, yunet: int, examples: Path
) -> None:
    rebuild = rebuilt.ready("new", detector_id=yunet)
    moved, erased = rebuilt.faces()[0][0], "Grace Hopper"
    rebuilt.assign(moved, "While It Was Ready")
    assert rebuilt.switch(rebuild) == "switched"
    rebuilt.assign(rebuilt.faces()[1][0], "While It Was Switched")
    rebuilt.enrol([examples / "queries" / "one.jpg"])
    with rebuilt.catalog.transaction() as session:
        [gone] = people.by_name(session, rows.gallery(session).id, erased)
        people.delete(session, gone)
    after = whose(rebuilt)

    with rebuilt.catalog.transaction() as session:
        rebuilds.roll_back(session, session.get_one(Rebuild, rebuild))

    assert rebuilt.active()[1] == 0
    assert whose(rebuilt) == after
    assert {"While It Was Ready", "While It Was Switched"} < {row[1] for row in after}
    assert erased not in {row[1] for row in after}


def test_the_same_detector_can_be_had_look_again(rebuilt: Gallery) -> None:
    boxes = rebuilt.boxes(0)

    rebuild = rebuilt.ready("old", **RAW)

    assert whose(rebuilt, rebuilt.made(rebuild)) == whose(rebuilt)
    assert rebuilt.boxes(1) == boxes
    assert rebuilt.switch(rebuild) == "switched"


def test_a_face_that_is_not_found_again_is_kept_as_it_was_and_listed(rebuilt: Gallery) -> None:
    face, chip_key, _ = rebuilt.chips()[0]
    rebuilt.move_box(face, [0.0, 0.0, 30.0, 30.0])

    rebuild = rebuilt.ready("new", **RAW)

    made = rebuilt.made(rebuild)
    assert rebuilt.found(rebuild) == [("kept", face)]
    assert rebuilt.rows_of(made)[face].chip_key == chip_key
    assert whose(rebuilt, made) == whose(rebuilt)
    assert rebuilt.cosine(rebuilt.embedded_again("new", face), rebuilt.vectors(made)[face]) > 0.9999


@pytest.fixture
def ambiguous(rebuilt: Gallery, examples: Path) -> tuple[int, str, list[str]]:
    """A rebuild, a face that may be two of the new ones, and these."""
    rebuilt.enrol([examples / "queries" / "group.jpg"])
    with rebuilt.catalog.transaction() as session:
        group = session.scalars(select(Photo).where(Photo.source_name.endswith("group.jpg"))).one()
        found = session.scalars(select(Face).where(Face.photo_id == group.id)).all()
        whole = next(face for face in found if face.chip_key is not None)
        other = min((f for f in found if f is not whole), key=lambda f: abs(f.box[0] - whole.box[0]))
        left, right = sorted([whole, other], key=lambda f: f.box[0])
        top = min(left.box[1], right.box[1])
        bottom = max(left.box[1] + left.box[3], right.box[1] + right.box[3])
        session.execute(
            update(Face)
            .where(Face.id == whole.id)
            .values(box=[left.box[0], top, right.box[0] + right.box[2] - left.box[0], bottom - top])
        )
        face = whole.public_id
    rebuild = rebuilt.ready("new", **RAW)
    with rebuilt.catalog.reading() as session:
        finding = session.scalars(select(Finding).where(Finding.rebuild_id == rebuild)).one()
        assert (finding.kind, finding.face_id) == ("ambiguous", face)
        return rebuild, face, list(finding.candidates)


def test_an_ambiguous_face_is_kept_until_somebody_decides_and_then_is_the_chosen_one(
    rebuilt: Gallery, ambiguous: tuple[int, str, list[str]]
) -> None:
    rebuild, face, candidates = ambiguous
    made = rebuilt.made(rebuild)
    before = rebuilt.rows_of(made)
    assert len(candidates) >= 1
    assert {before[candidate].person_id for candidate in candidates} == {None}
    kept, chosen = before[face], before[candidates[0]]
    assert rebuilt.switch(rebuild) == "switched"

    rebuilt.decide(rebuild, candidates[0])

    after = rebuilt.rows_of(made)
    assert (after[face].id, after[face].chip_key) == (chosen.id, chosen.chip_key)
    assert (after[face].person_id, after[face].assigned_by) == (kept.person_id, kept.assigned_by)
    assert not set(candidates) & {row[0] for row in rebuilt.faces(made)}
    assert rebuilt.log()[-2:] == (["remove", "assign"] if len(candidates) == 1 else ["assign", "remove"])
    with rebuilt.catalog.transaction() as session, pytest.raises(Conflict, match="decided"):
        findings.decide(session, session.get_one(Rebuild, rebuild), 1, candidates[0])
    with rebuilt.catalog.transaction() as session:
        assert generations.prove(session, generations.by_id(session, made)).holds
        rebuilds.roll_back(session, session.get_one(Rebuild, rebuild))
    assert rebuilt.rows_of(rebuilt.active()[0] or 0)[face].chip_key == kept.chip_key


def test_an_ambiguous_face_may_stay_as_it_was(rebuilt: Gallery, ambiguous: tuple[int, str, list[str]]) -> None:
    rebuild, face, candidates = ambiguous
    kept = rebuilt.rows_of(rebuilt.made(rebuild))[face]

    rebuilt.decide(rebuild, None)

    after = rebuilt.rows_of(rebuilt.made(rebuild))
    assert after[face].id == kept.id
    assert {after[candidate].chip_key for candidate in candidates} == {None}
    with rebuilt.catalog.reading() as session:
        assert len(session.scalars(select(Removal)).all()) == len(candidates)


def test_photos_taken_in_meanwhile_are_looked_at_with_the_right_detector_too(
    rebuilt: Gallery, yunet: int, examples: Path
) -> None:
    rebuild = rebuilt.begin("new", detector_id=yunet)
    rebuilt.conduct()
    rebuilt.enrol([examples / "queries" / "one.jpg"])  # While it is built.
    assert rebuilt.embed(rebuild) == "comparing", rebuilt.error(rebuild)
    log = rebuilt.log()
    rebuilt.enrol([examples / "queries" / "group.jpg"])  # While it is compared: searchers hold it already.
    assert rebuilt.compare(rebuild) == "ready"

    made = rebuilt.made(rebuild)
    assert {row.rule.split("-")[0] for row in rebuilt.rows_of(made).values()} == {"yunet", "mtcnn"}
    rebuilt.work(rebuild)

    assert {row.rule.split("-")[0] for row in rebuilt.rows_of(made).values()} == {"yunet"}
    assert whose(rebuilt, made) == whose(rebuilt)
    assert rebuilt.log()[len(log) :].count("add") == 3  # One in each round, and once more in its place.
    for face, vector in rebuilt.vectors(made).items():
        row = rebuilt.rows_of(made)[face]
        assert rebuilt.cosine(rebuilt.embedded_again("new", face, row), vector) > 0.9999


def test_every_face_of_a_photo_that_was_kept_whole_is_kept_whole_again(rebuilt: Gallery, examples: Path) -> None:
    rebuilt.enrol([examples / "queries" / "group.jpg"], faces="all", labelled=False)
    before = whose(rebuilt)

    rebuild = rebuilt.ready("old", **RAW)

    assert whose(rebuilt, rebuilt.made(rebuild)) == before
    assert rebuilt.found(rebuild) == []


def test_a_photo_that_is_lost_is_refused_and_skipped_when_asked(rebuilt: Gallery) -> None:
    face, chip_key, photo_key = rebuilt.chips()[0]
    rebuilt.tools.store.delete(photo_key)

    rebuild = rebuilt.begin("new", **RAW)
    assert rebuilt.state(rebuild) == "failed"
    assert "1 photos" in rebuilt.error(rebuild)
    rebuilt.resume(rebuild, skip_missing=True)
    planning.plan(rebuild, rebuilt.tools)
    assert rebuilt.embed(rebuild) == "comparing", rebuilt.error(rebuild)

    assert whose(rebuilt, rebuilt.made(rebuild)) == whose(rebuilt)
    assert rebuilt.rows_of(rebuilt.made(rebuild))[face].chip_key == chip_key


def test_a_photo_lost_after_the_plan_stops_the_switch_until_it_is_back_and_looked_at(rebuilt: Gallery) -> None:
    face, chip_key, photo_key = rebuilt.chips()[0]
    rebuild = rebuilt.begin("new", **RAW)
    photo = rebuilt.tools.store.get(photo_key)
    rebuilt.tools.store.delete(photo_key)

    assert rebuilt.embed(rebuild) == "failed"
    assert rebuilt.found(rebuild) == [("missing", None)]
    assert rebuilt.rows_of(rebuilt.made(rebuild))[face].chip_key == chip_key
    rebuilt.tools.store.put(photo_key, photo)
    rebuilt.resume(rebuild)

    assert rebuilt.embed(rebuild) == "comparing", rebuilt.error(rebuild)
    assert rebuilt.rows_of(rebuilt.made(rebuild))[face].chip_key not in {None, chip_key}
    assert whose(rebuilt, rebuilt.made(rebuild)) == whose(rebuilt)
    assert rebuilt.found(rebuild) == []


@pytest.mark.parametrize("moment", ["claimed", "embedded", "chips stored", "committed"])
def test_a_worker_that_dies_over_photos_loses_and_doubles_no_face(rebuilt: Gallery, moment: str) -> None:
    rebuild = rebuilt.begin("new", **RAW)
    rebuilt.conduct()

    with pytest.raises(Died):
        rebuilt.work(rebuild, tools=rebuilt.dying_at(moment))
    rebuilt.claims_expire()
    rebuilt.embed(rebuild)

    assert whose(rebuilt, rebuilt.made(rebuild)) == whose(rebuilt)
    assert rebuilt.boxes(1) == rebuilt.boxes(0)


def test_a_photo_looked_at_twice_has_the_rows_of_one_look(rebuilt: Gallery, examples: Path, yunet: int) -> None:
    rebuilt.enrol([examples / "queries" / "group.jpg"])
    rebuild = rebuilt.begin("new", detector_id=yunet)
    rebuilt.embed(rebuild)
    once = rebuilt.all_rows(1)

    with rebuilt.catalog.transaction() as session:
        made = generations.by_id(session, rebuilt.made(rebuild))
        chunks.look_again(session, made, session.scalars(select(Photo.id)).all())
    rebuilt.work(rebuild)

    assert rebuilt.all_rows(1) == once


def test_what_changes_while_photos_are_looked_at_is_right_in_both_rounds(rebuilt: Gallery) -> None:
    rebuild = rebuilt.begin("new", **RAW)
    rebuilt.conduct()
    moved, gone = (row[0] for row in rebuilt.faces()[:2])
    done: list[str] = []

    def passed(moment: str) -> None:
        if moment == "chips stored" and not done:
            done.append(moment)
            rebuilt.assign(moved, "Somebody New")
            with rebuilt.catalog.transaction() as session:
                faces.delete(session, faces.by_public_id(session, rows.gallery(session).id, gone))

    rebuilt.work(rebuild, tools=rebuilt.tools_that(passed))
    rebuilt.embed(rebuild)

    assert whose(rebuilt, rebuilt.made(rebuild)) == whose(rebuilt)
    assert len(whose(rebuilt)) == 4
    assert "Somebody New" in {row[1] for row in whose(rebuilt)}


def test_a_photo_deleted_while_it_is_looked_at_is_in_neither_round(rebuilt: Gallery) -> None:
    rebuild = rebuilt.begin("new", **RAW)
    rebuilt.conduct()
    done: list[str] = []

    def passed(moment: str) -> None:
        if moment == "chips stored" and not done:
            done.append(moment)
            with rebuilt.catalog.transaction() as session:
                [gone] = people.by_name(session, rows.gallery(session).id, "Barack Obama")
                people.delete(session, gone)

    rebuilt.work(rebuild, tools=rebuilt.tools_that(passed))
    rebuilt.embed(rebuild)

    assert whose(rebuilt, rebuilt.made(rebuild)) == whose(rebuilt)
    assert len(whose(rebuilt)) == 3


def test_chunks_of_photos_count_photos(rebuilt: Gallery) -> None:
    rebuild = rebuilt.begin("new", **RAW)
    rebuilt.conduct()

    with rebuilt.catalog.reading() as session:
        planned = session.execute(select(Chunk.kind, Chunk.total).where(Chunk.rebuild_id == rebuild)).all()
    assert [tuple(row) for row in planned] == [("photos", 4), ("photos", 1)]


def test_a_face_that_only_the_new_detection_has_found_is_not_lost_on_the_way_back(
    rebuilt: Gallery, ambiguous: tuple[int, str, list[str]]
) -> None:
    rebuild, _, [candidate, *_] = ambiguous
    assert rebuilt.switch(rebuild) == "switched"
    rebuilt.assign(candidate, "Found By The New One")

    with rebuilt.catalog.transaction() as session:
        rebuilds.roll_back(session, session.get_one(Rebuild, rebuild))

    assert (candidate, "Found By The New One", "hand", True) in rebuilt.faces()
    assert rebuilt.cosine(rebuilt.embedded_again("old", candidate), rebuilt.vectors()[candidate]) > 0.9999
