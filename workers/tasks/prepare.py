"""Before the workers start: the default model is built, shared and active. ``python -m workers.tasks.prepare``."""

import sys
from pathlib import Path

from services.catalog import models
from services.catalog.engine import Catalog
from services.errors import ColegaError
from services.photos.store import PhotoStore
from services.settings import CatalogSettings, Environment, Home, PhotoStoreSettings
from workers.models import casia_webface
from workers.models.registry import share

NAME = "casia-webface"


def prepare(catalog: Catalog, store: PhotoStore, folder: Path) -> str:
    """See that the default embedder is in *folder*, in the photo store and in the catalog, and active if none is.

    Returns:
        Its digest.
    """
    bundle = casia_webface.build(folder / NAME)
    share(bundle, store)
    with catalog.transaction() as session:
        model = models.register(
            session,
            kind=models.EMBEDDER,
            name=bundle.name,
            digest=bundle.digest,
            state="candidate",
            dimension=bundle.dimension,
            licence=bundle.licence,
            details=dict(bundle.description),
        )
        if model.details != dict(bundle.description):
            model.details = dict(bundle.description)  # The same model with a newer table of thresholds.
        if models.active(session, models.EMBEDDER) is None:
            models.activate(session, model)
    return bundle.digest


def main() -> None:
    """The command of the one-off process."""
    try:
        environment = Environment.of_process()
        catalog = Catalog(environment.load(CatalogSettings).catalog_url.get_secret_value())
        store = PhotoStore.of(environment.load(PhotoStoreSettings))
        sys.stdout.write(f"model {prepare(catalog, store, environment.load(Home).data / 'models')}\n")
    except ColegaError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
