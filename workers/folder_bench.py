"""The workbench of ``--local``: labelled photos, models and results in folders, and no service."""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.errors import DiskFull, InvalidRequest, NotFound
from workers import labelled
from workers.evaluation.shadow import Shadow
from workers.faces.detect import Detector
from workers.galleries import Gallery
from workers.models import casia_webface, detectors
from workers.models.bundle import DESCRIPTION, Bundle
from workers.workbench import Enrolled

_BUILT_IN = "casia-webface"
_NO_COLLECTION = "Generation {} is of a collection; photos in folders have none. Evaluate both models on them instead."


@dataclass
class FolderBench:
    """See :class:`workers.workbench.Workbench`."""

    models: Path
    """A folder of bundles, in which the built-in model is made when it is asked for."""
    folder: Path
    output: Path
    """Where results go: reports, and the bundles of trainings. Made when there is something to put there."""
    dataset: Path | None
    """Photos in a folder a person."""
    max_pixels: int
    telling: Callable[[Mapping[str, Any]], None]
    kept: dict[str, Path] = field(default_factory=dict)

    def bundle(self, model: str | None) -> Bundle:
        """The bundle in that folder, or of that name or digest among the models here; None is the built-in one."""
        if model is None or model == _BUILT_IN:
            return casia_webface.build(self.models / _BUILT_IN)
        if (Path(model) / DESCRIPTION).is_file():
            return Bundle.open(Path(model))
        if "/" not in model and (self.models / model / DESCRIPTION).is_file():
            return Bundle.open(self.models / model)
        for description in sorted(self.models.glob(f"*/{DESCRIPTION}")):
            if model in _called(description):
                return Bundle.open(description.parent)
        raise NotFound("model or folder of a bundle", f"{model} (looked in {self.models})")

    def detector(self) -> Detector:
        """The built-in one."""
        return detectors.mtcnn()

    def gallery(self) -> Gallery:
        """The photos of ``dataset``."""
        if self.dataset is None:
            raise InvalidRequest("Say whose faces: --dataset DIR, a folder with a folder for each person.")
        return labelled.of_directory(self.dataset, self.detector(), max_pixels=self.max_pixels, told=self._looked)

    def tell(self, progress: Mapping[str, Any]) -> None:
        """To whoever started it."""
        self.telling(progress)

    def keep(self, name: str, path: Path) -> None:
        """Among the results."""
        with _room_in(self.output):
            self.output.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, self.output / name)
        self.kept[name] = self.output / name

    def register(self, bundle: Bundle) -> str:
        """Put *bundle* among the results, in a folder called as it is. Returns the folder."""
        place = self.output / bundle.name
        if (place / DESCRIPTION).is_file() and Bundle.open(place).digest != bundle.digest:
            place = place.with_name(f"{bundle.name}-{bundle.digest[:8]}")
        with _room_in(self.output):
            self.output.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".registering-", dir=self.output) as scratch:
                copied = shutil.copytree(bundle.directory, Path(scratch) / "bundle")
                if place.exists():  # The same model, perhaps with a newer description.
                    place.rename(Path(scratch) / "before")
                copied.rename(place)
        return str(place)

    def enrolled(self, bundle: Bundle) -> None:
        """Nobody: these are photos, and no collection."""
        del bundle

    def calibrated(self, enrolled: Enrolled, calibration: Mapping[str, Any]) -> None:
        """Never: a calibration belongs to a collection."""
        raise NotImplementedError(f"{len(enrolled.people)} faces of no collection, {len(calibration)} curves.")

    def shadow(self, before: int, after: int, *, rebuild: str | None, seed: int) -> Shadow:
        """Never: generations are of a collection."""
        del before, rebuild, seed
        raise InvalidRequest(_NO_COLLECTION.format(after))

    def _looked(self, done: int, total: int) -> None:
        self.tell({"stage": "photos", "done": done, "total": total})


def _called(description: Path) -> set[str]:
    """Name and digest that a ``model.json`` says; of one that cannot be read nothing."""
    try:
        told = json.loads(description.read_text("utf-8"))
        return {str(told["name"]), str(told["digest"])}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


@contextlib.contextmanager
def _room_in(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DiskFull(
            f"{folder} cannot be written: {error.strerror or error}. Free some space, or say --output DIR."
        ) from error
