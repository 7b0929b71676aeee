"""Rebuilding: whoever conducts moves each rebuild on, state by state; workers take its chunks, one after the other.

Everything is in the catalog. A message asks for the next chunk of a rebuild, whichever that is; one that is lost, doubled or
late changes nothing, and whoever conducts sends new ones where none are left.
"""

import socket

from sqlalchemy.orm import Session

from services.broker import names
from services.broker.send import Queue
from services.broker.waking import Waking
from services.catalog import computations, generations
from services.catalog.engine import Catalog
from services.catalog.importing import jobs
from services.catalog.rebuilding import chunks, findings, rebuilds, switching
from services.catalog.rebuilding.carrying import NoLongerWanted
from services.catalog.rebuilding.chunks import Held
from services.catalog.running import processes
from services.catalog.schema import Generation
from services.catalog.tables.rebuild import LEFT_OUT, Rebuild
from services.errors import ColegaError, Conflict, Unavailable
from services.logs import logger
from workers import alive
from workers.evaluation import policy
from workers.ingestion import Tools
from workers.rebuild import planning, redetecting, reembedding

LEASE_S = 60.0
"""How long a chunk is a worker's: more than its task may take."""
CHIPS_A_PHOTO = 8
"""So many chips are embedded in the time in which one photo is looked at, or less."""

_ASK_AGAIN_S = 15.0
_MEND = "Mend that and resume, or go on without them: --skip-missing."


def work(rebuild_id: int, tools: Tools) -> bool:
    """Work on the next chunk of a rebuild.

    Returns:
        Whether there was one: ask again. False: all are ended or being worked on, or the rebuild is paused or over.

    Raises:
        Unavailable: Catalog or photo store are away; the chunk is free again, or will be when its claim expires.
    """
    with tools.catalog.transaction() as session:
        held = chunks.claim(session, rebuild_id, by=tools.name, lease_s=LEASE_S)
    if held is None:
        return False
    tools.passed("claimed")
    try:
        _work_on(held, tools)
    except NoLongerWanted:
        logger().info("chunk.thrown_away", rebuild=rebuild_id, chunk=held.chunk_id)
    except Unavailable:
        with tools.catalog.transaction() as session:
            chunks.put_back(session, held)
        raise
    tools.waking.wake()
    return True


def conduct(catalog: Catalog, queue: Queue, waking: Waking) -> None:
    """Move every rebuild on as far as it goes now, and see that workers are asked for the chunks that are left.

    One process at a time; killed at any moment, the next one goes on.

    Args:
        catalog: Where all of it is.
        queue: Asks workers and computations. It says how many photos a worker is given at once; of chips that is four times as many.
        waking: Tells searchers that there is something to follow.

    Raises:
        Unavailable: Catalog or broker are away.
    """
    host = socket.gethostname()
    with catalog.transaction() as session:
        chunks.release_dead(session, host, alive.running(chunks.claimants(session, host)))
        under_way = [rebuild.id for rebuild in rebuilds.moving(session)]
    for rebuild_id in under_way:
        _move(rebuild_id, catalog, queue, waking)
    _ask_workers(catalog, queue)


def _work_on(held: Held, tools: Tools) -> None:
    with tools.catalog.reading() as session:
        rebuild = session.get(Rebuild, held.rebuild_id)
        made = None if rebuild is None or rebuild.generation_id is None else rebuild.generation_id
        generation = None if made is None else session.get(Generation, made)
    if generation is None or generation.state == generations.DROPPED:
        with tools.catalog.transaction() as session:
            chunks.finish(session, held, faces=0)
    elif held.kind == chunks.CHIPS:
        reembedding.reembed(held, generation, tools)
    else:
        redetecting.redetect(held, generation, tools)


def _move(rebuild_id: int, catalog: Catalog, queue: Queue, waking: Waking) -> None:
    """Move one rebuild on. What it cannot go on for ends it as failed, with a sentence."""
    with catalog.reading() as session:
        rebuild = session.get(Rebuild, rebuild_id)
        state = "" if rebuild is None else rebuild.state
    try:
        if state == "planning":
            _have_planned(rebuild_id, catalog, queue)
        elif state == "embedding":
            _embedding(rebuild_id, catalog, waking, queue.chunk)
        if state in {"embedding", "comparing"}:
            _comparing(rebuild_id, catalog, queue)
        if state in {"comparing", "switching"}:
            _switching(rebuild_id, catalog, waking)
    except Unavailable:
        raise
    except ColegaError as error:
        logger().warning("rebuild.failed", rebuild=rebuild_id, state=state, reason=str(error))
        _fail(rebuild_id, catalog, str(error), error.type)
    except Exception:  # noqa: BLE001 - Whatever one rebuild has wrong ends it, and not the others.
        logger().exception("rebuild.broke", rebuild=rebuild_id, state=state)
        said = "Something went wrong inside colega. The log of the maintenance worker says what."
        _fail(rebuild_id, catalog, said, ColegaError.type)


def _fail(rebuild_id: int, catalog: Catalog, error: str, problem: str) -> None:
    with catalog.transaction() as session:
        failed = session.get(Rebuild, rebuild_id, with_for_update=True, populate_existing=True)
        if failed is not None and failed.state in rebuilds.MOVING:
            rebuilds.fail(session, failed, error, problem)


def _have_planned(rebuild_id: int, catalog: Catalog, queue: Queue) -> None:
    """Ask a worker for a plan, unless one makes it or was asked a moment ago."""
    with catalog.transaction() as session:
        if any(processes.is_held(session, name) for name in (planning.lease(rebuild_id), planning.asked(rebuild_id))):
            return
        processes.acquire(session, planning.asked(rebuild_id), "", _ASK_AGAIN_S)
    queue.plan_rebuild(rebuild_id)


def _embedding(rebuild_id: int, catalog: Catalog, waking: Waking, chunk: int) -> None:
    """Cut into chunks what the generation still lacks; where that is nothing, prove it and have searchers make it ready.

    Raises:
        Conflict: Something could not be carried over, and was not to be skipped.
    """
    with catalog.reading() as session:
        if chunks.left(session, rebuild_id) or _is_cut(rebuild_id, catalog, chunk):
            return
    with catalog.transaction() as session:
        rebuild = _locked(session, rebuild_id, "embedding")
        if rebuild is None:
            return
        left_out = {k: n for k, n in findings.counted(session, rebuild).items() if k in LEFT_OUT}
        if left_out and not rebuild.parameters.get("skip_missing"):
            what = ", ".join(f"{count:,} {kind}" for kind, count in sorted(left_out.items()))
            raise Conflict(f"Some faces or photos could not be carried over ({what}); the findings list them. {_MEND}")
        generation = generations.by_id(session, rebuild.generation_id or 0)
        if generation.state == generations.BUILDING:
            generations.prepare(session, generation)
        rebuilds.compare(session, rebuild)
    logger().info("rebuild.complete", rebuild=rebuild.public_id)
    waking.wake()


def _is_cut(rebuild_id: int, catalog: Catalog, chunk: int) -> bool:
    """Whether there was something left to be cut into chunks: photos to look at first, then chips to embed."""
    with catalog.reading() as session:
        rebuild = session.get_one(Rebuild, rebuild_id)
        generation = generations.by_id(session, rebuild.generation_id or 0)
    kinds = [chunks.PHOTOS] if (rebuild.plan or {}).get("source") == planning.RAW else []
    for kind in [*kinds, chunks.CHIPS]:
        size = chunk if kind == chunks.PHOTOS else CHIPS_A_PHOTO * chunk
        after: int | None = 0
        while after is not None:
            with catalog.transaction() as session:
                if _locked(session, rebuild_id, "embedding") is None:
                    return True
                after = chunks.plan(session, rebuild, generation, kind, size=size, after=after)
        with catalog.reading() as session:
            if chunks.left(session, rebuild_id):
                return True
    return False


def _comparing(rebuild_id: int, catalog: Catalog, queue: Queue) -> None:
    """Have both generations compared, and judge by what comes of it.

    Raises:
        Conflict: The comparison has failed.
    """
    with catalog.transaction() as session:
        rebuild = _locked(session, rebuild_id, "comparing")
        if rebuild is None:
            return
        if rebuild.comparison_job is not None:
            _judge(session, rebuild)
            return
        wanted = {"rebuild": rebuild.public_id, "before": rebuild.from_generation, "after": rebuild.generation_id}
        job = computations.create(session, rebuild.collection_id, computations.COMPARISON, wanted)
        rebuild.comparison_job = job.public_id
    queue.compute(job.id)


def _judge(session: Session, rebuild: Rebuild) -> None:
    job = jobs.by_public_id(session, rebuild.collection_id, rebuild.comparison_job or "")
    computation = computations.of(session, job)
    if computation.state == "done":
        found = computation.result or {}
        rebuilds.judge(session, rebuild, found, policy.stopped_by(found, rebuild.parameters))
    elif computation.state in computations.ENDS:
        why = job.error or "It was cancelled."
        raise Conflict(
            f"The comparison {job.public_id} has {computation.state}: {why} Resume the rebuild to compare again."
        )


def _switching(rebuild_id: int, catalog: Catalog, waking: Waking) -> None:
    """Switch as soon as every process is ready for it.

    Raises:
        Conflict: What was made is not complete, or was dropped.
    """
    with catalog.transaction() as session:
        rebuild = _locked(session, rebuild_id, "switching")
        if rebuild is None or not switching.now_if_ready(session, rebuild):
            return
    logger().info("rebuild.switched", rebuild=rebuild.public_id)
    waking.wake()


def _ask_workers(catalog: Catalog, queue: Queue) -> None:
    """Send messages for the rebuilds with chunks that nobody works on.

    As many as there are workers where no message waits; where some do, one more for each rebuild that is not worked on at all.
    """
    with catalog.reading() as session:
        free, worked_on = chunks.free(session), chunks.worked_on(session)
        workers = sum(process.kind == "bulk" for process in processes.running(session)) or 1
    if not free:
        return
    is_idle = not queue.depths()[names.REBUILD]
    for rebuild_id, count in free.items():
        queue.rebuild(rebuild_id, min(count, workers) if is_idle else int(rebuild_id not in worked_on))


def _locked(session: Session, rebuild_id: int, state: str) -> Rebuild | None:
    """The rebuild, locked, if it is still in *state*: somebody may have paused or cancelled it."""
    found = session.get(Rebuild, rebuild_id, with_for_update=True, populate_existing=True)
    return found if found is not None and found.state == state else None
