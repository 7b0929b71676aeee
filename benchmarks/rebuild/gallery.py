"""A gallery to rebuild: ``lfw_dev`` imported under casia-webface and MTCNN, once; every part works on a copy of its own."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import datasets
from benchmarks.machine import Row
from benchmarks.rebuild import models
from benchmarks.rebuild.asked import Asked
from benchmarks.rebuild.service import Rebuilding

NEW = "vggface2"
_PEOPLE_QUICKLY = 30


@contextmanager
def served(asked: Asked, name: str, *, workers: int | None = None) -> Iterator[Rebuilding]:
    """A service over a copy of the gallery; the copy is removed when the block ends well."""
    made = _made(asked)
    copy = asked.folder / name
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(made, copy)
    with Rebuilding(copy, () if workers is None else ("--workers", str(workers))) as service:
        yield service
    shutil.rmtree(copy, ignore_errors=True)


def photos(asked: Asked) -> Path:
    """The photos of the gallery, a folder a person."""
    if not asked.quick:
        return datasets.DATA / "lfw_dev"
    folder = asked.folder / "photos-quick"
    if not folder.exists():
        for path in datasets.lfw(photos_of=_PEOPLE_QUICKLY).photos:
            target = folder / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    return folder


def imported(asked: Asked) -> Sequence[Row]:
    """What is in the gallery."""
    told = json.loads((_made(asked) / "bench.json").read_text("utf-8"))
    return [Row("the gallery", metric, value) for metric, value in told.items()]


def _made(asked: Asked) -> Path:
    folder = asked.folder / ("gallery-quick" if asked.quick else "gallery")
    if (folder / "bench.json").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with Rebuilding(folder) as service:
        summary = service.colega("import", str(photos(asked)))
        service.colega("models", "add", str(models.VGGFACE2), "--name", NEW, "--licence", "MIT")
        if not asked.quick:
            service.colega("calibrate")
        rows = service.catalog()
        told = {
            "photos": sum(summary[state] for state in ("done", "duplicate", "rejected")),
            "people": rows.count("people"),
            "faces with a chip": rows.count("faces", "chip_key IS NOT NULL"),
        }
    (folder / "bench.json").write_text(json.dumps(told), "utf-8")
    return folder
