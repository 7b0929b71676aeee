"""What a report about privacy counts."""

from statistics import median
from typing import NamedTuple

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from services.catalog.schema import ApiKey, Collection, Embedding, Evaluation, Face, Model, Person, Photo, now
from services.catalog.tables.audit import AuditEntry
from services.catalog.tables.backup import Backup
from services.catalog.tables.privacy import Consent, Erasure
from services.catalog.tables.webhook import Webhook

_MANY = 10_000


class Held(NamedTuple):
    """How much is held of the people of a collection."""

    people: int
    with_an_end: int
    photos: int
    faces: int
    boxes_only: int
    """Faces of which only box and score are kept."""
    unassigned: int
    embeddings: int
    consents: int
    oldest_person_at: float | None


class Erased(NamedTuple):
    """Erasures of a collection."""

    open: int
    overdue: int
    closed: int
    by_cause: dict[str, int]
    median_h: float | None
    """From being asked for to a look that found nothing, of the last."""
    longest_h: float | None


def moment(session: Session) -> float:
    """Now, by the catalog's clock."""
    return float(session.scalar(select(now())) or 0.0)


def held(session: Session, collection: Collection) -> Held:
    """Count what is held."""
    mine = Face.collection_id == collection.id
    people = Person.collection_id == collection.id
    kept = (mine, Face.round == collection.round, Face.chip_key.is_not(None))

    def count(*conditions: object) -> int:
        return session.scalar(select(func.count()).where(*conditions)) or 0  # type: ignore[arg-type]

    return Held(
        people=count(people),
        with_an_end=count(people, Person.expires_at.is_not(None)),
        photos=count(Photo.collection_id == collection.id),
        faces=count(*kept),
        boxes_only=count(mine, Face.round == collection.round, Face.chip_key.is_(None)),
        unassigned=count(*kept, Face.person_id.is_(None)),
        embeddings=count(mine, Embedding.face_id == Face.id),
        consents=count(people, Consent.person_id == Person.id),
        oldest_person_at=session.scalar(select(func.min(Person.created_at)).where(people)),
    )


def erased(session: Session, collection: Collection) -> Erased:
    """Count erasures, and how long they took."""
    mine = Erasure.collection_id == collection.id
    causes = session.execute(select(Erasure.cause, func.count()).where(mine).group_by(Erasure.cause)).all()
    is_open = (mine, Erasure.closed_at.is_(None))
    waiting = session.scalar(select(func.count()).where(*is_open)) or 0
    late = session.scalar(select(func.count()).where(*is_open, Erasure.due_at < now())) or 0
    closed = select(Erasure.asked_at, Erasure.closed_at).where(mine, Erasure.closed_at.is_not(None))
    took = [
        (until - since) / 3600.0
        for since, until in session.execute(closed.order_by(Erasure.id.desc()).limit(_MANY))
        if until is not None
    ]
    done = session.scalar(select(func.count()).where(mine, Erasure.closed_at.is_not(None))) or 0
    by_cause: dict[str, int] = dict(causes)
    return Erased(waiting, late, done, by_cause, median(took) if took else None, max(took, default=None))


def keys(session: Session) -> list[ApiKey]:
    """Every key that is in force."""
    valid = (ApiKey.revoked_at.is_(None), or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now()))
    return list(session.scalars(select(ApiKey).where(*valid).order_by(ApiKey.id)))


def webhooks(session: Session, collection: Collection) -> list[Webhook]:
    """Who is told of what happens in a collection."""
    told = or_(Webhook.collection_id.is_(None), Webhook.collection_id == collection.id)
    return list(session.scalars(select(Webhook).where(told).order_by(Webhook.id)))


def last_backup(session: Session) -> Backup | None:
    """The backup that was made last."""
    return session.scalar(select(Backup).order_by(Backup.id.desc()).limit(1))


def audited(session: Session, action: str) -> float | None:
    """When something was last done, by the audit."""
    wanted = select(func.max(AuditEntry.at)).where(AuditEntry.action == action, AuditEntry.outcome < 300)
    return session.scalar(wanted)


def model_of(session: Session, collection: Collection) -> Model | None:
    """What a collection is searched by."""
    return None if collection.model_id is None else session.get(Model, collection.model_id)


def evaluation(session: Session, collection: Collection) -> Evaluation | None:
    """The last evaluation of a collection."""
    mine = select(Evaluation).where(Evaluation.collection_id == collection.id)
    return session.scalar(mine.order_by(Evaluation.id.desc()).limit(1))
