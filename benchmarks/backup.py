"""Backups of a running service, every store lost in turn, and the same people found in the same order afterwards.

People of LFW and Georgia Tech are enrolled with half of their photos; 1,000 of the others are searched for before and after.
Needs ``../shared/data``.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.datasets import georgia_tech, lfw
from benchmarks.machine import Row, describe, finish, parser
from benchmarks.running import Service
from tests.stack import Stack

CLIENTS = 2
Answers = list[list[tuple[str, float]]]


def main() -> None:
    """Run everything and print one table."""
    asked = _arguments()
    machine, rows = describe(), list[Row]()
    scratch = Path(tempfile.mkdtemp(prefix="colega-bench-backup-"))
    try:
        _measure(scratch, asked, rows)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    finish(
        rows,
        asked.json,
        machine=machine,
        notes=[
            "recovery: from the command to the first answer that says ready, restore and start together",
            "same: probes with the same persons in the same order; off: the largest difference of a similarity",
        ],
    )


def _arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--probes", type=int, default=1000, help="how many searches are compared")
    asked = made.parse_args()
    if asked.quick:
        asked.probes = min(asked.probes, 20)
    return asked


def _measure(scratch: Path, asked: argparse.Namespace, rows: list[Row]) -> None:
    enrolled, more, probes = _photos(asked.probes)
    place, data = scratch / "backups", scratch / "first"
    data.mkdir()
    with Service(data) as service:
        _import(service, _arranged(scratch / "photos", enrolled))
        rows += _made("full backup, running", place, _colega(data, "backup", str(place)))
        _import(service, _arranged(scratch / "more", more))
        rows += _made("incremental backup, running", place, _colega(data, "backup", str(place)))
        before = _answers(service, probes)
    rows += _verified(data, place)
    again = scratch / "elsewhere"
    (again / "keys").mkdir(parents=True, mode=0o700)
    shutil.copy2(data / "keys" / "wrapping", again / "keys" / "wrapping")
    shutil.rmtree(data)  # Everything but the backup and the wrapping key.
    losses = {
        "all lost: SQLite, store of `up`": (["restore", str(place)], []),
        "catalog lost": (["restore", str(place), "--only", "catalog"], ["catalog"]),
        "photo store lost": (["restore", str(place), "--only", "objects"], ["store"]),
        "index lost": ([], ["index"]),
        "broker lost": ([], ["broker"]),
    }
    for case, (command, lost) in losses.items():
        for name in lost:
            shutil.rmtree(again / name, ignore_errors=True)
        rows += _recovered(case, Service(again), command, before, probes)
    with _other_backends() as settings:
        wrapping = {"COLEGA_WRAPPING_KEYS_FILE": str(again / "keys" / "wrapping")}
        away = Service(scratch / "away", **settings, **wrapping)
        (scratch / "away").mkdir()
        rows += _recovered("to PostgreSQL and another store", away, ["restore", str(place)], before, probes)
        second = scratch / "second"
        rows += _made(
            "backup of PostgreSQL", second, _colega(scratch / "away", "backup", str(second), **settings, **wrapping)
        )
    home = scratch / "home"
    shutil.copytree(again / "keys", home / "keys")
    rows += _recovered("from PostgreSQL back to SQLite", Service(home), ["restore", str(second)], before, probes)


def _photos(count: int) -> tuple[dict[str, list[Path]], dict[str, list[Path]], list[Path]]:
    """Who is enrolled with what, who comes later, and *count* photos of them that are not enrolled."""
    by_person: dict[str, list[Path]] = {}
    for photo in [*lfw().photos, *georgia_tech()]:
        by_person.setdefault(photo.parent.name, []).append(photo)
    enrolled = {name: photos[: max(1, len(photos) // 2)] for name, photos in sorted(by_person.items())}
    probes = [photo for name, photos in sorted(by_person.items()) for photo in photos[len(enrolled[name]) :]]
    probes = probes[:: max(1, len(probes) // count)][:count]
    shown = {photo.parent.name for photo in probes}
    if len(probes) < 1000:  # Only to see that it runs.
        enrolled = {name: photos for name, photos in enrolled.items() if name in shown}
    later = set(sorted(enrolled)[: max(2, len(enrolled) // 50)])
    return (
        {name: photos for name, photos in enrolled.items() if name not in later},
        {name: photos for name, photos in enrolled.items() if name in later},
        probes,
    )


def _arranged(folder: Path, people: Mapping[str, Sequence[Path]]) -> Path:
    for name, photos in people.items():
        (folder / name).mkdir(parents=True)
        for photo in photos:
            shutil.copy2(photo, folder / name / photo.name)
    return folder


def _import(service: Service, folder: Path) -> None:
    colega = Path(sys.executable).parent / "colega"
    done = subprocess.run(
        [str(colega), "import", str(folder)], env=service.environment(), capture_output=True, check=False
    )
    if done.returncode not in {0, 1}:
        raise SystemExit(done.stderr.decode())


def _colega(data: Path, *words: str, **settings: str) -> dict[str, Any]:
    """What a command says with ``--json``, and the seconds that it took, start of Python and servers included."""
    colega = Path(sys.executable).parent / "colega"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(data),
        "LC_ALL": "C.UTF-8",
        "COLEGA_DATA": str(data),
        **settings,
    }
    started = time.monotonic()
    done = subprocess.run([str(colega), *words, "--json"], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"colega {' '.join(words)}: {done.stderr or done.stdout}")
    return {**json.loads(done.stdout), "wall_s": time.monotonic() - started}


def _answers(service: Service, probes: Sequence[Path]) -> Answers:
    """Of every probe, who was found, the nearest first, and how similar they are."""
    with service.client() as client, ThreadPoolExecutor(CLIENTS) as threads:

        def ask(photo: Path) -> list[tuple[str, float]]:
            with photo.open("rb") as file:
                answer = client.post("/v1/search", params={"k": 5}, files={"photo": file})
            answer.raise_for_status()
            faces = sorted(answer.json()["faces"], key=lambda face: (face["box"]["x"], face["box"]["y"]))
            return [(match["person"]["id"], match["similarity"]) for face in faces for match in face["matches"]]

        return list(threads.map(ask, probes))


def _made(case: str, place: Path, told: Mapping[str, Any]) -> list[Row]:
    size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    return [
        Row(case, "seconds", told["wall_s"]),
        Row(case, "objects", told["count"]),
        Row(case, "new", told["new"]),
        Row(case, "new MB", told["new_bytes"] / 1e6),
        Row(case, "MB of the place", size / 1e6),
    ]


def _verified(data: Path, place: Path) -> list[Row]:
    told = _colega(data, "backup", "verify", str(place))
    return [Row("verify", "seconds", told["wall_s"]), Row("verify", "objects", told["objects"])]


@dataclass(frozen=True, slots=True)
class _Compared:
    same: int
    off: float


def _compared(before: Answers, after: Answers) -> _Compared:
    same, off = 0, 0.0
    for one, other in zip(before, after, strict=True):
        alike = [person for person, _ in one] == [person for person, _ in other]
        same += alike
        if alike:
            off = max([off, *(abs(a - b) for (_, a), (_, b) in zip(one, other, strict=True))])
    return _Compared(same, off)


def _recovered(case: str, service: Service, command: list[str], before: Answers, probes: Sequence[Path]) -> list[Row]:
    told = _colega(service.data, *command, **service.settings) if command else {"wall_s": 0.0}
    with service:
        compared = _compared(before, _answers(service, probes))
    rows = [
        Row(case, "restore, s", told["wall_s"]),
        Row(case, "start, s", service.ready_s),
        Row(case, "recovery, s", told["wall_s"] + service.ready_s),
        Row(case, "probes", len(probes)),
        Row(case, "same", compared.same),
        Row(case, "off", compared.off),
    ]
    for row in rows[2:]:
        print(f"{row.case}: {row.metric} {row.value}")
    return rows


@contextmanager
def _other_backends() -> Iterator[dict[str, str]]:
    """A PostgreSQL, and a store in another place, by the settings that name them."""
    with Stack() as stack:
        photos = {name: value for name, value in stack.photo_settings().items() if name.startswith("COLEGA_PHOTOS_")}
        yield {**photos, "COLEGA_CATALOG_URL": stack.postgres().new_database()}


if __name__ == "__main__":
    main()
