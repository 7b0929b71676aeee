"""The registry: any model by its digest, from this machine's folder or from the photo store."""

import contextlib
import os
import tempfile
import threading
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from services.catalog import models
from services.catalog.engine import Catalog
from services.errors import CannotStart, InvalidModel
from services.photos import keys
from services.photos.store import PhotoStore
from services.settings import service as settings
from workers.faces.batches import BatchPipeline
from workers.faces.detect import Detector, ManyDetector
from workers.faces.embed import Embedder
from workers.faces.pipeline import FacePipeline
from workers.models import detectors, runtimes
from workers.models.bundle import DESCRIPTION, ON_PROCESSORS, Bundle
from workers.models.runtimes import Computing

DETECTOR_FILE = "detector.onnx"
_SLASH = "~"  # An object's name has no folders below its model.


def computing_by(given: settings.Computing) -> Computing:
    """What *given* says of how models are computed."""
    return Computing(given.variant, given.device, given.runtime, given.device_memory_mb)


class Registry:
    """Models as one process uses them: each opened once, when it is first asked for. Any thread may ask."""

    def __init__(
        self,
        catalog: Catalog,
        store: PhotoStore,
        folder: Path,
        *,
        computing: Computing = ON_PROCESSORS,
        max_pixels: int,
    ) -> None:
        self._catalog, self._store, self._folder = catalog, store, folder
        self._computing, self._max_pixels = computing, max_pixels
        self._threads: ThreadPoolExecutor | None = None
        self._embedders: dict[str, Embedder] = {}
        self._preferred: dict[str, str] = {}
        self._detectors: dict[str | None, Detector] = {}
        self._opening = threading.Lock()

    def pipeline(self, model: str, detector: str | None) -> FacePipeline:
        """The face pipeline with the embedder of digest *model* and the detector of digest *detector* (None: MTCNN).

        Raises:
            InvalidModel, PhotoStoreUnavailable, MissingObject: A model cannot be had.
        """
        embedder, found = self.embedder(model), self.detector(detector)
        if isinstance(found, ManyDetector):
            return BatchPipeline(found, embedder, max_pixels=self._max_pixels, threads=self._pool())
        return FacePipeline(found, embedder, max_pixels=self._max_pixels)

    def embedder(self, digest: str) -> Embedder:
        """The embedder of that content, in the variant that its self-check chose here."""
        opened = self._embedders.get(digest)
        if opened is None:
            with self._opening:
                opened = self._embedders.get(digest)
                if opened is None:
                    bundle = self.bundle(digest)
                    opened = bundle.embedder(computing=self._computing)
                    self._preferred[digest] = bundle.preferred(self._computing)
                self._embedders[digest] = opened
        return opened

    def detector(self, digest: str | None) -> Detector:
        """The detector of that content; None is MTCNN."""
        opened = self._detectors.get(digest)
        if opened is None:
            with self._opening:
                opened = self._detectors.get(digest) or self._opened(digest)
                self._detectors[digest] = opened
        return opened

    def is_open(self, model: str, detector: str | None) -> bool:
        """Whether both are open here, so that asking for them takes no time."""
        return model in self._embedders and detector in self._detectors

    def keep_only(self, models: AbstractSet[str], detectors: AbstractSet[str | None]) -> list[str]:
        """Close what is not among these digests, for the memory it takes; who works with it now ends first.

        Returns:
            The digests of the embedders that were closed.
        """
        closed = [digest for digest in list(self._embedders) if digest not in models]
        for digest in closed:
            self._embedders.pop(digest, None)
        for file in list(self._detectors):
            if file not in detectors:
                self._detectors.pop(file, None)
        return closed

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

    @property
    def on_gpu(self) -> bool:
        """Whether anything that is open here computes on a GPU."""
        return self._threads is not None or any(e.device == "cuda" for e in list(self._embedders.values()))

    def described(self) -> dict[str, object]:
        """What ``status`` shows of the models that are open here."""
        opened = [
            {
                "model": e.digest,
                "variant": e.variant,
                "preferred": self._preferred.get(e.digest, e.variant),
                "agreement": e.agreement,
                "runtime": e.runtime,
                "device": e.device,
            }
            for e in list(self._embedders.values())
        ]
        detectors = dict(self._detectors)
        return {
            "embedders": opened,
            "detectors": [detector.rule for detector in detectors.values()],
            "detector_files": list(detectors),
        }

    def _opened(self, digest: str | None) -> Detector:
        if digest is not None:
            return detectors.yunet(self._store.get(keys.model_file(digest, DETECTOR_FILE)))
        if runtimes.gpu_is_wanted(self._computing) and runtimes.torch_has_cuda():
            return detectors.mtcnn_on_gpu(self._pool().map)
        return detectors.mtcnn()

    def _pool(self) -> ThreadPoolExecutor:
        """Threads for what is done photo by photo beside a GPU: one for each core."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
        return self._threads

    def bundle(self, digest: str) -> Bundle:
        """The bundle of that content, fetched from the photo store where this machine has none, or one with other variants.

        Raises:
            InvalidModel, PhotoStoreUnavailable: It cannot be had, or is damaged.
        """
        local = self._local(digest)
        if local is None:
            return self._fetched(digest)
        opened = Bundle.open(local)
        with self._catalog.reading() as session:
            wanted = models.files_of(session, digest)
        return opened if wanted is None or wanted == opened.files else self._fetched(digest)

    def _local(self, digest: str) -> Path | None:
        """Where this machine keeps that content; that which came from the photo store goes before."""
        held = [
            description.parent
            for description in self._folder.glob(f"*/{DESCRIPTION}")
            if f'"digest": "{digest}"' in description.read_text("utf-8")
        ]
        return max(held, key=lambda folder: folder.name == digest, default=None)

    def _fetched(self, digest: str) -> Bundle:
        self._folder.mkdir(parents=True, exist_ok=True)
        prefix = keys.model_file(digest, "x")[:-1]
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=self._folder) as temporary:
            scratch = Path(temporary) / digest
            scratch.mkdir()
            for stored in self._store.list(prefix):
                path = scratch / stored.key.removeprefix(prefix).replace(_SLASH, "/")
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    file.writelines(self._store.stream(stored.key))
            fetched = Bundle.open(scratch)
            if fetched.digest != digest:
                raise InvalidModel(f"What the photo store has as model {digest} is model {fetched.digest}.")
            with contextlib.suppress(OSError):  # Another process was quicker.
                if (self._folder / digest).exists():
                    (self._folder / digest).rename(Path(temporary) / "old")
                scratch.rename(self._folder / digest)
        return Bundle.open(self._folder / digest)


def share(bundle: Bundle, store: PhotoStore) -> None:
    """Put *bundle* into the photo store, for other machines; ``model.json`` last, so that what lists it is whole.

    What is there and not part of the bundle, such as the files of a variant that is no more, goes afterwards.
    """
    described = keys.model_file(bundle.digest, DESCRIPTION)
    content = (bundle.directory / DESCRIPTION).read_bytes()
    if store.exists(described) and store.get(described) == content:
        return
    mine = {keys.model_file(bundle.digest, name.replace("/", _SLASH)): bundle.directory / name for name in bundle.files}
    for key, path in sorted(mine.items()):
        store.put(key, path)
    store.put(described, content)
    there = {stored.key for stored in store.list(keys.model_file(bundle.digest, "x")[:-1])}
    store.delete_many(sorted(there - mine.keys() - {described}))
