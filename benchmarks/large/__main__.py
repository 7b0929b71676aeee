"""A company of 100,000 people with 500,000 faces: 2,000 real photos on top, searches, pages of people, erasures, a rebuild's plan.

Rows, objects and vectors of the 100,000 are written by a generator (``benchmarks.large.generated``), as an import would have left
them; everything that is measured is asked of a real service over HTTP and by the command line. What was generated into
``--folder`` stays as it is: a copy of it is measured, and removed.
"""

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.large import asked, changed, generated
from benchmarks.large.asked import Measured
from benchmarks.machine import describe, finish, parser
from benchmarks.rebuild import models
from benchmarks.rebuild.service import Rebuilding

_PEOPLE, _REAL = 100_000, 2000
_SEARCHES, _PAGES, _ERASED, _ERASED_AT_ONCE, _STARTS = 300, 100, 20, 4, 3
_SIZE = "size and start"
_WRITTEN = "generated.json"
"""Beside what was generated, when it is complete: how much of what, and how long it took."""


def main() -> None:
    """Fill a gallery, use it, and print one table. Ends with 1 where something is not as it has to be."""
    made = parser(__doc__)
    made.add_argument("--people", type=int, default=_PEOPLE, help="how many are generated, with five faces each")
    made.add_argument(
        "--folder", type=Path, help="generate into this folder and keep it; one that is complete is used again"
    )
    given = made.parse_args()
    machine = describe()
    scratch = given.folder or Path(tempfile.mkdtemp(prefix="colega-large-"))
    filled, used = scratch / "generated", scratch / "measured"
    try:
        shutil.rmtree(used, ignore_errors=True)
        document = _filled(filled, 500 if given.quick else given.people)
        shutil.copytree(filled, used, ignore=lambda at, _: ["index"] if Path(at) == filled else [])
        measured = _measured(used, given, document)
        shutil.rmtree(used)  # Not where it failed: its logs say why.
    finally:
        if given.folder is None:
            shutil.rmtree(scratch, ignore_errors=True)
    faces = int(document["people"]) * generated.FACES_EACH
    notes = [
        f"{document['people']:,.0f} people with {faces:,} faces, photos and chips of {generated.OBJECT_BYTES:,} bytes",
        "resident memory counts what processes share once for each of them",
        *(f"WRONG: {sentence}" for sentence in measured.wrong),
    ]
    finish(measured.rows, given.json, machine=machine, notes=notes, parts=measured.parts())
    if measured.wrong:
        raise SystemExit(1)


def _filled(folder: Path, people: int) -> dict[str, float]:
    """A folder as an import of that many would have left it; what was generated, and in how many seconds."""
    written = folder / _WRITTEN
    if written.exists():
        document: dict[str, float] = json.loads(written.read_text("utf-8"))
        if document["people"] != people:
            raise SystemExit(f"{folder} has {document['people']:,} people and not {people:,}; give another folder.")
        return document
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with Rebuilding(folder) as service:
        service.colega("models", "add", str(models.VGGFACE2), "--name", "vggface2", "--licence", "MIT")
        began = time.perf_counter()
        counted = generated.fill(service, people, generated.FACES_EACH)
        took_s = time.perf_counter() - began
    document = {"people": counted.people, "faces": counted.faces, "objects": counted.objects, "s": took_s}
    written.write_text(json.dumps(document), "utf-8")
    return document


def _measured(folder: Path, given: argparse.Namespace, document: dict[str, float]) -> Measured:
    measured, quick = Measured(), given.quick
    for what in ("people", "faces", "objects", "s"):
        measured.add("generated", what, document[what])
    photos = asked.real(*((40, 20) if quick else (_REAL, _SEARCHES)))
    measured.part = _SIZE
    _disk(measured, folder, "before")
    with Rebuilding(folder) as service:
        ready_s, answered_s = asked.started(service, photos.others[0])
        measured.add("first start, replicas made of the catalog", "s until ready", ready_s)
        measured.add("first start, replicas made of the catalog", "s until a search is answered", answered_s)
        _memory(measured, service, "memory, nothing asked yet")
        measured.part = "import and search"
        changed.imported(measured, service, folder / "real", photos.imported)
        asked.searched(measured, service, photos)
        measured.part = "people"
        asked.looked_at(measured, service, 5 if quick else _PAGES)
        _started_again(measured, service, photos, 1 if quick else _STARTS)
        measured.part = "erase"
        changed.erased(
            measured, service, photos, times=2 if quick else _ERASED, at_once=1 if quick else _ERASED_AT_ONCE
        )
        measured.part = "plan"
        for source in ("chips", "raw"):
            changed.planned(measured, service, "vggface2", source)
        measured.part = _SIZE
        _memory(measured, service, "memory, at the end")
        _disk(measured, folder, "at the end")
    return measured


def _started_again(measured: Measured, service: Rebuilding, photos: asked.Real, times: int) -> None:
    """Ended and started, from the command to ready, and to the first search that is answered."""
    took: list[tuple[float, float]] = []
    for _ in range(times):
        service.end()
        service.start()
        took.append(asked.started(service, photos.others[0]))
    measured.part = _SIZE
    measured.times("start again, until ready", [ready_s for ready_s, _ in took], "s")
    measured.times("start again, until a search is answered", [answered_s for _, answered_s in took], "s")


def _memory(measured: Measured, service: Rebuilding, case: str) -> None:
    sizes = {part: sum(each) for part, each in service.resident_mb().items()}
    for part, resident_mb in sorted(sizes.items()):
        measured.add(case, f"{part}, MB", resident_mb)
    measured.add(case, "all, MB", sum(sizes.values()))


def _disk(measured: Measured, folder: Path, when: str) -> None:
    """What each part takes of the disk; a hole in a file takes nothing."""
    for part in ("catalog", "store", "index"):
        taken = sum(path.stat().st_blocks * 512 for path in (folder / part).rglob("*") if path.is_file())
        measured.add(f"disk, {when}", f"{part}, MB", taken / 1e6)


if __name__ == "__main__":
    main()
