"""What the audit costs: searches with and without it, side by side on SQLite, and a million entries verified.

Two services run beside each other over the same people, one with the audit and one without. They are asked in turns, so that
whatever else the machine does falls on both; each pair of turns gives a ratio, and their median is told.
"""

import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from benchmarks.machine import Row, describe, finish, parser
from benchmarks.running import Service
from services.catalog.auditing import verifying as audit_verify
from services.catalog.auditing import writing as audit
from services.catalog.engine import Catalog
from services.catalog.migrate import migrate

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
_CLIENTS = 4


def main() -> None:
    """Run everything and print one table."""
    made = parser(__doc__)
    made.add_argument("--turns", type=int, default=20, help="pairs of turns")
    made.add_argument("--seconds", type=float, default=6.0, help="how long a turn lasts")
    made.add_argument("--entries", type=int, default=1_000_000, help="how many are verified; 0: none")
    asked = made.parse_args()
    turns, seconds = (2, 1.0) if asked.quick else (asked.turns, asked.seconds)
    machine, rows = describe(), []
    photo = (EXAMPLES / "queries" / "one.jpg").read_bytes()
    with Service() as with_it, Service(COLEGA_AUDIT="false") as without:
        for service in (with_it, without):
            _enrol(service)
        rows += _throughput(with_it, without, photo, turns, seconds)
        rows += _latency(with_it, without, photo, 20 if asked.quick else 400)
    if asked.entries:
        rows += _verified(10_000 if asked.quick else asked.entries)
    notes = [f"{turns} pairs of turns of {seconds:g} s, {_CLIENTS} clients; one.jpg of examples/, SQLite"]
    finish(rows, asked.json, machine=machine, notes=notes)


def _throughput(with_it: Service, without: Service, photo: bytes, turns: int, seconds: float) -> list[Row]:
    """Searches a second, in turns that change who is first."""
    for service in (with_it, without):
        _rate(service, photo, min(seconds, 3.0))  # Warm.
    pairs = []
    for turn in range(turns):
        order = (with_it, without) if turn % 2 == 0 else (without, with_it)
        rates = {service: _rate(service, photo, seconds) for service in order}
        pairs.append((rates[with_it], rates[without]))
    ours, theirs = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    ratio = statistics.median(one / other for one, other in pairs)
    return [
        Row("search, audited", "searches/s, median", ours, "without the audit", theirs, ratio),
        Row("search, audited", "cost of the audit, % of throughput, median of pairs", 100 * (1 - ratio)),
    ]


def _rate(service: Service, photo: bytes, seconds: float) -> float:
    counts = [0] * _CLIENTS
    stop_at = time.perf_counter() + seconds

    def search(number: int) -> None:
        with service.client() as client:
            while time.perf_counter() < stop_at:
                client.post("/v1/search", files={"photo": ("one.jpg", photo)}).raise_for_status()
                counts[number] += 1

    threads = [threading.Thread(target=search, args=(number,)) for number in range(_CLIENTS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - began)


def _latency(with_it: Service, without: Service, photo: bytes, count: int) -> list[Row]:
    """One request after the other, in turns: a search with a photo, and one with a kept face, which needs no model."""
    rows = []
    with with_it.client() as audited, without.client() as plain:
        asking: list[tuple[str, Callable[[httpx.Client], httpx.Response]]] = [
            ("search with a photo", lambda http: http.post("/v1/search", files={"photo": ("one.jpg", photo)})),
            ("search with a kept face", lambda http: http.post("/v1/search", json={"face_id": _face(http)})),
        ]
        for case, ask in asking:
            times: tuple[list[float], list[float]] = ([], [])
            for n in range(count):
                for place in (0, 1) if n % 2 else (1, 0):
                    client = (audited, plain)[place]
                    began = time.perf_counter()
                    ask(client).raise_for_status()
                    times[place].append(1000 * (time.perf_counter() - began))
            for name, share in (("median", 0.5), ("p99", 0.99)):
                ours, theirs = (_at(each, share) for each in times)
                rows.append(Row(case, f"{name} ms", ours, "without the audit", theirs, theirs / ours))
    return rows


_FACES: dict[str, str] = {}


def _face(client: httpx.Client) -> str:
    """A face of somebody who is enrolled."""
    url = str(client.base_url)
    if url not in _FACES:
        _FACES[url] = str(client.get("/v1/people").json()["items"][0]["face_id"])
    return _FACES[url]


def _at(times: Sequence[float], share: float) -> float:
    return sorted(times)[min(int(share * len(times)), len(times) - 1)]


def _enrol(service: Service) -> None:
    with service.client() as client:
        for folder in sorted((EXAMPLES / "people").iterdir()):
            files = [("photo", (path.name, path.read_bytes())) for path in sorted(folder.iterdir())]
            made = client.post("/v1/people", data={"name": folder.name}, files=files)
            made.raise_for_status()
            while client.get(f"/v1/jobs/{made.json()['job']}").json()["state"] != "done":
                time.sleep(0.05)


def _verified(count: int) -> list[Row]:
    """Entries as searches leave them, a thousand a group, walked as a whole."""
    with tempfile.TemporaryDirectory() as folder:
        catalog = Catalog(f"sqlite:///{folder}/catalog.sqlite")
        migrate(catalog)
        with catalog.transaction() as session:
            tip = audit.begin(session, 1.0)
        people = [f"per_{number:024x}" for number in range(5)]
        key = f"key_{0:024x}"
        details = {"faces": 1, "threshold": 0.512345, "named": people[:1], "nearest": people[1:]}
        entries = [audit.Entry(2.5 + n, key, "search.photo", "default", None, 200, details) for n in range(1000)]
        for _ in range(count // len(entries)):
            with catalog.transaction() as session:
                tip = audit.head(session, audit.append(session, tip, entries), "anchored")
        began = time.perf_counter()
        with catalog.reading() as session:
            found = audit_verify.verify(session)
        seconds = time.perf_counter() - began
        catalog.close()
        size_mb = Path(folder, "catalog.sqlite").stat().st_size / 2**20
    if found.problem_count or found.entries != tip.sequence:
        raise SystemExit(f"{found.problem_count} problems in {found.entries} entries.")
    case = f"{count:,} entries"
    return [Row(case, "s to verify", seconds), Row(case, "bytes an entry, indexes included", size_mb * 2**20 / count)]


if __name__ == "__main__":
    main()
