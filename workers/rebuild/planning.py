"""Planning a rebuild: what there is to carry over, from where, how long that takes and what room it needs; or why it cannot be.

Done by a bulk worker, which has the models: it opens the new one, times it on a few faces, and lists the photo store, which
takes a minute for a million objects.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import exists, func, select, update
from sqlalchemy.orm import Session

from services.catalog import generations, models
from services.catalog.engine import Catalog
from services.catalog.rebuilding import findings, rebuilds
from services.catalog.running import processes
from services.catalog.schema import Collection, Face, Generation, Photo
from services.catalog.tables.rebuild import Chunk, Rebuild
from services.errors import ColegaError, Conflict, InvalidRequest, Unavailable
from services.logs import logger
from workers.ingestion import Tools
from workers.rebuild import estimating, listing
from workers.rebuild.listing import Lost

CHIPS, RAW, MIXED, NONE = "chips", "raw", "mixed", "none"
LEASE_S = 15.0

_FREE_BYTES = 512 * 2**20
"""Left free on a disk that a rebuild writes to."""
_HEADROOM = 1.2


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be rebuilt, read at one moment. The rows are not attached."""

    rebuild: Rebuild
    collection: Collection
    model: str
    """Digest."""
    detector: str | None
    dimension: int
    rule_now: str | None
    """The rule by which most faces with a chip of the active round were found; None where there are none."""
    there: Generation | None
    """A live generation of this model and detector that is not the active one."""

    @property
    def detector_changes(self) -> bool:
        """Whether the collection has another detector now."""
        return self.rebuild.detector_id != self.collection.detector_id


def plan(rebuild_id: int, tools: Tools) -> bool:
    """Plan a rebuild and begin it, unless it is planned or somebody else plans it.

    A rebuild that cannot work ends as failed, with a sentence; what is missing is listed. One whose place in the catalog is
    still being freed stays in planning, to be planned again.

    Returns:
        Whether it was begun.

    Raises:
        Unavailable: Catalog or photo store are away; it is planned again.
    """
    mine = lease(rebuild_id)
    with tools.catalog.transaction() as session:
        if not processes.acquire(session, mine, tools.name, LEASE_S):
            return False
    try:
        return _plan(rebuild_id, tools, _keeping(tools.catalog, mine, tools.name))
    finally:
        with tools.catalog.transaction() as session:
            processes.release(session, mine, tools.name)
            processes.release(session, asked(rebuild_id), "")


def lease(rebuild_id: int) -> str:
    """The name of the lease that whoever plans a rebuild holds."""
    return f"plan {rebuild_id}"


def asked(rebuild_id: int) -> str:
    """The name of the lease that says that a worker was asked for a plan a moment ago."""
    return f"ask for plan {rebuild_id}"


def _plan(rebuild_id: int, tools: Tools, keep: Callable[[], None]) -> bool:
    wanted = _read(rebuild_id, tools.catalog)
    if wanted is None:
        return False
    lost = Lost()
    try:
        source = _source(wanted, tools)
        with tools.catalog.reading() as session:
            if _is_being_freed(session, wanted, source):
                return False
        if source != NONE:
            lost = listing.lost(tools.catalog, tools.store, wanted.collection, photos_too=source == RAW, keep=keep)
        described = _described(wanted, source, lost, tools)
        _require(wanted, source, lost, described, tools)
    except Unavailable:
        raise
    except ColegaError as error:
        with tools.catalog.transaction() as session:
            rebuild = session.get_one(Rebuild, rebuild_id, with_for_update=True, populate_existing=True)
            findings.forget_left_out(session, rebuild)
            findings.note_missing(session, rebuild, lost.listed)
            if rebuild.state == "planning":
                rebuilds.fail(session, rebuild, str(error), error.type)
        logger().warning("rebuild.refused", rebuild=wanted.rebuild.public_id, reason=str(error))
        return False
    return _begin(wanted, source, lost, described, tools)


def _read(rebuild_id: int, catalog: Catalog) -> _Wanted | None:
    with catalog.reading() as session:
        rebuild = session.get(Rebuild, rebuild_id)
        if rebuild is None or rebuild.state != "planning":
            return None
        collection = session.get_one(Collection, rebuild.collection_id)
        model = models.by_id(session, rebuild.model_id)
        detector = None if rebuild.detector_id is None else models.by_id(session, rebuild.detector_id).digest
        whole = (Face.collection_id == collection.id, Face.round == collection.round, Face.chip_key.is_not(None))
        rules = select(Face.rule).where(*whole).group_by(Face.rule).order_by(func.count().desc()).limit(1)
        same = (
            Generation.model_id == rebuild.model_id,
            Generation.detector_id.is_not_distinct_from(rebuild.detector_id),
        )
        live = select(Generation).where(Generation.id.in_(collection.live), Generation.id != collection.generation_id)
        there = session.scalar(live.where(*same).order_by(Generation.id.desc()).limit(1))
        return _Wanted(rebuild, collection, model.digest, detector, model.dimension or 0, session.scalar(rules), there)


def _source(wanted: _Wanted, tools: Tools) -> str:
    """Where the faces come from: ``chips`` unless another detector or rule finds other faces, or somebody asked for ``raw``.

    Raises:
        InvalidRequest: Chips were asked for, and the detector changes.
    """
    asked, there = wanted.rebuild.parameters.get("source", "auto"), wanted.there
    if there is not None and there.state == generations.PREPARED and asked != RAW:
        return NONE
    is_other = wanted.detector_changes or wanted.rule_now not in {None, tools.models.detector(wanted.detector).rule}
    if asked == CHIPS and is_other:
        raise InvalidRequest(
            "The detector, or its rule, finds other faces than those whose chips are stored. Ask for raw."
        )
    return RAW if asked == RAW or is_other else CHIPS


def _is_being_freed(session: Session, wanted: _Wanted, source: str) -> bool:
    """Whether embeddings of this model for these very faces are still being removed."""
    if source != CHIPS:
        return False
    same = (Generation.collection_id == wanted.collection.id, Generation.round == wanted.collection.round)
    mine = (Generation.model_id == wanted.rebuild.model_id, Generation.state == generations.DROPPED)
    return session.scalar(select(Generation.id).where(*same, *mine).limit(1)) is not None


def _described(wanted: _Wanted, source: str, lost: Lost, tools: Tools) -> dict[str, Any]:
    """The plan as it is shown: counts, time, and room."""
    with tools.catalog.reading() as session:
        whole = (Face.collection_id == wanted.collection.id, Face.round == wanted.collection.round)
        faces = session.scalar(select(func.count()).select_from(Face).where(*whole, Face.chip_key.is_not(None))) or 0
        boxes = session.scalar(select(func.count()).select_from(Face).where(*whole, Face.chip_key.is_(None))) or 0
        shown = exists().where(Face.photo_id == Photo.id, Face.round == wanted.collection.round)
        photos = (
            session.scalar(
                select(func.count()).select_from(Photo).where(Photo.collection_id == wanted.collection.id, shown)
            )
            or 0
        )
        workers = sum(process.kind == "bulk" for process in processes.running(session)) or 1
        memory = estimating.memory_bytes(session, wanted.collection, wanted.dimension, faces)
    each_s = None
    if source == CHIPS:
        each_s = estimating.chip_s(wanted.collection, wanted.model, tools)
    elif source == RAW:
        each_s = estimating.photo_s(wanted.collection, wanted.model, wanted.detector, tools)
    total = photos if source == RAW else faces
    vectors = faces * (2 * wanted.dimension + estimating.VECTOR_ROW_BYTES)
    store_bytes = faces * estimating.CHIP_BYTES if source == RAW else lost.cut_again * estimating.CHIP_BYTES
    catalog_bytes = vectors + ((faces + boxes) * estimating.ROW_BYTES if source == RAW else 0)
    return {
        "source": MIXED if source == CHIPS and lost.cut_again else source,
        "faces": faces,
        "photos": photos,
        "boxes": boxes,
        "cut_again": lost.cut_again,
        "missing": len(lost.listed),
        "workers": workers,
        "seconds": 0.0 if source == NONE else None if each_s is None else round(total * each_s / workers, 1),
        "seconds_each": None if each_s is None else round(each_s, 5),
        "dimension": wanted.dimension,
        "memory_bytes": 0 if source == NONE else memory,
        "catalog_bytes": 0 if source == NONE else catalog_bytes,
        "store_bytes": 0 if source == NONE else store_bytes,
    }


def _require(wanted: _Wanted, source: str, lost: Lost, plan: dict[str, Any], tools: Tools) -> None:
    """See that it can work.

    Raises:
        Conflict: Something is missing that was not to be skipped, or there is no room for what it makes.
    """
    if lost.listed and not wanted.rebuild.parameters.get("skip_missing"):
        what = (
            f"{len(lost.photos):,} photos and {len(lost.faces):,} chips"
            if source == RAW
            else f"{len(lost.faces):,} chips"
        )
        raise Conflict(
            f"The photo store has lost {what} that this needs; the findings list them. Bring them back and resume, or go on "
            "without them: --skip-missing."
        )
    catalog_disk = estimating.catalog_disk(tools.catalog)
    for what, needed, free in (
        ("catalog", plan["catalog_bytes"], catalog_disk),
        ("photo store", plan["store_bytes"], estimating.store_disk(tools.store)),
    ):
        if free is not None and needed and needed * _HEADROOM + _FREE_BYTES > free:
            raise Conflict(
                f"This needs about {needed / 1e6:,.0f} MB more for the {what}; its disk has {free / 1e6:,.0f} MB free. Free some space "
                "and resume."
            )


def _begin(wanted: _Wanted, source: str, lost: Lost, plan: dict[str, Any], tools: Tools) -> bool:
    """Make the generation live, and the rebuild its maker."""
    rebuild, collection = wanted.rebuild, wanted.collection
    with tools.catalog.transaction() as session:
        row = session.get_one(Rebuild, rebuild.id, with_for_update=True, populate_existing=True)
        if row.state != "planning":
            return False
        made = _taken_over(session, wanted, source)
        if made is None:
            round_ = generations.next_round(session, collection.id) if source == RAW else collection.round
            try:
                made = generations.begin(session, collection.id, rebuild.model_id, rebuild.detector_id, round_=round_)
            except Conflict:  # What is left of one is being removed; or a switch came in between.
                session.rollback()
                return False
        findings.forget_left_out(session, row)
        findings.note_missing(session, row, lost.listed)
        rebuilds.begin(session, row, made, plan)
    logger().info("rebuild.planned", rebuild=rebuild.public_id, **plan)
    return True


def _taken_over(session: Session, wanted: _Wanted, source: str) -> Generation | None:
    """A live generation that is what is wanted, complete or as far as a rebuild came that failed; it is this one's now."""
    there, active = wanted.there, wanted.collection.round
    fits = there is not None and (
        (source == NONE and there.state == generations.PREPARED)
        or (there.state == generations.BUILDING and (there.round > active if source == RAW else there.round == active))
    )
    if there is None or not fits:
        return None
    found = session.get(Generation, there.id, populate_existing=True)
    if found is None or found.state != there.state:
        return None
    failed = select(Rebuild.id).where(Rebuild.generation_id == there.id, Rebuild.state == "failed")
    before = list(session.scalars(failed))
    session.execute(update(Rebuild).where(Rebuild.id.in_(before)).values(generation_id=None))
    left = update(Chunk).where(Chunk.rebuild_id.in_(before), Chunk.state == "queued")
    session.execute(left.values(rebuild_id=wanted.rebuild.id, claim=None))
    return found


def _keeping(catalog: Catalog, lease: str, holder: str) -> Callable[[], None]:
    """What renews *lease* now and then, when it is called often."""
    renewed = time.monotonic()

    def keep() -> None:
        nonlocal renewed
        if time.monotonic() - renewed > LEASE_S / 3:
            with catalog.transaction() as session:
                processes.acquire(session, lease, holder, LEASE_S)
            renewed = time.monotonic()

    return keep
