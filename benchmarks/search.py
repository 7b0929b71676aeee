"""Searching over HTTP: what the hops add to the bare pipeline, and how many searches eight clients get answered.

The bare pipeline reads and embeds the same photos in this command, on as many processes as the service has workers.
"""

import io
import os
import statistics
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from benchmarks import bare
from benchmarks.machine import Row, describe, finish, parser
from benchmarks.running import Service

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
CLIENTS = 8


def main() -> None:
    """Run everything and print one table."""
    made = parser(__doc__)
    asked = made.parse_args()
    machine, rows = describe(), []
    with Service() as service:
        _enrol(service)
        photo = _vga()
        rows += _one_client(service, photo, 20 if asked.quick else 200)
        rows += _eight_clients(service, photo, 5.0 if asked.quick else 30.0)
    finish(
        rows,
        asked.json,
        machine=machine,
        notes=["640x480, one face, MTCNN, the variant that `auto` chose (int8 with VNNI)"],
    )


def _one_client(service: Service, photo: bytes, count: int) -> list[Row]:
    """Each search over HTTP is followed by the same photo through the bare pipeline: both meet the same machine."""
    faces = bare.pipeline(service.data / "models")
    over_http, alone = [], []
    with service.client() as client:
        for n in range(count + 10):
            started = time.perf_counter()
            client.post("/v1/search", files={"photo": ("vga.jpg", photo)}).raise_for_status()
            between = time.perf_counter()
            bare.look(faces, photo)
            if n >= 10:
                over_http.append(between - started)
                alone.append(time.perf_counter() - between)
    ours, theirs = 1000 * statistics.median(over_http), 1000 * statistics.median(alone)
    return [
        Row("search, one client", "median ms", ours, "bare pipeline", theirs, theirs / ours),
        Row("search, one client", "median ms above the bare pipeline", ours - theirs),
    ]


def _eight_clients(service: Service, photo: bytes, seconds: float) -> list[Row]:
    """Eight clients in this process for *seconds*, whose CPU is taken off the cores' time."""
    answered, stop = [0] * CLIENTS, threading.Event()
    latencies: list[float] = []

    def ask(n: int) -> None:
        with service.client() as client:
            while not stop.is_set():
                started = time.perf_counter()
                client.post("/v1/search", files={"photo": ("vga.jpg", photo)}).raise_for_status()
                latencies.append(time.perf_counter() - started)
                answered[n] += 1

    clients = [threading.Thread(target=ask, args=(n,)) for n in range(CLIENTS)]
    for client in clients:
        client.start()
    time.sleep(2)
    count, cpu, before, wall = sum(answered), time.process_time(), service.cpu_s(), time.perf_counter()
    time.sleep(seconds)
    count, cpu, wall = sum(answered) - count, time.process_time() - cpu, time.perf_counter() - wall
    used = {part: s - before.get(part, 0.0) for part, s in service.cpu_s().items()}
    stop.set()
    for client in clients:
        client.join()
    cores = len(os.sched_getaffinity(0))
    alone = bare.photos_a_second([photo] * max(count // 2, 40), service.data / "models", processes=cores)
    rate, fair = count / wall, count / (wall - cpu / cores)
    case = f"search, {CLIENTS} clients"
    rows = [
        Row(case, "searches/s", rate, "bare pipeline, same cores", alone, rate / alone),
        Row(case, "searches/s, the clients' CPU deducted", fair, "bare pipeline, same cores", alone, fair / alone),
        Row(case, "load generator, CPU ms a search", 1000 * cpu / count),
        Row(case, "median ms", 1000 * statistics.median(latencies)),
    ]
    return rows + [Row(case, f"{part}, CPU ms a search", 1000 * s / count) for part, s in sorted(used.items())]


def _vga() -> bytes:
    """A portrait of the examples in 640x480: scaled, on grey."""
    with Image.open(EXAMPLES / "queries" / "one.jpg") as portrait:
        portrait.thumbnail((640, 480))
        canvas = Image.new("RGB", (640, 480), (96, 96, 96))
        canvas.paste(portrait, ((640 - portrait.width) // 2, (480 - portrait.height) // 2))
    out = io.BytesIO()
    canvas.save(out, "JPEG", quality=92)
    return out.getvalue()


def _enrol(service: Service) -> None:
    with service.client() as client:
        jobs: Sequence[str] = [
            client.post(
                "/v1/photos", data={"person": photo.parent.name}, files={"photo": (photo.name, photo.read_bytes())}
            )
            .raise_for_status()
            .json()["job"]
            for photo in sorted((EXAMPLES / "people").rglob("*.jpg"))
        ]
        while any(client.get(f"/v1/jobs/{job}").json()["state"] != "done" for job in jobs):
            time.sleep(0.1)


if __name__ == "__main__":
    main()
