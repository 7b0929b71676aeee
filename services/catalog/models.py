"""Models as data: embedders and detectors, by content digest, and which collections use them."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from services import licences
from services.catalog import generations
from services.catalog.engine import upsert
from services.catalog.schema import Calibration, Collection, Embedding, Generation, Model, Photo, new_id, now
from services.errors import Conflict, LicenceNotAccepted, NotFound

EMBEDDER, DETECTOR = "embedder", "detector"
USABLE = ("candidate", "active", "retired")
"""States of a model that a worker has tried."""


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


def register_embedder(session: Session, description: Mapping[str, Any], *, name: str | None = None) -> Model:
    """:func:`register` an embedder by its bundle's *description*, as a candidate where it is new.

    Args:
        session: The caller commits.
        description: What ``model.json`` says.
        name: How it is to be called; None is as the description says.
    """
    return register(
        session,
        kind=EMBEDDER,
        name=name or description["name"],
        digest=description["digest"],
        state="candidate",
        dimension=description["dimension"],
        licence=description["licence"],
        details=description,
    )


def take_in(session: Session, *, kind: str, name: str, digest: str, licence: str, upload: Mapping[str, Any]) -> Model:
    """The model of an upload: a new one to be checked, or that which the same upload has become.

    Args:
        session: The caller commits.
        kind: ``embedder`` or ``detector``.
        name: How it is to be called.
        digest: Of the upload and what was said of it; a detector's is its own for good, an embedder gets that of its bundle.
        licence: As stated; may be empty.
        upload: What the check needs: file name, SHA-256, size, description.

    Raises:
        Conflict: Another model has that name.
    """
    known = next((model for model in all_of(session) if digest in {model.digest, _upload(model).get("digest")}), None)
    if known is not None and known.state not in {"checking", "refused"}:
        return known
    namesake = session.scalar(select(Model).where(Model.name == name, Model.digest != digest).order_by(Model.id))
    if namesake is not None and namesake.state != "refused":
        raise _taken(namesake)
    if namesake is not None:
        forget(session, namesake)
    model = known or register(session, kind=kind, name=name, digest=digest, state="checking", licence=licence)
    model.name, model.licence, model.state, model.details = name, licence, "checking", {}
    model.notes = {"upload": {**upload, "digest": digest}}
    session.flush()
    return model


def admit(
    session: Session, model: Model, *, digest: str, dimension: int | None, licence: str, details: Mapping[str, Any]
) -> None:
    """Make a checked upload a candidate, under the digest of its content.

    Raises:
        Conflict: The same content is there as another model.
    """
    other = session.scalar(select(Model).where(Model.digest == digest, Model.id != model.id))
    if other is not None:
        raise Conflict(f"It is the model {other.name} ({other.public_id}, {other.state}), which is there already.")
    model.digest, model.dimension, model.licence, model.state = digest, dimension, licence, "candidate"
    model.details = dict(details)
    session.flush()


def free_name(session: Session, name: str, digest: str) -> str:
    """*name*, with a number behind it where another model than that of *digest* is called so."""
    taken = set(session.scalars(select(Model.name).where(Model.digest != digest)))
    numbered = (name if number == 1 else f"{name[:60]}-{number}" for number in itertools.count(1))
    return next(free for free in numbered if free not in taken)


def not_taken(session: Session, name: str) -> None:
    """See that no model is called *name*.

    Raises:
        Conflict: One is.
    """
    namesake = session.scalar(select(Model).where(Model.name == name).order_by(Model.id))
    if namesake is not None:
        raise _taken(namesake)


def _taken(namesake: Model) -> Conflict:
    told = f"({namesake.public_id}, {namesake.state})"
    return Conflict(f"There is a model {namesake.name} already {told}. Choose another name.")


def by_digest(session: Session, digest: str) -> Model:
    """The model of that content.

    Raises:
        NotFound: There is none.
    """
    found = session.scalar(select(Model).where(Model.digest == digest))
    if found is None:
        raise NotFound("model", digest)
    return found


def files_of(session: Session, digest: str) -> Mapping[str, str] | None:
    """SHA-256 of each file of an embedder's bundle, by name; None where the catalog does not know."""
    details = session.scalar(select(Model.details).where(Model.digest == digest))
    found: Mapping[str, str] | None = None if details is None else details.get("files")
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


def require_tried(model: Model) -> None:
    """See that *model* is an embedder that a worker has tried.

    Raises:
        Conflict: It is not.
    """
    if model.kind != EMBEDDER or model.state not in USABLE:
        raise Conflict(f"Model {model.name} is a {model.state} {model.kind}; this needs an embedder that was tried.")


def by_id(session: Session, model_id: int) -> Model:
    """The model of that number.

    Raises:
        NotFound: There is none.
    """
    found = session.get(Model, model_id)
    if found is None:
        raise NotFound("model", model_id)
    return found


def all_of(session: Session) -> Sequence[Model]:
    """Every model, oldest first."""
    return session.scalars(select(Model).order_by(Model.id)).all()


def active(session: Session, kind: str) -> Model | None:
    """What new collections are given."""
    wanted = select(Model).where(Model.kind == kind, Model.state == "active").order_by(Model.id.desc()).limit(1)
    return session.scalar(wanted)


def activate(session: Session, model: Model) -> None:
    """Make *model* what new collections use; collections that have no embedder yet, or no photos, get it too.

    A collection that has photos keeps its model and its detector: changing those is a rebuild.
    """
    others = update(Model).where(Model.kind == model.kind, Model.state == "active", Model.id != model.id)
    session.execute(others.values(state="candidate"))
    model.state = "active"
    session.flush()
    embedder, detector = active(session, EMBEDDER), active(session, DETECTOR)
    if embedder is None:
        return
    has_photos = select(Photo.id).where(Photo.collection_id == Collection.id).exists()
    for number in session.scalars(select(Collection.id).where(~has_photos).order_by(Collection.id)).all():
        collection = session.get_one(Collection, number, with_for_update=True, populate_existing=True)
        if session.scalar(select(Photo.id).where(Photo.collection_id == number).limit(1)) is None:
            generations.first(session, collection, embedder.id, None if detector is None else detector.id)


def accept_licence(session: Session, model: Model, by: str) -> None:
    """Note that *by* has accepted the licence of *model*, now. Who was first stays."""
    if accepted(model) is None:
        at = session.scalar(select(now()))
        model.notes = {**(model.notes or {}), "accepted": {"by": by, "at": at, "licence": model.licence}}
        session.flush()


def attach_head(session: Session, model: Model, head: Mapping[str, Any] | None) -> None:
    """Have *model* judge pairs by *head* from now on, or by none. It is no part of the model's content."""
    kept = {key: value for key, value in (model.notes or {}).items() if key != "head"}
    model.notes = kept if head is None else {**kept, "head": dict(head)}
    session.flush()


def head_of(model: Model) -> Mapping[str, Any] | None:
    """The Siamese head that *model* judges pairs by: the one attached, or that which its bundle came with."""
    found: Mapping[str, Any] | None = (model.notes or {}).get("head") or model.details.get("head")
    return found


def accepted(model: Model) -> Mapping[str, Any] | None:
    """Who has accepted the licence that the model has now, and when (seconds since 1970); None: nobody."""
    found: Mapping[str, Any] | None = (model.notes or {}).get("accepted")
    return found if found is not None and found["licence"] == model.licence else None


def require_licence(model: Model) -> None:
    """See that the licence of *model* is plainly permissive, or was accepted.

    Raises:
        LicenceNotAccepted: Neither.
    """
    if not licences.is_permissive(model.licence) and accepted(model) is None:
        raise LicenceNotAccepted(
            f"The licence of {model.name} is not plainly permissive: “{model.licence or licences.NOT_STATED}”. Read its terms; "
            "to use the model nevertheless, activate it with accept_licence (--accept-licence)."
        )


def describe(session: Session, model: Model, description: Mapping[str, Any]) -> None:
    """Take over a newer ``model.json`` of the same content, such as one with other variants or thresholds."""
    model.details = dict(description)
    session.flush()


def uses(session: Session, model: Model) -> list[str]:
    """What still needs the model's files: collections by name, embeddings and calibrations by their number."""
    wanted = (
        select(Collection.name)
        .join(Generation, Generation.collection_id == Collection.id)
        .where((Generation.model_id == model.id) | (Generation.detector_id == model.id))
        .where(Generation.state != generations.DROPPED)
        .distinct()
    )
    found = [f"collection {name}" for name in session.scalars(wanted.order_by(Collection.name))]
    for what, table in (("embeddings", Embedding), ("calibrations", Calibration)):
        count = session.scalar(select(func.count()).select_from(table).where(table.model_id == model.id))
        if count:
            found.append(f"{count:,} {what}")
    return found


def forget(session: Session, model: Model) -> None:
    """Delete the row of a model that nothing uses; the caller sees to its files."""
    session.delete(model)
    session.flush()


def set_state(session: Session, model: Model, state: str, *, error: str | None = None) -> None:
    """Note how the check of a model ended: ``candidate``, ``active`` or ``refused`` with its reason."""
    model.state = state
    if error is not None:
        model.details = {**model.details, "error": error}
    session.flush()


def _upload(model: Model) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (model.notes or {}).get("upload", {})
    return found
