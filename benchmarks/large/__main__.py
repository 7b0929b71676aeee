"""A company of 100,000 people with 500,000 faces: 2,000 real photos on top, searches, pages of people, an erasure, a rebuild's plan.

Rows, objects and vectors of the 100,000 are written by a generator (``benchmarks.large.generated``), as an import would have left
them; everything that is measured is asked of a real service over HTTP and by the command line.
"""

import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import numpy as np

from benchmarks import datasets
from benchmarks.large import generated
from benchmarks.machine import Row, describe, finish, parser
from benchmarks.rebuild import models
from benchmarks.rebuild.service import Rebuilding

_PEOPLE, _FACES_EACH, _REAL = 100_000, 5, 2000
_SEARCHES, _PAGES, _ERASED = 300, 50, 20
_FOUND_WITHIN_S, _PLANNED_WITHIN_S = 900.0, 1800.0


def main() -> None:
    """Fill a gallery, use it, and print one table."""
    made = parser(__doc__)
    made.add_argument("--people", type=int, default=_PEOPLE)
    made.add_argument(
        "--folder", type=Path, help="keep the service's folder here; one that was filled before is used again"
    )
    asked = made.parse_args()
    people, real = (500, 40) if asked.quick else (asked.people, _REAL)
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="colega-large-"))
    machine = describe()
    rows: list[Row] = []
    if not (folder / "catalog").exists():
        rows += _filled(folder, people)
    with Rebuilding(folder) as service:
        rows.append(Row("start", "s until ready", service.ready_s))
        rows += _first_answer(service)
        rows += _imported(service, folder, real)
        rows += _searched(service, 20 if asked.quick else _SEARCHES)
        rows += _looked_at(service, 5 if asked.quick else _PAGES)
        rows += _erased(service, 2 if asked.quick else _ERASED)
        rows += _planned(service)
        rows += [
            Row("memory", f"{part}, resident MB of {len(sizes)}", sum(sizes))
            for part, sizes in sorted(service.resident_mb().items())
        ]
    rows.append(Row("disk", "GB", sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9))
    if asked.folder is None:
        shutil.rmtree(folder)
    notes = [f"{people:,} people with {_FACES_EACH} faces each, photos and chips of {generated.OBJECT_BYTES:,} bytes"]
    finish(rows, asked.json, machine=machine, notes=notes)


def _filled(folder: Path, people: int) -> Sequence[Row]:
    """A folder as an import of that many would have left it."""
    with Rebuilding(folder) as service:
        service.colega("models", "add", str(models.VGGFACE2), "--name", "vggface2", "--licence", "MIT")
        began = time.perf_counter()
        counted = generated.fill(service, people, _FACES_EACH)
        return [
            Row("generated", "people", counted.people),
            Row("generated", "faces", counted.faces),
            Row("generated", "objects", counted.objects),
            Row("generated", "minutes", (time.perf_counter() - began) / 60),
        ]


def _first_answer(service: Rebuilding) -> Sequence[Row]:
    """From ready to the first search that is answered: the replica is made."""
    began = time.perf_counter()
    photo = datasets.lfw().photos[0].read_bytes()
    with service.client() as client:
        while client.post("/v1/search", files={"photo": photo}).status_code != httpx.codes.OK:
            if time.perf_counter() - began > _FOUND_WITHIN_S:
                raise SystemExit("Nothing is found.")
            time.sleep(0.2)
    return [Row("start", "s from ready to the first answer", time.perf_counter() - began)]


def _imported(service: Rebuilding, folder: Path, count: int) -> Sequence[Row]:
    photos = folder / "real"
    for path in datasets.lfw().photos[:count]:
        to = photos / path.parent.name / path.name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)
    began = time.perf_counter()
    summary = service.colega("import", str(photos))
    took_s = time.perf_counter() - began
    shutil.rmtree(photos)
    done = sum(summary[state] for state in ("done", "duplicate", "rejected"))
    return [
        Row("import of real photos", "photos", done),
        Row("import of real photos", "photos/s", done / took_s),
        Row("import of real photos", "rejected", summary["rejected"]),
    ]


def _searched(service: Rebuilding, count: int) -> Sequence[Row]:
    """Searches for people who were imported, by the photos they were imported with, one after another."""
    photos = list(datasets.lfw().photos[:_REAL:7])[:count]
    took, right = [], 0
    with service.client() as client:
        for path in photos:
            data, began = path.read_bytes(), time.perf_counter()
            answer = client.post("/v1/search", files={"photo": data}).json()
            took.append(1000 * (time.perf_counter() - began))
            named = {match["person"]["name"] for face in answer["faces"] for match in face["matches"][:1]}
            right += path.parent.name in named or path.parent.name.replace("_", " ") in named
    return [
        *_times("search", took),
        Row("search", "of people imported on top, share found", right / len(photos)),
    ]


def _looked_at(service: Rebuilding, count: int) -> Sequence[Row]:
    """Pages of people in order, a search as one types, and one person."""
    first: list[float] = []
    typed: list[float] = []
    one: list[float] = []
    with service.client() as client:
        for n in range(count):
            items = _get(client, first, "/v1/people", limit=50, sort=("name", "newest")[n % 2])["items"]
            _get(client, typed, "/v1/people", limit=50, query=f"person {n}")
            _get(client, one, f"/v1/people/{items[0]['id']}")
    return [*_times("a page of 50 people", first), *_times("typing a search", typed), *_times("one person", one)]


def _erased(service: Rebuilding, count: int) -> Sequence[Row]:
    """People erased one after another; then one of whom nothing is to be left anywhere before the command ends."""
    took: list[float] = []
    with service.client() as client:
        doomed = client.get("/v1/people", params={"limit": count + 1, "query": "person 7"}).json()["items"]
        for person in doomed[:count]:
            began = time.perf_counter()
            client.delete(f"/v1/people/{person['id']}").raise_for_status()
            took.append(1000 * (time.perf_counter() - began))
    began = time.perf_counter()
    service.colega("erase", doomed[count]["id"], "--now", "--yes")
    return [*_times("erase a person", took), Row("erase --now", "s until nothing is left", time.perf_counter() - began)]


def _planned(service: Rebuilding) -> Sequence[Row]:
    """A rebuild planned: every face is listed, and it is known how long it will take; then it is cancelled."""
    began = time.perf_counter()
    rebuild = service.rebuild(model="vggface2", switch="never")
    while (shown := service.show(rebuild))["state"] == "planning":
        if time.perf_counter() - began > _PLANNED_WITHIN_S:
            raise SystemExit("The rebuild is not planned in time.")
        time.sleep(0.1)
    rows = [
        Row("rebuild", "s until it is planned", time.perf_counter() - began),
        Row("rebuild", "faces planned", shown["total"]),
    ]
    with service.client() as client:
        client.post(f"/v1/rebuilds/{rebuild}/cancel").raise_for_status()
    return rows


def _get(client: httpx.Client, took: list[float], path: str, **asked: str | int) -> dict[str, list[dict[str, str]]]:
    began = time.perf_counter()
    answer = client.get(path, params=asked)
    took.append(1000 * (time.perf_counter() - began))
    answer.raise_for_status()
    found: dict[str, list[dict[str, str]]] = answer.json()
    return found


def _times(case: str, took_ms: Sequence[float]) -> Sequence[Row]:
    return [
        Row(case, "median ms", statistics.median(took_ms)),
        Row(case, "p99 ms", float(np.percentile(took_ms, 99))),
    ]


if __name__ == "__main__":
    main()
