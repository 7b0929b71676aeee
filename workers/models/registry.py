"""The registry: any model by its digest, from this machine's folder or from the photo store."""

import contextlib
import tempfile
from pathlib import Path
from typing import Literal

from services.catalog import models
from services.catalog.engine import Catalog
from services.errors import CannotStart, InvalidModel
from services.photos import keys
from services.photos.store import PhotoStore
from workers.faces.detect import Detector
from workers.faces.embed import Embedder
from workers.faces.pipeline import FacePipeline
from workers.models import detectors
from workers.models.bundle import DESCRIPTION, Bundle

DETECTOR_FILE = "detector.onnx"
_SLASH = "~"  # An object's name has no folders below its model.


class Registry:
    """Models as one process uses them: each opened once, when it is first asked for."""

    def __init__(
        self,
        catalog: Catalog,
        store: PhotoStore,
        folder: Path,
        *,
        variant: Literal["auto", "fp32", "int8"],
        max_pixels: int,
    ) -> None:
        self._catalog, self._store, self._folder = catalog, store, folder
        self._variant, self._max_pixels = variant, max_pixels
        self._embedders: dict[str, Embedder] = {}
        self._detectors: dict[str | None, Detector] = {}

    def pipeline(self, model: str, detector: str | None) -> FacePipeline:
        """The face pipeline with the embedder of digest *model* and the detector of digest *detector* (None: MTCNN).

        Raises:
            InvalidModel, PhotoStoreUnavailable, MissingObject: A model cannot be had.
        """
        return FacePipeline(self.detector(detector), self.embedder(model), max_pixels=self._max_pixels)

    def embedder(self, digest: str) -> Embedder:
        """The embedder of that content, in the variant that its self-check chose here."""
        if digest not in self._embedders:
            self._embedders[digest] = self.bundle(digest).embedder(self._variant)
        return self._embedders[digest]

    def detector(self, digest: str | None) -> Detector:
        """The detector of that content; None is MTCNN."""
        if digest not in self._detectors:
            if digest is None:
                self._detectors[digest] = detectors.mtcnn()
            else:
                self._detectors[digest] = detectors.yunet(self._store.get(keys.model_file(digest, DETECTOR_FILE)))
        return self._detectors[digest]

    def active(self) -> str:
        """Digest of the embedder that new collections use.

        Raises:
            CannotStart: There is none yet.
        """
        with self._catalog.reading() as session:
            model = models.active(session, models.EMBEDDER)
        if model is None:
            raise CannotStart("No model is active yet. Run: python -m workers.tasks.prepare")
        return model.digest

    def described(self) -> dict[str, object]:
        """What ``status`` shows of the models that are open here."""
        opened = [{"model": e.digest, "variant": e.variant, "agreement": e.agreement} for e in self._embedders.values()]
        return {"embedders": opened, "detectors": [d.rule for d in self._detectors.values()]}

    def bundle(self, digest: str) -> Bundle:
        """The bundle of that content, fetched from the photo store where this machine does not have it."""
        for description in self._folder.glob(f"*/{DESCRIPTION}"):
            if f'"digest": "{digest}"' in description.read_text("utf-8"):
                return Bundle.open(description.parent)
        return self._fetched(digest)

    def _fetched(self, digest: str) -> Bundle:
        self._folder.mkdir(parents=True, exist_ok=True)
        prefix = keys.model_file(digest, "x")[:-1]
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=self._folder) as temporary:
            scratch = Path(temporary) / digest
            for stored in self._store.list(prefix):
                path = scratch / stored.key.removeprefix(prefix).replace(_SLASH, "/")
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    file.writelines(self._store.stream(stored.key))
            fetched = Bundle.open(scratch)
            if fetched.digest == digest:
                with contextlib.suppress(OSError):  # Another process was quicker.
                    scratch.rename(self._folder / digest)
                return Bundle.open(self._folder / digest)
        raise InvalidModel(f"What the photo store has as model {digest} is model {fetched.digest}.")


def share(bundle: Bundle, store: PhotoStore) -> None:
    """Put *bundle* into the photo store, for other machines; ``model.json`` last, so that what lists it is whole."""
    described = keys.model_file(bundle.digest, DESCRIPTION)
    files = sorted(p for p in bundle.directory.rglob("*") if p.is_file() and p.name != DESCRIPTION)
    content = (bundle.directory / DESCRIPTION).read_bytes()
    if store.exists(described) and store.get(described) == content:
        return
    for path in files:
        name = str(path.relative_to(bundle.directory)).replace("/", _SLASH)
        store.put(keys.model_file(bundle.digest, name), path)
    store.put(described, content)
