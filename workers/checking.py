"""Checking: whether catalog, photo store and embeddings of a collection still agree, and mending what does not.

A verb of :mod:`workers.computing`. Every part reads what is there, page by page, beside whatever else goes on; it may be
begun again at any moment. The ledger is kept in the computation's folder, so that parts which are done are not done again.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from services.catalog import checks
from services.errors import InvalidRequest
from workers.checks import contents, objects, vectors
from workers.checks.ledger import Ledger
from workers.checks.mending import Place
from workers.collection_bench import CollectionBench

SAMPLE = 1000
"""Photos read, and faces embedded anew in each generation, where nothing else is asked for."""
LEDGER = "ledger.json"


def check(wanted: Mapping[str, Any], bench: CollectionBench) -> dict[str, Any]:
    """Look at a collection.

    Args:
        wanted: ``objects`` (true unless given), ``checksums`` and ``embeddings`` (a number, or ``all``), ``repair`` (false
            unless given), ``seed`` of what is drawn (else the job's).
        bench: Whose catalog, photo store and models.

    Returns:
        ``ok``, ``problems``, ``mended`` and ``remaining`` by kind (:data:`services.catalog.checks.PROBLEMS`), up to a hundred
        ``named`` of each with ``advice`` by kind, what was ``looked_at`` and ``compared``. ``ok``: nothing was wrong, nor mended.

    Raises:
        Cancelled: Nobody wants the rest.
    """
    checksums, embeddings = _count(wanted, "checksums"), _count(wanted, "embeddings")
    job_seed = int.from_bytes(hashlib.sha256(bench.job_id.encode()).digest()[:4], "big")
    seed = int(wanted.get("seed", job_seed))
    collection, repair = bench.collection, bool(wanted.get("repair", False))
    place = Place(bench.catalog, bench.store, bench.models, collection.id, bench.max_pixels, repair, bench.tell)
    with bench.catalog.reading() as session:
        nobodys = checks.is_first(session, collection.id)
    parts: dict[str, Callable[[Ledger], None]] = {}
    if wanted.get("objects", True):
        parts[objects.PART] = lambda ledger: objects.examine(place, ledger, nobodys=nobodys)
        parts[contents.MODELS] = lambda ledger: contents.bundles(
            place, ledger, nobodys=nobodys, contents=checksums != 0
        )
        parts[contents.SNAPSHOTS] = lambda ledger: contents.snapshots(
            place, ledger, collection.epoch, contents=checksums is None
        )
    if checksums != 0:
        parts[contents.CHECKSUMS] = lambda ledger: contents.photos(place, ledger, sample=checksums, seed=seed)
    if embeddings != 0:
        parts[vectors.PART] = lambda ledger: vectors.examine(place, ledger, sample=embeddings, seed=seed)
    ledger = Ledger(bench.folder / LEDGER)
    for name, look in parts.items():
        if name not in ledger.done:
            ledger.begin(name)
            look(ledger)
            ledger.end()
    told = ledger.told()
    return {
        **told,
        "repair": repair,
        "seed": seed,
        "advice": {kind: checks.PROBLEMS[kind] for kind in told["problems"]},
    }


def _count(wanted: Mapping[str, Any], name: str) -> int | None:
    """How many of a kind are looked at; None is all.

    Raises:
        InvalidRequest: It is neither a number nor ``all``.
    """
    given = wanted.get(name, SAMPLE)
    if given == "all":
        return None
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise InvalidRequest(f"{name} is {given!r}; it must be a number from 0 on, or all.")
    return given
