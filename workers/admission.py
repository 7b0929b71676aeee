"""Admission: a model that somebody brought is made a bundle and tried before anything uses it."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services import licences
from services.catalog import models
from services.catalog.engine import Catalog
from services.catalog.erasing import removals
from services.catalog.schema import Model
from services.errors import ColegaError, Conflict, InvalidModel, Unavailable
from services.logs import logger
from services.photos import keys
from services.photos.store import PhotoStore
from workers.models import detectors, sources
from workers.models.bundle import Bundle
from workers.models.registry import DETECTOR_FILE, share
from workers.models.sources import Brought

UPLOAD = "upload"
"""What an embedder's file is called in the photo store, below its upload's digest, until it is a bundle."""

KNOWN_DETECTORS = {"ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0": "MIT"}
"""Licences of detector files by their SHA-256, where nobody stated one: ``yunet_2026may.onnx`` of OpenCV's model zoo."""


def admit(model_id: int, catalog: Catalog, store: PhotoStore, folder: Path) -> bool:
    """Make a candidate of what was uploaded, or say why not.

    A detector whose licence is plainly permissive is at once what new collections use.

    Args:
        model_id: Of a model in the state ``checking``.
        catalog: Where it is noted.
        store: Where its file is, and its bundle goes.
        folder: Where this machine keeps bundles.

    Raises:
        Unavailable: Catalog or photo store are away, or a disk is full; the model stays ``checking`` and may be added again.
    """
    with catalog.reading() as session:
        model = models.by_id(session, model_id)
    if model.state != "checking":
        return model.state != "refused"
    refused: str | None = None
    try:
        if model.kind == models.DETECTOR:
            _detector(model, catalog, store)
        else:
            _embedder(model, catalog, store, folder)
    except Unavailable:
        raise
    except ColegaError as error:
        refused = str(error)
    except MemoryError:
        refused = "The model needs more memory than a worker may take (COLEGA_WORKER_MEMORY_MB)."
    except Exception:  # noqa: BLE001 - Whatever a file provokes must not leave it unchecked for ever.
        logger().exception("model.check_broke", model=model.public_id)
        refused = "Something went wrong inside colega while the model was tried. The log of the worker says what."
    if refused is not None:
        with catalog.transaction() as session:
            row = models.by_id(session, model_id)
            if row.state == "checking":  # Else another worker was asked too, and was quicker.
                models.set_state(session, row, "refused", error=refused)
    logger().info("model.checked", model=model.public_id, kind=model.kind, admitted=refused is None)
    return refused is None


def _detector(model: Model, catalog: Catalog, store: PhotoStore) -> None:
    detectors.yunet(store.get(keys.model_file(model.digest, DETECTOR_FILE)))
    with catalog.transaction() as session:
        row = models.by_id(session, model.id)
        row.licence = row.licence or KNOWN_DETECTORS.get(row.digest, "")
        models.set_state(session, row, "candidate")
        if licences.is_permissive(row.licence):
            models.activate(session, row)


def _embedder(model: Model, catalog: Catalog, store: PhotoStore, folder: Path) -> None:
    upload: Mapping[str, Any] = (model.notes or {})["upload"]
    key = keys.model_file(model.digest, UPLOAD)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".checking-", dir=folder) as temporary:
        file = Path(temporary) / UPLOAD
        with file.open("wb") as written:
            written.writelines(store.stream(key))
        brought = Brought(
            file,
            model.name,
            upload["file"],
            licence=model.licence or None,
            describe=upload.get("describe"),
            published=upload.get("published"),
            provenance={"file": upload["file"], "sha256": upload["sha256"], **upload.get("provenance", {})},
        )
        bundle = _bundle_of(brought, Path(temporary) / "bundle")
        with catalog.reading() as session:
            there = next((one for one in models.all_of(session) if one.digest == bundle.digest), None)
        if there is not None:  # Told before anything of that model is written over.
            raise Conflict(f"It is the model {there.name} ({there.public_id}, {there.state}), which is there already.")
        share(bundle, store)
        with catalog.transaction() as session:
            models.admit(
                session,
                models.by_id(session, model.id),
                digest=bundle.digest,
                dimension=bundle.dimension,
                licence=bundle.licence,
                details=bundle.description,
            )
            removals.note(session, key)
        shutil.rmtree(folder / bundle.digest, ignore_errors=True)
        bundle.directory.rename(folder / bundle.digest)


def _bundle_of(brought: Brought, directory: Path) -> Bundle:
    try:
        return sources.bundle_of(brought, directory)
    except InvalidModel as error:
        try:
            detectors.yunet_file(brought.path)
        except InvalidModel:
            raise error from None
        raise InvalidModel(f"{brought.file_name} is a YuNet detector. Add it with the kind detector.") from None
