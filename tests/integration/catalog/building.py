"""What a rebuild writes, in the plainest form: every face as it was in the active round, every vector a stand-in."""

from sqlalchemy import exists, insert, select
from sqlalchemy.orm import Session, aliased

from services.catalog.schema import Collection, Embedding, Face, Generation

VECTOR = b"\x00\x3c\x00\x00"


def build(session: Session, generation: Generation, *, at_most: int = 1_000_000) -> int:
    """Write at most that many rows and as many embeddings that *generation* lacks. Returns how many there were."""
    other = aliased(Face)
    active = select(Collection.round).where(Collection.id == generation.collection_id).scalar_subquery()
    shown = (Face.collection_id == generation.collection_id, Face.round == active)
    paired = exists().where(other.public_id == Face.public_id, other.round == generation.round)
    alone = session.scalars(select(Face).where(*shown, ~paired).order_by(Face.id).limit(at_most).with_for_update())
    rows = [copied(face, generation.round) for face in alone]
    session.add_all(rows)
    session.flush()
    embedded = exists().where(Embedding.face_id == Face.id, Embedding.model_id == generation.model_id)
    mine = (Face.collection_id == generation.collection_id, Face.round == generation.round)
    lacking = session.scalars(select(Face.id).where(*mine, Face.chip_key.is_not(None), ~embedded).limit(at_most)).all()
    if lacking:
        session.execute(
            insert(Embedding),
            [
                {"face_id": face, "model_id": generation.model_id, "vector": VECTOR, "variant": "fp32"}
                for face in lacking
            ],
        )
    return len(rows) + len(lacking)


def copied(face: Face, round_: int) -> Face:
    """A row of the same face in another round, as it is."""
    kept = {column.key: getattr(face, column.key) for column in Face.__table__.columns if column.key != "id"}
    return Face(**{**kept, "round": round_})
