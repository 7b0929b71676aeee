"""The tables of the catalog as typed rows. SQLite and PostgreSQL alike.

Times are float seconds since 1970 UTC, taken from the catalog's own clock (:class:`now`): the machines of a company
never quite agree, one clock does. Public ids are a prefix and random bits; the integer keys are never shown.
"""

import secrets
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

Key = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only in a column called INTEGER.

NO_EXTERNAL_ID = text("external_id IS NULL")
"""Names are unique only among people without an external id; ``ON CONFLICT`` must repeat this."""

UNFINISHED = text("state IN ('queued', 'waiting')")
NOT_COMPUTED = text("state IN ('queued', 'running')")
UNTOLD = text("NOT announced")
REJECTED = text("state = 'rejected'")
EXPIRES = text("expires_at IS NOT NULL")
PLAIN, BEING_SEALED = text("sealed_key IS NULL"), text("sealing_since IS NOT NULL")


class now(FunctionElement[float]):  # noqa: N801 - reads as the SQL function that it is
    """Seconds since 1970 UTC by the catalog's clock."""

    type = Float()
    inherit_cache = True


@compiles(now, "sqlite")
def _sqlite_now(element: now, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401, ARG001
    return "((julianday('now') - 2440587.5) * 86400.0)"  # unixepoch('subsec') needs SQLite 3.42.


@compiles(now, "postgresql")
def _postgresql_now(element: now, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401, ARG001
    return "extract(epoch from clock_timestamp())::float8"


def new_id(prefix: str) -> str:
    """A public id: *prefix* and 96 random bits, never used twice."""
    return f"{prefix}_{secrets.token_hex(12)}"


class Row(DeclarativeBase):
    """Every table."""


class Model(Row):
    """A model as data: an embedder's bundle or a detector's file, by content digest."""

    __tablename__ = "models"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    """``embedder`` or ``detector``."""
    name: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    state: Mapped[str] = mapped_column(String(16))
    """``checking``, ``candidate``, ``active``, ``retired`` or ``refused``."""
    dimension: Mapped[int | None]
    licence: Mapped[str] = mapped_column(String(200), default="")
    details: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    """The bundle's ``model.json``: crop, normalisation, provenance, thresholds, variants, head."""
    notes: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """What is known here beside the model itself: ``upload`` that it came from, who has ``accepted`` its licence and when."""
    created_at: Mapped[float] = mapped_column(Float, default=now())


class Generation(Row):
    """A model and a detection of a collection's faces: what a search looks in, whole. One is active; others may be live.

    A *round* is one detection of all photos: a face has a row in each, under the same public id. Numbers are never used
    twice: snapshots are kept by them.
    """

    __tablename__ = "generations"
    __table_args__ = (Index("generations_by_collection", "collection_id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id", ondelete="CASCADE"))
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    detector_id: Mapped[int | None] = mapped_column(ForeignKey("models.id"))
    """The detector's file, where it has one; None is the built-in MTCNN."""
    round: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(String(16))
    """``building``: not every face is in it yet, and no searcher has it. ``prepared``: complete, held ready by searchers; what
    is written for it is logged. ``dropped``: nobody looks in it any more, and its rows are being removed."""
    created_at: Mapped[float] = mapped_column(Float, default=now())
    dropped_at: Mapped[float | None]


class Collection(Row):
    """A gallery: whom a search looks among, under which model, and where its log stands."""

    __tablename__ = "collections"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    generation_id: Mapped[int | None] = mapped_column(Key)
    """The active generation: what searches look in. The next three are its own, written with it, so that a search reads one row."""
    model_id: Mapped[int | None] = mapped_column(ForeignKey("models.id"))
    detector_id: Mapped[int | None] = mapped_column(ForeignKey("models.id"))
    round: Mapped[int] = mapped_column(default=0)
    live: Mapped[list[int]] = mapped_column(JSON, default=list)
    """The generations, the active one among them, that every new face must be in."""
    epoch: Mapped[str] = mapped_column(String(32))
    """Random; new at every restore. Sequence numbers of another epoch mean nothing."""
    head: Mapped[int] = mapped_column(Key, default=0)
    """The last sequence number given out."""
    basis: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """On what lawful basis its people are in it: see :mod:`services.catalog.privacy.bases`."""
    retention_days: Mapped[float | None]
    """How long a person stays after they were enrolled; None: until somebody erases them."""
    retained: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """What retention did last, and what it holds back: see :mod:`services.catalog.erasing.retention`."""
    created_at: Mapped[float] = mapped_column(Float, default=now())


class Person(Row):
    """An identity in a collection."""

    __tablename__ = "people"
    __table_args__ = (
        Index("people_by_external_id", "collection_id", "external_id", unique=True),
        Index(
            "people_by_name",
            "collection_id",
            "name",
            unique=True,
            sqlite_where=NO_EXTERNAL_ID,
            postgresql_where=NO_EXTERNAL_ID,
        ),
        Index("people_by_search_name", "collection_id", "search_name"),
        Index("people_by_creation", "collection_id", "created_at", "id"),
        Index("people_that_expire", "expires_at", sqlite_where=EXPIRES, postgresql_where=EXPIRES),
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id"))
    name: Mapped[str] = mapped_column(String(256))
    """As written, Unicode NFC."""
    search_name: Mapped[str] = mapped_column(String(512))
    """Case folded, without accents: for search as one types, and for a steady order."""
    external_id: Mapped[str | None] = mapped_column(String(256))
    attributes: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
    created_at: Mapped[float] = mapped_column(Float, default=now())
    expires_at: Mapped[float | None]
    """When they are erased of themselves."""


class Photo(Row):
    """The bytes we were given, once per collection."""

    __tablename__ = "photos"
    __table_args__ = (
        UniqueConstraint("collection_id", "sha256", name="photos_by_content"),
        Index("photos_by_object", "object_key"),
        Index("photos_plain", "id", sqlite_where=PLAIN, postgresql_where=PLAIN),
        Index("photos_being_sealed", "sealing_since", sqlite_where=BEING_SEALED, postgresql_where=BEING_SEALED),
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id"))
    sha256: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int]
    format: Mapped[str] = mapped_column(String(8))
    source_name: Mapped[str] = mapped_column(String(1024))
    object_key: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(16), default="queued")
    """``queued``, ``done`` or ``rejected``."""
    reason: Mapped[str | None] = mapped_column(String(32))
    width_px: Mapped[int | None]
    height_px: Mapped[int | None]
    thumbnail_key: Mapped[str | None] = mapped_column(String(200))
    sealed_key: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The key of its objects, photo, chips and thumbnail, wrapped; None: they are kept as they came."""
    sealing_since: Mapped[float | None]
    """Set while some of its objects may still lie there as they came: see :mod:`workers.sealing`."""
    created_at: Mapped[float] = mapped_column(Float, default=now(), index=True)


class Face(Row):
    """A face in a photo as one detection round found it.

    A face that was not chosen has neither chip nor embedding: only box and score are kept of a bystander. While two rounds
    are live the same face has a row in each, under the same public id; whose it is, is written to both.
    """

    __tablename__ = "faces"
    __table_args__ = (
        Index("faces_by_photo", "photo_id"),
        Index("faces_by_person", "person_id"),
        Index("faces_by_round", "collection_id", "round", "id"),
        UniqueConstraint("public_id", "round", name="faces_by_public_id"),
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32))
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id"))
    photo_id: Mapped[int] = mapped_column(ForeignKey("photos.id"))
    round: Mapped[int] = mapped_column(default=0)
    """The detection round that it belongs to; searched and shown are those of the collection's."""
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    assigned_by: Mapped[str | None] = mapped_column(String(16))
    """``import`` or ``hand``."""
    rule: Mapped[str] = mapped_column(String(64))
    """The detection rule that found it."""
    box: Mapped[list[float]] = mapped_column(JSON)
    """x, y, w, h in full-resolution pixels."""
    score: Mapped[float]
    landmarks: Mapped[list[list[float]] | None] = mapped_column(JSON)
    """Five times x, y in full-resolution pixels."""
    quality: Mapped[dict[str, float] | None] = mapped_column(JSON)
    """``value`` and its parts, each 0 to 1."""
    chip_key: Mapped[str | None] = mapped_column(String(200))
    chip_map: Mapped[list[list[float]] | None] = mapped_column(JSON)
    """2x3, from photo pixels to chip pixels."""
    created_at: Mapped[float] = mapped_column(Float, default=now())


class Embedding(Row):
    """What one model says of one face."""

    __tablename__ = "embeddings"

    face_id: Mapped[int] = mapped_column(ForeignKey("faces.id", ondelete="CASCADE"), primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"), primary_key=True)
    vector: Mapped[bytes] = mapped_column(LargeBinary)
    """float16, little endian, L2-normalised before rounding."""
    variant: Mapped[str] = mapped_column(String(16))


class LogEntry(Row):
    """One change of what can be searched. Face and person are plain numbers: both may be gone by now."""

    __tablename__ = "log"

    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id"), primary_key=True)
    sequence: Mapped[int] = mapped_column(Key, primary_key=True, autoincrement=False)
    operation: Mapped[str] = mapped_column(String(16))
    """``add``, ``remove`` or ``assign`` of a face; ``attributes`` of a person; ``prepare`` or ``switch`` to a generation."""
    face_id: Mapped[int] = mapped_column(Key)
    """0 where it happened to a person; the generation's number of ``prepare`` and ``switch``."""
    person_id: Mapped[int | None] = mapped_column(Key)
    created_at: Mapped[float] = mapped_column(Float, default=now())


class Job(Row):
    """What was asked: photos to take in, whose state follows from its items, or something to compute."""

    __tablename__ = "jobs"
    __table_args__ = (Index("jobs_unannounced", "id", sqlite_where=UNTOLD, postgresql_where=UNTOLD),)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id"))
    kind: Mapped[str] = mapped_column(String(16))
    """``import`` or ``upload``; ``training``, ``evaluation``, ``calibration``, ``quantisation`` or
    ``comparison``."""
    source: Mapped[str] = mapped_column(String(1024), default="")
    queue: Mapped[str] = mapped_column(String(16))
    """``enrol``, ``bulk`` or ``training``."""
    faces: Mapped[str] = mapped_column(String(16), default="largest")
    """``largest``, ``all`` or ``reject``: what to do with a labelled photo of several faces."""
    archive: Mapped[bool] = mapped_column(default=False)
    """Its photos come in an archive that a worker unpacks."""
    layout: Mapped[str] = mapped_column(String(16), default="auto")
    """How an archive says whom its photos show."""
    expected: Mapped[int | None]
    """How many items the client means to send, where it said so."""
    closed: Mapped[bool] = mapped_column(default=True)
    """Nothing more will be added."""
    cancelled: Mapped[bool] = mapped_column(default=False)
    announced: Mapped[bool] = mapped_column(default=False)
    """Webhooks were told of its end."""
    error: Mapped[str | None] = mapped_column(String(1024))
    asked_by: Mapped[str | None] = mapped_column(String(32))
    """Public id of the key."""
    source_id: Mapped[int | None] = mapped_column(Key)
    """The source that it brings in step; a plain number, since that may be gone by now."""
    created_at: Mapped[float] = mapped_column(Float, default=now())


class Computation(Row):
    """A job without items: a training, an evaluation, a calibration, a quantisation or a comparison, and who computes it until when."""

    __tablename__ = "computations"
    __table_args__ = (
        Index("computations_unfinished", "state", sqlite_where=NOT_COMPUTED, postgresql_where=NOT_COMPUTED),
    )

    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    """What was asked, as the API took it."""
    state: Mapped[str] = mapped_column(String(16), default="queued")
    """``queued`` or ``running``; ends ``done``, ``failed`` or ``cancelled``."""
    progress: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """What it told last."""
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    problem: Mapped[str | None] = mapped_column(String(64))
    """The type of the error that ended it; its sentence is the job's ``error``."""
    deaths: Mapped[int] = mapped_column(default=0)
    """How often its process has died over it."""
    holder: Mapped[str | None] = mapped_column(String(128))
    """Who computes it, as ``host:pid``."""
    lease_expires_at: Mapped[float | None]
    started_at: Mapped[float | None]
    """When it was taken up first."""
    finished_at: Mapped[float | None]


class Evaluation(Row):
    """How good one or more models were on labelled faces: figures, and a report to look at."""

    __tablename__ = "evaluations"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    collection_id: Mapped[int | None] = mapped_column(ForeignKey("collections.id", ondelete="CASCADE"))
    figures: Mapped[dict[str, Any]] = mapped_column(JSON)
    report_key: Mapped[str | None] = mapped_column(String(200))
    """The report's HTML in the photo store."""
    created_at: Mapped[float] = mapped_column(Float, default=now())


class Calibration(Row):
    """Which rates a similarity stands for among the people of a collection, in one generation."""

    __tablename__ = "calibrations"
    __table_args__ = (UniqueConstraint("generation_id", name="calibrations_by_generation"),)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id", ondelete="CASCADE"))
    generation_id: Mapped[int] = mapped_column(ForeignKey("generations.id", ondelete="CASCADE"))
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    sequence: Mapped[int] = mapped_column(Key)
    """The log entry up to which it has seen the collection."""
    people: Mapped[int]
    faces: Mapped[int]
    curves: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[float] = mapped_column(Float, default=now())


class Item(Row):
    """One photo of a job and how it ended."""

    __tablename__ = "job_items"
    __table_args__ = (
        Index("items_by_job", "job_id", "state"),
        Index("items_by_photo", "photo_id"),
        Index("items_by_person", "person_id"),
        Index("items_unfinished", "claim_expires_at", sqlite_where=UNFINISHED, postgresql_where=UNFINISHED),
        Index("items_rejected", "reason", sqlite_where=REJECTED, postgresql_where=REJECTED),
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    photo_id: Mapped[int | None] = mapped_column(ForeignKey("photos.id", ondelete="SET NULL"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"))
    """Whom the photo is said to show."""
    labelled: Mapped[bool] = mapped_column(default=False)
    """A person was named; without one now, that person was erased meanwhile."""
    box: Mapped[list[float] | None] = mapped_column(JSON)
    """Which face is meant, where somebody said so: x, y, w, h in full-resolution pixels."""
    name: Mapped[str] = mapped_column(String(1024))
    state: Mapped[str] = mapped_column(String(16), default="queued")
    """``queued``, or ``waiting`` for another item with the same bytes; ends ``done``, ``duplicate``, ``cancelled``
    or ``rejected``."""
    reason: Mapped[str | None] = mapped_column(String(32))
    detail: Mapped[str | None] = mapped_column(String(1024))
    faces: Mapped[int | None]
    """How many faces were found."""
    sequence: Mapped[int | None] = mapped_column(Key)
    """The log entry after which its faces are found."""
    claim: Mapped[str | None] = mapped_column(String(64))
    claimed_by: Mapped[str | None] = mapped_column(String(128))
    claim_expires_at: Mapped[float | None]
    attempts: Mapped[int] = mapped_column(default=0)
    attempts_alone: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[float] = mapped_column(Float, default=now())
    finished_at: Mapped[float | None]


class Removal(Row):
    """An object to delete from the photo store, written by the transaction that deleted its row."""

    __tablename__ = "removals"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    object_key: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[float] = mapped_column(Float, default=now())


class ApiKey(Row):
    """A key's hash and what it may do. The key itself is shown once and kept nowhere."""

    __tablename__ = "api_keys"
    __table_args__ = (Index("api_keys_by_old_sha256", "old_sha256", unique=True),)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    name: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    """Of the key: 256 random bits need no slow hash."""
    old_sha256: Mapped[str | None] = mapped_column(String(64))
    """Of the key before it was rotated, which is valid until ``old_until``."""
    old_until: Mapped[float | None]
    rotated_at: Mapped[float | None]
    scopes: Mapped[list[str]] = mapped_column(JSON)
    collections: Mapped[list[str] | None] = mapped_column(JSON)
    """Names of the collections it may touch; None is all."""
    created_at: Mapped[float] = mapped_column(Float, default=now())
    expires_at: Mapped[float | None]
    revoked_at: Mapped[float | None]
    used_at: Mapped[float | None]
