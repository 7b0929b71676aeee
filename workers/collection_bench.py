"""The workbench of a worker: a collection's faces and models, from catalog, photo store and registry."""

import mimetypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.catalog import calibrations, generations, models
from services.catalog.engine import Catalog
from services.catalog.schema import Collection, Generation, Model
from services.errors import InvalidRequest, NotFound
from services.photos import keys
from services.photos.store import OCTETS
from services.settings.backup import BackupSettings
from services.vault import Vault
from workers import collected, enrolled, shadowed
from workers.evaluation.shadow import Shadow
from workers.faces.detect import Detector
from workers.galleries import Gallery
from workers.models.bundle import Bundle
from workers.models.registry import Registry, share
from workers.shadowed import Queries
from workers.workbench import Enrolled


@dataclass
class CollectionBench:
    """See :class:`workers.workbench.Workbench`."""

    catalog: Catalog
    store: Vault
    models: Registry
    collection: Collection
    """Its row as it was when the computation began, not attached."""
    job_id: str
    """What files of the result are kept under."""
    folder: Path
    max_pixels: int
    telling: Callable[[Mapping[str, Any]], None]
    """Takes what :meth:`tell` is told, and raises Cancelled."""
    queries: Queries = shadowed.no_queries
    backups: BackupSettings = field(default_factory=BackupSettings)
    """Where backups go."""
    kept: dict[str, str] = field(default_factory=dict)
    """Object keys of the files that were kept, by name."""

    def bundle(self, model: str | None) -> Bundle:
        """By name or id; None is the model that the collection is searched with."""
        found = self._model(model)
        bundle, head = self.models.bundle(found.digest), models.head_of(found)
        if head is not None:  # Attached to the model since the bundle was written.
            bundle.description = {**bundle.description, "head": dict(head)}
        return bundle

    def detector(self) -> Detector:
        """The collection's."""
        with self.catalog.reading() as session:
            number = self.collection.detector_id
            digest = None if number is None else models.by_id(session, number).digest
        return self.models.detector(digest)

    def gallery(self) -> Gallery:
        """What the collection has enrolled."""
        return collected.of_collection(self.catalog, self.store, self.collection.id, told=self._fetched)

    def tell(self, progress: Mapping[str, Any]) -> None:
        """To whoever watches the job."""
        self.telling(progress)

    def keep(self, name: str, path: Path) -> None:
        """In the photo store."""
        key = keys.report(self.job_id, name)
        self.store.put(key, path, content_type=mimetypes.guess_type(name)[0] or OCTETS)
        self.kept[name] = key

    def register(self, bundle: Bundle) -> str:
        """In store and catalog. A model that is there keeps its state and takes over what is new in the description.

        The catalog's name is what a model is called by: a second one of that name gets a number behind it.
        """
        share(bundle, self.store.objects)
        with self.catalog.transaction() as session:
            name = models.free_name(session, bundle.name, bundle.digest)
            model = models.register_embedder(session, bundle.description, name=name)
            models.describe(session, model, bundle.description)
            return model.public_id

    def enrolled(self, bundle: Bundle) -> Enrolled:
        """The collection's vectors under that model."""
        return enrolled.vectors_of(self.catalog, self.collection.id, self._generation(bundle).id)

    def calibrated(self, enrolled: Enrolled, calibration: Mapping[str, Any]) -> None:
        """In the catalog, at once: searches use it from now on."""
        with self.catalog.transaction() as session:
            calibrations.keep(
                session,
                generations.by_id(session, enrolled.generation),
                sequence=enrolled.sequence,
                people=calibration["people"],
                faces=calibration["faces"],
                curves=calibration,
            )

    def shadow(self, before: int, after: int, *, rebuild: str | None, seed: int) -> Shadow:
        """From the catalog, with chips from the photo store and queries from the broker."""
        return shadowed.of_generations(
            self.catalog,
            self.store,
            self.collection.id,
            (before, after),
            queries=self.queries,
            rebuild=rebuild,
            seed=seed,
        )

    def _model(self, name: str | None) -> Model:
        with self.catalog.reading() as session:
            if name is not None:
                found: Model | None = models.by_public_id(session, name)
            elif self.collection.model_id is not None:
                found = models.by_id(session, self.collection.model_id)
            else:
                found = models.active(session, models.EMBEDDER)
        if found is None:
            raise NotFound("model of collection", self.collection.name)
        models.require_tried(found)
        return found

    def _generation(self, bundle: Bundle) -> Generation:
        """The collection's generation that has its vectors under that model: the active one, or the newest live one.

        Raises:
            InvalidRequest: There is none.
        """
        with self.catalog.reading() as session:
            active = session.get_one(Collection, self.collection.id).generation_id
            live = generations.live_of(session, self.collection.id)
            number = models.by_digest(session, bundle.digest).id
        mine = [generation for generation in live if generation.model_id == number]
        if not mine:
            raise InvalidRequest(
                f"The collection has no vectors under the model {bundle.name}. Rebuild it to that model first."
            )
        return max(mine, key=lambda each: (each.id == active, each.id))

    def _fetched(self, done: int, total: int) -> None:
        self.tell({"stage": "faces", "done": done, "total": total})
