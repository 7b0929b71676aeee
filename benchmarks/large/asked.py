"""What is asked of a large gallery over HTTP: who somebody is, pages of people, one person."""

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks import datasets
from benchmarks.large import generated
from benchmarks.machine import Row
from benchmarks.rebuild.service import Rebuilding

_WALKED_BY = 200
_STARTED_WITHIN_S = 1800.0
PAGES: dict[str, dict[str, str | int]] = {
    "by name": {},
    "the newest": {"sort": "newest"},
    "by faces": {"sort": "most_faces"},
    "a name that many have": {"query": "person 7"},
    "a name that nobody has": {"query": "zzyzx"},
}
"""What a page of 50 people is asked by."""


@dataclass(frozen=True, slots=True)
class Real:
    """Photos of real people: the ones that are imported, others of the same people, and others of people who are not."""

    imported: Sequence[Path]
    others: Sequence[Path]
    strangers: Sequence[Path]


@dataclass(slots=True)
class Measured:
    """Figures, and what was not as it has to be."""

    rows: list[Row] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    part: str = "generated"
    """Which table what is added belongs to."""
    _parts: dict[str, list[Row]] = field(default_factory=dict)

    def add(self, case: str, metric: str, value: float) -> None:
        """One figure."""
        row = Row(case, metric, value)
        self.rows.append(row)
        self._parts.setdefault(self.part, []).append(row)

    def parts(self) -> dict[str, dict[str, Any]]:
        """The figures, a table a part."""
        return {name: {"rows": [asdict(row) for row in rows]} for name, rows in self._parts.items()}

    def times(self, case: str, took: Sequence[float], unit: str = "ms") -> None:
        """Median, 99th percentile (of a hundred and more), the worst, and of how many."""
        self.add(case, f"p50 {unit}", statistics.median(took))
        if len(took) >= 100:
            self.add(case, f"p99 {unit}", float(np.percentile(took, 99)))
        self.add(case, f"worst {unit}", max(took))
        self.add(case, "times", len(took))

    def require(self, is_so: bool, otherwise: str) -> None:
        """See that something holds; the benchmark ends with 1 where it does not, after its table."""
        if not is_so:
            self.wrong.append(otherwise)


def real(imported: int, asked: int) -> Real:
    """*imported* photos; of each person with two or more, the last one is kept back. Strangers are who comes after them."""
    people: dict[str, list[Path]] = {}
    for path in sorted((datasets.DATA / "lfw_dev").glob("*/*.jpg")):
        people.setdefault(path.parent.name, []).append(path)
    taken: list[Path] = []
    others: list[Path] = []
    strangers: list[Path] = []
    for photos in people.values():
        if len(taken) >= imported:
            strangers += photos[:1]
            continue
        kept_back = photos[-1:] if len(photos) > 1 else []
        taken += photos[: len(photos) - len(kept_back)][: imported - len(taken)]
        others += kept_back
    return Real(taken, _spread(others, asked), _spread(strangers, asked))


def started(service: Rebuilding, photo: Path) -> tuple[float, float]:
    """How many seconds passed from the command until the service was ready, and until a search by *photo* was answered.

    Raises:
        SystemExit: It was not within half an hour.
    """
    began = time.perf_counter() - service.ready_s  # It waits for two minutes, and a large gallery may take longer.
    with service.client(timeout_s=120.0) as client:
        _until(began, lambda: client.get("/health/ready").status_code == httpx.codes.OK)
        ready_s = time.perf_counter() - began
        _until(began, lambda: _search(client, photo.read_bytes()).status_code == httpx.codes.OK)
    return ready_s, time.perf_counter() - began


def _until(began: float, is_so: Callable[[], bool]) -> None:
    while True:
        with suppress(httpx.HTTPError):
            if is_so():
                return
        if time.perf_counter() - began > _STARTED_WITHIN_S:
            raise SystemExit("The service does not start.")
        time.sleep(0.1)


def searched(measured: Measured, service: Rebuilding, photos: Real) -> None:
    """Photos that were never imported, of people who were and of people who were not, one after another."""
    took: list[float] = []
    first = found = misnamed = invented = without = 0
    with service.client() as client:
        for path in photos.others:
            matches = _matches(client, path, took)
            without += matches is None
            name = matches[0]["person"]["name"] if matches else ""
            accepted = [match["person"]["name"] for match in matches or () if match["accepted"]]
            first += name == named(path)
            found += named(path) in accepted[:1]
            misnamed += any(one != named(path) and not generated.is_generated(one) for one in accepted)
            invented += any(generated.is_generated(one) for one in accepted)
        taken_for = 0
        for path in photos.strangers:
            accepted = [match["person"]["name"] for match in _matches(client, path, took) or () if match["accepted"]]
            taken_for += any(not generated.is_generated(one) for one in accepted)
            invented += any(generated.is_generated(one) for one in accepted)
    measured.times("search", took)
    case = "search by other photos of people imported"
    measured.add(case, "photos", len(photos.others))
    measured.add(case, "no face found", without)
    measured.add(case, "the right one first, share", first / len(photos.others))
    measured.add(case, "and accepted, share", found / len(photos.others))
    measured.add(case, "another real person accepted, photos", misnamed)
    measured.add("search by photos of strangers", "photos", len(photos.strangers))
    measured.add("search by photos of strangers", "taken for a real person, photos", taken_for)
    measured.add("search", "somebody generated accepted, photos", invented)
    measured.require(invented == 0, f"{invented} photos of real people were taken for somebody who was generated.")
    measured.require(
        first >= 0.9 * len(photos.others), f"The right one was first {first} of {len(photos.others)} times."
    )


def finds(service: Rebuilding, photo: Path) -> bool:
    """Whether a search by *photo* accepts the person whom it shows."""
    with service.client() as client:
        matches = _matches(client, photo, [])
    return any(match["accepted"] and match["person"]["name"] == named(photo) for match in matches or ())


def looked_at(measured: Measured, service: Rebuilding, times: int) -> None:
    """Everybody page by page; then pages of 50 by name and otherwise, one in the middle, and one person."""
    expected = service.catalog().count("people")
    cursor, middle, seen = None, None, 0
    began = time.perf_counter()
    with service.client() as client:
        while True:
            page = _get(client, "/v1/people", limit=_WALKED_BY, **({"cursor": cursor} if cursor else {}))
            seen += len(page["items"])
            cursor = page["next_cursor"]
            if cursor is None:
                break
            if middle is None and seen >= expected / 2:
                middle = cursor
        measured.add("everybody, page by page", "s", time.perf_counter() - began)
        measured.add("everybody, page by page", "people", seen)
        measured.require(seen == expected, f"The pages have {seen} people, the catalog {expected}.")
        for case, how in {**PAGES, "in the middle": {"cursor": middle} if middle else {}}.items():
            took: list[float] = []
            for _ in range(times):
                page = _get(client, "/v1/people", took, limit=50, **how)
            measured.times(f"50 people, {case}", took)
        took, sizes = [], set()
        for person in _get(client, "/v1/people", limit=times, query="person 3")["items"]:
            sizes.add(len(_get(client, f"/v1/people/{person['id']}", took)["shown_in"]))
        measured.times("one person", took)
        measured.require(sizes == {generated.FACES_EACH}, f"People have {sorted(sizes)} faces.")


def named(photo: Path) -> str:
    """What the import calls the person in whose folder a photo is."""
    return photo.parent.name


def _matches(client: httpx.Client, path: Path, took: list[float]) -> list[dict[str, Any]] | None:
    """Whom the largest face may be, the most similar first; None where no face is found."""
    data, began = path.read_bytes(), time.perf_counter()
    answer = _search(client, data)
    took.append(1000 * (time.perf_counter() - began))
    faces = answer.raise_for_status().json()["faces"]
    if not faces:
        return None
    matches: list[dict[str, Any]] = max(faces, key=lambda face: face["box"]["w"] * face["box"]["h"])["matches"]
    return matches


def _search(client: httpx.Client, photo: bytes) -> httpx.Response:
    return client.post("/v1/search", files={"photo": photo})


def _get(client: httpx.Client, path: str, took: list[float] | None = None, **asked: str | int) -> dict[str, Any]:
    began = time.perf_counter()
    answer = client.get(path, params=asked)
    if took is not None:
        took.append(1000 * (time.perf_counter() - began))
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def _spread(photos: Sequence[Path], most: int) -> Sequence[Path]:
    """*most* of them, evenly from all."""
    return photos if len(photos) <= most else [photos[n] for n in np.linspace(0, len(photos) - 1, most).astype(int)]
