"""Rounds: a photo's faces as rows, one in every live round, with an embedding by every model that the round is live under."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import insert
from sqlalchemy.orm import Session

from services.catalog import faces, log
from services.catalog.rebuilding import chunks
from services.catalog.schema import Embedding, Face, Generation, Photo
from services.photos import keys
from workers.faces.pipeline import Reading
from workers.faces.values import Vectors
from workers.preparing import Look, Prepared
from workers.serving.following import VECTOR


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors of all new chips of a write, under one model."""

    variant: str
    vectors: Mapping[str, Vectors]
    """By the public id that the chip is stored under."""


_Found = tuple[Look, int, Face]
"""A new row, of which detection of which look."""


def write(
    session: Session,
    photos: Sequence[tuple[Photo, Prepared]],
    live: Sequence[Generation],
    embedded: Mapping[int, Embedded],
) -> list[log.Change]:
    """Faces, embeddings and the state of photos, which are locked, in every live generation.

    Args:
        session: A writing transaction.
        photos: The rows, each with what was seen in it; or with a face that has a chip and belonged to nobody.
        live: The generations that every face must be in.
        embedded: By model, the vectors of the chips.

    Returns:
        What is to be logged.
    """
    changes: list[log.Change] = []
    found: list[_Found] = []
    rounds = sorted({generation.round for generation in live})
    for photo, p in photos:
        changed, new = _write(session, photo, p, rounds)
        changes += changed
        found += new
    session.flush()
    return changes + _embedded(session, found, live, embedded)


def _write(session: Session, photo: Photo, p: Prepared, rounds: Sequence[int]) -> tuple[list[log.Change], list[_Found]]:
    """One of them: what is to be logged by now, and rows that are to be embedded once they are numbered."""
    if p.outcome.state == "rejected" and photo.state != "done":
        photo.state, photo.reason = "rejected", None if p.outcome.reason is None else p.outcome.reason.value
        if p.reading is not None:
            _note_picture(photo, p.reading)
        return [], []
    if p.look is None:
        return _assigned(session, p), []
    photo.state, photo.reason = "done", None
    _note_picture(photo, p.look.reading)
    if p.existing is None:
        return [], _all_new(session, photo, p, p.look, rounds)
    return _made_whole(session, photo, p, p.look, p.existing, rounds)


def _note_picture(photo: Photo, reading: Reading) -> None:
    photo.width_px, photo.height_px = reading.width, reading.height
    photo.thumbnail_key = keys.thumbnail(photo.collection_id, photo.public_id)


def is_as_it_was(session: Session, face: Face) -> bool:
    """Whether a face that was read before is still there, as whole as it was and as much nobody's; it is locked."""
    row = session.get(Face, face.id, with_for_update=True, populate_existing=True)
    return row is not None and row.person_id is None and row.chip_key == face.chip_key


def ask_for_a_look(session: Session, photo_ids: Sequence[int], looked_in: int, live: Sequence[Generation]) -> None:
    """Have photos that round *looked_in* has seen looked at in every other live round too, with its own detector."""
    by_round = {generation.round: generation for generation in reversed(live)}
    for round_, generation in sorted(by_round.items()):
        if round_ != looked_in:
            chunks.look_again(session, generation, photo_ids)


def _assigned(session: Session, p: Prepared) -> list[log.Change]:
    """A face that has a chip and belonged to nobody becomes the labelled person's, in every round."""
    if p.existing is None or p.work.person is None:
        return []
    whole = [row for row in faces.rows_of(session, p.existing) if row.chip_key is not None]
    return faces.give(session, whole, p.work.person, by="import")


def _all_new(session: Session, photo: Photo, p: Prepared, look: Look, rounds: Sequence[int]) -> list[_Found]:
    """New rows of everything that was detected."""
    public_ids = [look.public_ids.get(i) or faces.new_public_id() for i in range(len(look.reading.detections))]
    made = [
        (look, i, Face(public_id=public_id, collection_id=photo.collection_id, photo_id=photo.id, round=round_))
        for round_ in rounds
        for i, public_id in enumerate(public_ids)
    ]
    for _, i, face in made:
        _fill(face, photo, p, look, i)
    session.add_all(face for *_, face in made)
    return made


def _made_whole(
    session: Session,
    photo: Photo,
    p: Prepared,
    look: Look,
    existing: Face,
    rounds: Sequence[int],
) -> tuple[list[log.Change], list[_Found]]:
    """A face that was kept as a box gets its chip in every live round; where a round has found one already, that one stays."""
    rows = {row.round: row for row in faces.rows_of(session, existing)}
    whole = [row for row in rows.values() if row.chip_key is not None]
    changes = faces.give(session, whole, p.work.person, by="import")
    filled: list[_Found] = []
    for round_ in rounds:
        row = rows.get(round_)
        if row is None:
            row = Face(public_id=existing.public_id, collection_id=photo.collection_id, photo_id=photo.id, round=round_)
            session.add(row)
        if row not in whole:
            _fill(row, photo, p, look, look.chosen)
            filled.append((look, look.chosen, row))
    return changes, filled


def _embedded(
    session: Session,
    found: Sequence[_Found],
    live: Sequence[Generation],
    embedded: Mapping[int, Embedded],
) -> list[log.Change]:
    """Embeddings of those of *found* that have a chip, by every model that their round is live under."""
    whole = [(look.public_ids[i], face) for look, i, face in found if face.chip_key is not None]
    rows = [
        {
            "face_id": face.id,
            "model_id": generation.model_id,
            "vector": embedded[generation.model_id].vectors[cut].astype(VECTOR).tobytes(),
            "variant": embedded[generation.model_id].variant,
        }
        for cut, face in whole
        for generation in live
        if generation.round == face.round
    ]
    if rows:
        session.execute(insert(Embedding), rows)
    return [log.Change("add", face.id, face.person_id) for _, face in whole]


def _fill(face: Face, photo: Photo, p: Prepared, look: Look, i: int) -> None:
    """Write detection *i* into a row: where it is, its chip if it has one, and whose it is."""
    detection, cut = look.reading.detections[i], look.cuts.get(i)
    box = detection.box
    face.rule, face.box, face.score = look.rule, [box.x, box.y, box.w, box.h], detection.score
    if cut is not None:
        face.landmarks = detection.landmarks.tolist()
        face.quality = asdict(cut.quality)
        face.chip_key = keys.chip(photo.collection_id, look.public_ids[i])
        face.chip_map = cut.chip.map.tolist()
    if i == look.chosen and p.work.person is not None:
        face.person_id, face.assigned_by = p.work.person.id, "import"
