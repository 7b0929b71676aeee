"""Models as data: embedders and detectors, by content digest, and which collections use them."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from services.catalog.engine import upsert
from services.catalog.schema import Collection, Model, new_id
from services.errors import NotFound

EMBEDDER, DETECTOR = "embedder", "detector"


def register(
    session: Session,
    *,
    kind: str,
    name: str,
    digest: str,
    state: str,
    dimension: int | None = None,
    licence: str = "",
    details: Mapping[str, Any] | None = None,
) -> Model:
    """The model of that digest, recorded now where it is new; what is there keeps its state."""
    row = upsert(session, Model).values(
        public_id=new_id("mod"),
        kind=kind,
        name=name,
        digest=digest,
        state=state,
        dimension=dimension,
        licence=licence,
        details=dict(details or {}),
    )
    session.execute(row.on_conflict_do_nothing(index_elements=["digest"]))
    return by_digest(session, digest)


def by_digest(session: Session, digest: str) -> Model:
    """The model of that content.

    Raises:
        NotFound: There is none.
    """
    found = session.scalar(select(Model).where(Model.digest == digest))
    if found is None:
        raise NotFound("model", digest)
    return found


def by_public_id(session: Session, public_id: str) -> Model:
    """The model of that id, or of that name where the name is used once.

    Raises:
        NotFound: There is none.
    """
    found = session.scalars(select(Model).where((Model.public_id == public_id) | (Model.name == public_id))).all()
    if len(found) != 1:
        raise NotFound("model", public_id)
    return found[0]


def by_id(session: Session, model_id: int) -> Model:
    """The model of that number.

    Raises:
        NotFound: There is none.
    """
    found = session.get(Model, model_id)
    if found is None:
        raise NotFound("model", model_id)
    return found


def live_of(session: Session, collection_id: int) -> list[int]:
    """The models that new faces of a collection must be embedded with, as of now."""
    return list(session.scalar(select(Collection.live_models).where(Collection.id == collection_id)) or [])


def all_of(session: Session) -> Sequence[Model]:
    """Every model, oldest first."""
    return session.scalars(select(Model).order_by(Model.id)).all()


def active(session: Session, kind: str) -> Model | None:
    """What new collections are given."""
    wanted = select(Model).where(Model.kind == kind, Model.state == "active").order_by(Model.id.desc()).limit(1)
    return session.scalar(wanted)


def activate(session: Session, model: Model) -> None:
    """Make *model* what new collections use; collections that have no embedder yet get it too.

    A collection that has faces keeps its model and its detector: changing those is a rebuild.
    """
    others = update(Model).where(Model.kind == model.kind, Model.state == "active", Model.id != model.id)
    session.execute(others.values(state="candidate"))
    model.state = "active"
    session.flush()
    if model.kind == EMBEDDER:
        bare = update(Collection).where(Collection.model_id.is_(None))
        session.execute(bare.values(model_id=model.id, live_models=[model.id]))


def set_state(session: Session, model: Model, state: str, *, error: str | None = None) -> None:
    """Note how the check of a model ended: ``candidate``, ``active`` or ``refused`` with its reason."""
    model.state = state
    if error is not None:
        model.details = {**model.details, "error": error}
    session.flush()
