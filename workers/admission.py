"""Admission: a model file that somebody brought is tried before anything uses it."""

from services.catalog import models
from services.catalog.engine import Catalog
from services.errors import ColegaError, Unavailable
from services.logs import logger
from services.photos import keys
from services.photos.store import PhotoStore
from workers.models import detectors
from workers.models.registry import DETECTOR_FILE


def admit(model_id: int, catalog: Catalog, store: PhotoStore) -> bool:
    """Compute with the file of a detector once; make it the detector of new collections, or say why not.

    Raises:
        Unavailable: Catalog or photo store are away; the model stays ``checking`` and may be added again.
    """
    with catalog.reading() as session:
        model = models.by_id(session, model_id)
    refused: str | None = None
    try:
        detectors.yunet(store.get(keys.model_file(model.digest, DETECTOR_FILE)))
    except Unavailable:
        raise
    except ColegaError as error:
        refused = str(error)
    with catalog.transaction() as session:
        model = models.by_id(session, model_id)
        models.set_state(session, model, "candidate" if refused is None else "refused", error=refused)
        if refused is None:
            models.activate(session, model)
    logger().info("model.checked", model=model.public_id, kind=model.kind, admitted=refused is None)
    return refused is None
