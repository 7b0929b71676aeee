"""The whole service: an import until all is findable, a newcomer until found, memory, and starting.

CPU is counted from /proc by process, the importing client's by the kernel's account of a child that ended. The bare
pipeline runs in the same command on the same photos with as many processes as the bulk worker has.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from benchmarks import bare
from benchmarks.machine import Row, describe, finish, parser
from benchmarks.running import Service

SHARED = Path(__file__).resolve().parents[2] / "shared"
NOT_THE_PIPELINE = ("gateway", "store", "broker", "searcher", "maintenance", "supervisor", "client")


def main() -> None:
    """Run everything and print one table."""
    made = parser(__doc__)
    made.add_argument("--photos", type=Path, default=SHARED / "data" / "lfw_dev", help="a directory a person")
    made.add_argument("--newcomers", type=Path, default=SHARED / "data" / "georgia_tech" / "cropped")
    made.add_argument("--yunet", type=Path, help="the YuNet file: run with it as the detector")
    asked = made.parse_args()
    machine, rows = describe(), []
    photos = _photos(asked.photos)[: 40 if asked.quick else None]
    with Service() as service:
        rows.append(Row("first start", "s", service.ready_s))
        detector = "MTCNN"
        if asked.yunet:
            detector = "YuNet"
            _run(service, "models", "add", str(asked.yunet), "--name", "yunet")
        rows += _idle_newcomers(service, _newcomers(asked.newcomers), 3 if asked.quick else 20)
        rows += _import(service, asked.photos, photos, detector, asked.yunet)
        for part, sizes in service.resident_mb().items():
            rows.append(Row("after the import", f"{part}, resident MB, largest of {len(sizes)}", sizes[0]))
        rows += _busy_newcomers(service, asked.photos, _newcomers(asked.newcomers)[40:], 3 if asked.quick else 40)
        service.end()
        service.start()
        rows.append(Row("second start", "s", service.ready_s))
    variant = "int8 or fp32 as each process found by its self-check; see `colega status`"
    finish(
        rows, asked.json, machine=machine, notes=[f"{len(photos)} photos of {asked.photos.name}, {detector}", variant]
    )


def _import(service: Service, folder: Path, photos: Sequence[Path], detector: str, yunet: Path | None) -> list[Row]:
    """An import by the command line, its CPU by process, beside the bare pipeline on both cores."""
    before, started = service.cpu_s(), time.perf_counter()
    client = resource.getrusage(resource.RUSAGE_CHILDREN)
    summary = _run(service, "import", str(folder), "--collection", "import" if yunet else "default")
    wall_s = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = {part: (s - before.get(part, 0.0)) for part, s in service.cpu_s().items()}
    used["client"] = after.ru_utime + after.ru_stime - client.ru_utime - client.ru_stime
    count = sum(summary[state] for state in ("done", "duplicate", "rejected"))
    rows = [Row(f"import, {detector}", f"{part}, CPU ms a photo", 1000 * s / count) for part, s in sorted(used.items())]
    around = 1000 * sum(used.get(part, 0.0) for part in NOT_THE_PIPELINE) / count
    rows.append(Row(f"import, {detector}", "all but the workers, CPU ms a photo", around))
    workers = len(os.sched_getaffinity(0))
    bytes_of = [path.read_bytes() for path in photos]
    alone = bare.photos_a_second(bytes_of, service.data / "models", processes=workers, yunet=yunet)
    rate = count / wall_s
    rows.append(Row(f"import, {detector}", "photos/s", rate, "bare pipeline, same cores", alone, rate / alone))
    return rows


def _idle_newcomers(service: Service, newcomers: Sequence[Path], count: int) -> list[Row]:
    with service.client() as client:
        times = [_newcomer_s(client, path, f"Idle {n}") for n, path in enumerate(newcomers[: count + 2])][2:]
    return [Row("people add to findable, idle", "median ms", 1000 * statistics.median(times))]


def _busy_newcomers(service: Service, folder: Path, newcomers: Sequence[Path], count: int) -> list[Row]:
    """The same while an import into another collection runs."""
    with service.client() as client:
        client.post("/v1/collections", json={"name": "busy"}).raise_for_status()
        importing = threading.Thread(target=lambda: _run(service, "import", str(folder), "--collection", "busy"))
        importing.start()
        time.sleep(3)
        times: list[float] = []
        for n, path in enumerate(newcomers):
            if not importing.is_alive() or len(times) == count:
                break
            times.append(_newcomer_s(client, path, f"Busy {n}"))
        importing.join()
    times.sort()
    case = f"people add to findable, during an import ({len(times)} tries)"
    return [
        Row(case, "p50 ms", 1000 * statistics.median(times)),
        Row(case, "p95 ms", 1000 * times[min(len(times) - 1, int(0.95 * len(times)))]),
    ]


def _newcomer_s(client: httpx.Client, photo: Path, name: str) -> float:
    """From sending a newcomer's photo to the search that names them."""
    data = photo.read_bytes()
    started = time.perf_counter()
    created = client.post("/v1/people", data={"name": name}, files={"photo": (photo.name, data)})
    created.raise_for_status()
    job = created.json()["job"]
    while True:
        progress = client.get(f"/v1/jobs/{job}").json()
        if progress["state"] == "done":
            break
        time.sleep(0.005)
    found = client.post("/v1/search", params={"after": progress["sequence"]}, files={"photo": (photo.name, data)})
    found.raise_for_status()
    taken_s = time.perf_counter() - started
    named = [m["person"]["name"] for face in found.json()["faces"] for m in face["matches"][:1]]
    if name not in named:
        raise SystemExit(f"{photo} was added as {name}, but the search names {named}.")
    return taken_s


def _run(service: Service, *arguments: str) -> dict[str, Any]:
    """A ``colega`` command of this service; what it prints as JSON."""
    colega = Path(sys.executable).parent / "colega"
    done = subprocess.run(
        [str(colega), *arguments, "--json"], env=service.environment(), check=False, capture_output=True
    )
    if done.returncode not in {0, 1}:
        raise SystemExit(f"colega {arguments[0]} ended with {done.returncode}: {done.stderr.decode()}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _photos(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})


def _newcomers(folder: Path) -> list[Path]:
    """One photo of each person, then the second of each: nobody is enrolled twice in a row."""
    return sorted(folder.rglob("*.jpg"), key=lambda p: (int(p.stem), p.parent.name))


if __name__ == "__main__":
    main()
