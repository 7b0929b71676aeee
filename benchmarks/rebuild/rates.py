"""How fast a rebuild from chips is: beside the embedder alone, beside importing the photos again, and with two workers."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.machine import Row
from benchmarks.rebuild import alone, gallery
from benchmarks.rebuild.asked import Asked, Told
from benchmarks.rebuild.service import Document, Rebuilding, Rows, seconds

CASE = "rebuild from chips"
AGAINST = "embedder alone, chips decoded in memory, same cores"


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A rebuild that was compared and not switched to."""

    rebuild: Document
    faces: int
    steps: Mapping[str, float]
    cpu_s: Mapping[str, float]
    """Used by each part while it embedded."""
    steady: float
    """Faces a second between the end of the first chunk of each process and the end of the last chunk but those."""


def told(asked: Asked) -> Told:
    """A rebuild on all cores, and the embedder alone on as many."""
    cores = len(os.sched_getaffinity(0))
    with gallery.served(asked, "rates") as service:
        done = rebuilt(service)
        bundle = alone.bundle_in(service.data, gallery.NEW)
        crops = alone.crops_of(service, bundle)
        service.end()
        best = alone.faces_a_second(bundle, crops, processes=cores, times=4 if asked.quick else 2)
    whole = done.faces / done.steps["embedded"]
    rows = [
        *gallery.imported(asked),
        Row(CASE, "faces/s, while all workers work", done.steady, AGAINST, best, done.steady / best),
        Row(CASE, "faces/s, from the plan to the proof", whole, AGAINST, best, whole / best),
        *(Row(CASE, f"{step}, s", s) for step, s in done.steps.items()),
        *(Row(CASE, f"{part}, CPU ms a face", 1000 * s / done.faces) for part, s in sorted(done.cpu_s.items())),
    ]
    return Told(
        rows, [f"{done.faces} faces, {cores} cores, {gallery.NEW} in place of casia-webface, int8 as `auto` chose"]
    )


def again(asked: Asked) -> Told:
    """Importing the same photos into another collection, in the same service, after a rebuild of the first."""
    with gallery.served(asked, "again") as service:
        with service.client() as client:
            client.post("/v1/collections", json={"name": "again"}).raise_for_status()
        started = time.perf_counter()
        summary = service.colega("import", str(gallery.photos(asked)), "--collection", "again")
        import_s = time.perf_counter() - started
        started = time.perf_counter()
        done = rebuilt(service)
        asked_to_end_s = sum(done.steps[step] for step in ("planned", "embedded"))
    photos = sum(summary[state] for state in ("done", "duplicate", "rejected"))
    theirs = photos / import_s
    rows = [
        Row(
            CASE,
            f"{what} a second",
            done.faces / s,
            "importing the photos again, photos a second",
            theirs,
            done.faces / s / theirs,
        )
        for what, s in (("faces", done.steps["embedded"]), ("faces, planning included,", asked_to_end_s))
    ]
    return Told(rows, [f"{photos} photos imported again, {done.faces} faces rebuilt, in one service"])


def workers(asked: Asked) -> Told:
    """One worker process and two."""
    rates = {}
    for count in (1, 2):
        with gallery.served(asked, f"workers-{count}", workers=count) as service:
            done = rebuilt(service)
            rates[count] = (done.steady, done.faces / done.steps["embedded"])
    rows = [
        Row("two workers", f"faces/s, {what}", rates[2][n], "one worker", rates[1][n], rates[2][n] / rates[1][n])
        for n, what in enumerate(("while all workers work", "from the plan to the proof"))
    ]
    cores = len(os.sched_getaffinity(0))
    note = f"{cores} cores, which photo store, catalog and workers share: with two workers the cores are full"
    return Told(rows, [note])


def rebuilt(service: Rebuilding, model: str = gallery.NEW) -> Rebuilt:
    """Rebuild the default collection, without a switch."""
    before = service.cpu_s()
    rebuild = service.rebuild(model=model, switch="manual")
    service.wait(rebuild, ("comparing", "ready", "stopped"))
    used = {part: s - before.get(part, 0.0) for part, s in service.cpu_s().items()}
    found = service.wait(rebuild, ("ready", "stopped"))
    catalog = service.catalog()
    faces = int(found["progress"]["faces"])
    return Rebuilt(found, faces, seconds(found, catalog), used, _steady(catalog, rebuild))


def _steady(catalog: Rows, rebuild: str) -> float:
    ends = catalog.all(
        "SELECT c.finished_at, c.faces, c.claimed_by FROM rebuild_chunks c JOIN rebuilds r ON r.id = c.rebuild_id "
        "WHERE r.public_id = ? AND c.state = 'done' ORDER BY c.finished_at",
        (rebuild,),
    )
    workers = {by for *_, by in ends}
    first = {by: min(at for at, _, theirs in ends if theirs == by) for by in workers}
    last = {by: max(at for at, _, theirs in ends if theirs == by) for by in workers}
    begins, stops = max(first.values()), min(last.values())
    counted = sum(faces for at, faces, _ in ends if begins < at <= stops)
    return counted / (stops - begins) if stops > begins else float("nan")
