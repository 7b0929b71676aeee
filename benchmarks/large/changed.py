"""What changes a large gallery: an import on top of it, erasures, and the plan of a rebuild."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.large import asked
from benchmarks.large.asked import Measured, Real
from benchmarks.rebuild.service import Rebuilding

_PLANNED_WITHIN_S = 3600.0


def imported(measured: Measured, service: Rebuilding, folder: Path, photos: Sequence[Path]) -> None:
    """Real photos, one folder a person, by ``colega import``; then whose their faces are."""
    for path in photos:
        to = folder / path.parent.name / path.name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)
    began = time.perf_counter()
    summary = service.colega("import", str(folder))
    took_s = time.perf_counter() - began
    shutil.rmtree(folder)
    case = "import of real photos"
    done = {state: int(summary[state]) for state in ("done", "duplicate", "rejected")}
    owned = service.catalog().all(
        "SELECT photos.source_name, people.name FROM photos JOIN faces ON faces.photo_id = photos.id "
        "JOIN people ON people.id = faces.person_id WHERE photos.source_name GLOB '*/*'",
    )
    misplaced = [source for source, name in owned if asked.named(Path(source)) != name]
    measured.add(case, "photos", len(photos))
    measured.add(case, "photos/s", len(photos) / took_s)
    for state, count in done.items():
        measured.add(case, state, count)
    measured.add(case, "faces of the wrong person", len(misplaced))
    measured.require(sum(done.values()) == len(photos), f"Of {len(photos)} photos {done} ended.")
    measured.require(len(owned) == done["done"], f"{done['done']} photos were done, {len(owned)} faces are somebody's.")
    measured.require(not misplaced, f"Faces are the wrong person's: {misplaced[:5]}")


def erased(measured: Measured, service: Rebuilding, photos: Real, *, times: int, at_once: int) -> None:
    """Generated people erased one after another; then others, and one real person, with ``--now``, until nothing is left."""
    took: list[float] = []
    with service.client() as client:
        found = client.get("/v1/people", params={"limit": times + at_once, "query": "person 7"}).json()["items"]
        for person in found[:times]:
            began = time.perf_counter()
            client.delete(f"/v1/people/{person['id']}").raise_for_status()
            took.append(1000 * (time.perf_counter() - began))
        real = next((path for path in photos.others if asked.finds(service, path)), None)
        if real is None:
            raise SystemExit("Nobody who was imported is found.")
        [met] = client.get("/v1/people", params={"name": asked.named(real)}).json()["items"]
    measured.times("erase a person", took)
    waited: list[float] = []
    for person in [*found[times:], met]:
        began = time.perf_counter()
        receipt = service.colega("erase", person["id"], "--now", "--yes")
        waited.append(time.perf_counter() - began)
        measured.require(
            receipt["closed_at"] is not None, f"The receipt of {person['name']} is open: {receipt['left']}"
        )
    measured.times("erase --now, until the receipt is closed", waited, "s")
    measured.require(not asked.finds(service, real), f"{met['name']} was erased and is found.")


def planned(measured: Measured, service: Rebuilding, model: str, source: str) -> None:
    """A rebuild planned: all is listed in the store, counted, and cut into chunks; then it is cancelled."""
    rows = service.catalog()
    whole = {"faces": rows.count("faces", "chip_key IS NOT NULL"), "photos": rows.count("photos", "state = 'done'")}
    expected = whole["faces" if source == "chips" else "photos"]
    began = time.perf_counter()
    rebuild = service.rebuild(model=model, switch="manual", source=source)
    while (shown := service.show(rebuild))["state"] == "planning" and time.perf_counter() - began < _PLANNED_WITHIN_S:
        time.sleep(0.1)
    planned_s, plan = time.perf_counter() - began, shown["plan"]
    if plan is None:
        raise SystemExit(f"The rebuild is {shown['state']} without a plan: {shown['error']}")
    while (cut := _cut(service, rebuild))[1] < expected and time.perf_counter() - began < _PLANNED_WITHIN_S:
        time.sleep(0.1)
    cut_s = time.perf_counter() - began
    with service.client() as client:
        client.post(f"/v1/rebuilds/{rebuild}/cancel").raise_for_status()
    ended = service.wait(rebuild)
    case = f"plan of a rebuild from {source}"
    measured.add(case, "s until planned", planned_s)
    measured.add(case, "s until all is cut into chunks", cut_s)
    measured.add(case, f"{'faces' if source == 'chips' else 'photos'} in the catalog", expected)
    measured.add(case, "faces planned", plan["faces"])
    measured.add(case, "photos planned", plan["photos"])
    measured.add(case, "missing in the store", plan["missing"])
    measured.add(case, "chunks", cut[0])
    measured.require(ended["state"] == "cancelled", f"The rebuild from {source} ended as {ended['state']}.")
    measured.require(plan["faces"] == whole["faces"], f"{plan['faces']} faces are planned, {whole['faces']} are there.")
    measured.require(plan["missing"] == 0, f"{plan['missing']} objects are called missing.")
    measured.require(cut[1] == expected, f"The chunks have {cut[1]} of {expected} {source}.")


def _cut(service: Rebuilding, rebuild: str) -> tuple[int, int]:
    """How many chunks there are, and of how many faces or photos."""
    [(chunks, total)] = service.catalog().all(
        "SELECT count(*), coalesce(sum(total), 0) FROM rebuild_chunks JOIN rebuilds ON rebuilds.id = rebuild_id "
        "WHERE public_id = ?",
        (rebuild,),
    )
    return chunks, total
