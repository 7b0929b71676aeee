"""Findings: faces and photos that a rebuild could not simply carry into its generation, and what a person decided of them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import delete as sql_delete
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from services.catalog import faces, generations, log
from services.catalog.reviewing import not_same
from services.catalog.schema import Embedding, Face, Generation, Photo
from services.catalog.tables.rebuild import LEFT_OUT, Finding, Rebuild
from services.errors import Conflict, NotFound

MISSING, UNREADABLE, CRASHED = LEFT_OUT
KEPT, AMBIGUOUS = "kept", "ambiguous"


class Undecided(NamedTuple):
    """Faces that a rebuild has found more than once and that nobody has decided about."""

    rebuild: str
    """Public id."""
    faces: int


def note(
    session: Session,
    rebuild: Rebuild,
    kind: str,
    *,
    photo: str | None,
    face: str | None = None,
    object_key: str | None = None,
    candidates: Sequence[str] = (),
) -> None:
    """Note a face or photo, by public ids; once, however often it is met."""
    same = (Finding.rebuild_id == rebuild.id, Finding.kind == kind, Finding.photo_id == photo, Finding.face_id == face)
    if session.scalar(select(Finding.id).where(*same).limit(1)) is None:
        session.add(
            Finding(
                rebuild_id=rebuild.id,
                kind=kind,
                photo_id=photo,
                face_id=face,
                object_key=object_key,
                candidates=list(candidates),
            )
        )
        session.flush()


def note_missing(session: Session, rebuild: Rebuild, rows: Iterable[tuple[str, str | None, str]]) -> None:
    """Note many objects that are missing, none of which was noted before: photo, face, and the object's key."""
    noted = [
        {"rebuild_id": rebuild.id, "kind": MISSING, "photo_id": photo, "face_id": face, "object_key": key}
        for photo, face, key in rows
    ]
    if noted:
        session.execute(insert(Finding), noted)


def forget_left_out(session: Session, rebuild: Rebuild) -> list[int]:
    """Forget what was left out, so that it is tried again. Returns the numbers of photos that were left out whole."""
    left_out = (Finding.rebuild_id == rebuild.id, Finding.kind.in_(LEFT_OUT))
    whole = (
        select(Photo.id).join(Finding, Finding.photo_id == Photo.public_id).where(*left_out, Finding.face_id.is_(None))
    )
    photo_ids = list(session.scalars(whole.distinct()))
    session.execute(sql_delete(Finding).where(*left_out))
    return photo_ids


def kept_faces(session: Session, rebuild_id: int, photos: Sequence[str]) -> set[str]:
    """The faces of photos, all by public id, that a rebuild has looked for and kept as they were."""
    kept = select(Finding.face_id).where(
        Finding.rebuild_id == rebuild_id, Finding.kind.in_((KEPT, AMBIGUOUS)), Finding.photo_id.in_(photos)
    )
    return {face for face in session.scalars(kept) if face is not None}


def page(
    session: Session, rebuild: Rebuild, *, kind: str | None = None, limit: int = 100, after: int = 0
) -> Sequence[Finding]:
    """Findings in the order they were made, after number *after*."""
    wanted = select(Finding).where(Finding.rebuild_id == rebuild.id, Finding.id > after)
    if kind is not None:
        wanted = wanted.where(Finding.kind == kind)
    return session.scalars(wanted.order_by(Finding.id).limit(limit)).all()


def counted(session: Session, rebuild: Rebuild) -> dict[str, int]:
    """How many findings of each kind there are."""
    rows = session.execute(
        select(Finding.kind, func.count()).where(Finding.rebuild_id == rebuild.id).group_by(Finding.kind)
    )
    return dict(rows.all())


def undecided(session: Session, collection_id: int) -> Undecided | None:
    """Those of the last rebuild that has some and whose generation is still there; None where there is none."""
    waiting = (Finding.kind == AMBIGUOUS, Finding.decided.is_(None), Generation.state != generations.DROPPED)
    counted = (
        select(Rebuild.public_id, func.count())
        .join(Finding, Finding.rebuild_id == Rebuild.id)
        .join(Generation, Generation.id == Rebuild.generation_id)
        .where(Rebuild.collection_id == collection_id, *waiting)
        .group_by(Rebuild.id, Rebuild.public_id)
        .order_by(Rebuild.id.desc())
    )
    found = session.execute(counted).first()
    return None if found is None else Undecided(*found)


def decide(session: Session, rebuild: Rebuild, number: int, candidate: str | None) -> int:
    """Say which of its candidates an ambiguous face is. Returns the collection's new head.

    The candidate takes over the face's public id and whose it is, in the round of the rebuild; the row that was kept goes.
    The other candidates, where they are nobody's, become boxes. Other rounds stay as they are.

    Args:
        session: A writing transaction that holds the rebuild's row.
        rebuild: Whose finding it is.
        number: Of the finding.
        candidate: A face by public id; None: the face stays as it was kept.

    Raises:
        NotFound: There is no such finding, it has no such candidate, or one of the faces was deleted.
        Conflict: It is not ambiguous or was decided, the candidate is somebody's, or what the rebuild made is gone.
    """
    finding = session.get(Finding, number, with_for_update=True, populate_existing=True)
    if finding is None or finding.rebuild_id != rebuild.id:
        raise NotFound("finding", str(number))
    if finding.kind != AMBIGUOUS or finding.decided is not None or finding.face_id is None:
        was = f"decided: {finding.decided}" if finding.decided else finding.kind
        raise Conflict(f"Finding {number} is {was}; only an ambiguous one that nobody decided can be decided.")
    if candidate is not None and candidate not in finding.candidates:
        raise NotFound("candidate", candidate)
    made = None if rebuild.generation_id is None else generations.by_id(session, rebuild.generation_id)
    if made is None or made.state == generations.DROPPED:
        raise Conflict(f"What rebuild {rebuild.public_id} made is being removed: there is nothing to decide any more.")
    kept = faces.by_public_id(session, rebuild.collection_id, finding.face_id, made.round)
    faces.rows_of(session, kept)  # Locks the photo, and with it all of its faces.
    changes: list[log.Change] = []
    if candidate is not None:
        changes += _takes_over(session, faces.by_public_id(session, rebuild.collection_id, candidate, made.round), kept)
    others = [other for other in finding.candidates if other != candidate]
    for row in session.scalars(select(Face).where(Face.public_id.in_(others), Face.round == made.round)).all():
        changes += _as_box(session, row)
    finding.decided = candidate or finding.face_id
    session.flush()
    return log.append(session, rebuild.collection_id, changes).head


def _takes_over(session: Session, chosen: Face, kept: Face) -> list[log.Change]:
    session.refresh(chosen, with_for_update=True)
    if chosen.person_id is not None:
        raise Conflict(f"Face {chosen.public_id} is somebody's by now. Take it from them first, or choose another.")
    if chosen.chip_key is None:
        raise Conflict(f"Face {chosen.public_id} is a box by now, without a chip. Choose another.")
    public_id, person_id, assigned_by = kept.public_id, kept.person_id, kept.assigned_by
    changes = faces.remove_rows(session, kept, for_good=False)
    not_same.renamed(session, chosen.public_id, public_id)
    chosen.public_id, chosen.person_id, chosen.assigned_by = public_id, person_id, assigned_by
    session.flush()
    if person_id is not None:
        not_same.belong(session, [public_id], person_id)
    return [*changes, log.Change("assign", chosen.id, person_id)]


def _as_box(session: Session, face: Face) -> list[log.Change]:
    """Keep box and score of a face, unless it is somebody's by now."""
    session.refresh(face, with_for_update=True)
    if face.person_id is not None or face.chip_key is None:
        return []
    faces.drop_chip(session, face)
    face.chip_key, face.chip_map, face.landmarks, face.quality = None, None, None, None
    session.execute(sql_delete(Embedding).where(Embedding.face_id == face.id))
    session.flush()
    return [log.Change("remove", face.id)]
