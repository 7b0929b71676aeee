"""Before the workers start: the default model is built, shared and active. ``python -m workers.tasks.prepare``."""

import re
import shutil
import sys
import time
from pathlib import Path

from services import installation
from services.catalog import models
from services.catalog.engine import Catalog
from services.errors import ColegaError
from services.logs import configure, last_words, logger
from services.photos import keys
from services.photos.store import PhotoStore
from services.settings.service import CatalogSettings, Environment, Home, PhotoStoreSettings
from workers.models import casia_webface
from workers.models.bundle import DESCRIPTION
from workers.models.registry import share

NAME = "casia-webface"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LEFT_S = 3600.0
"""A folder that is fetched or tried into for longer belongs to a process that is gone."""


def prepare(catalog: Catalog, store: PhotoStore, folder: Path) -> str:
    """See that the default embedder is in *folder*, in the photo store and in the catalog, and active if none is.

    Returns:
        Its digest.
    """
    bundle = casia_webface.build(folder / NAME)
    recipe = bundle.description["provenance"]["recipe"]
    with catalog.reading() as session:
        known = next((model.details for model in models.all_of(session) if model.digest == bundle.digest), {})
    shared = store.exists(keys.model_file(bundle.digest, DESCRIPTION))
    current = shared and known.get("provenance", {}).get("recipe") == recipe  # Its int8 may have been made anew since.
    if not current:
        share(bundle, store)
    _tidy(folder, catalog)
    with catalog.transaction() as session:
        model = models.register_embedder(session, bundle.description)
        if not current:
            models.describe(session, model, bundle.description)  # The same model with a newer table of thresholds.
        model.licence = bundle.licence
        active = models.active(session, models.EMBEDDER)
        if active is None or active.id == model.id:
            # Whoever installs the extra that brings the weights has chosen them; `models list` shows their terms.
            models.accept_licence(session, model, by="installation")
        if active is None:
            models.activate(session, model)
    return bundle.digest


def _tidy(folder: Path, catalog: Catalog) -> None:
    """Remove copies of models that were pruned, and what processes left that were killed while they fetched or tried one."""
    with catalog.reading() as session:
        known = {model.digest for model in models.all_of(session)}
    for path in folder.iterdir():
        left = path.name.startswith((".checking-", ".fetching-")) and time.time() - path.stat().st_mtime > _LEFT_S
        if left or (_DIGEST.fullmatch(path.name) and path.name not in known):
            shutil.rmtree(path, ignore_errors=True)


def main() -> None:
    """The command of the one-off process."""
    try:
        environment = Environment.of_process()
    except ColegaError as error:
        sys.exit(str(error))
    home = environment.load(Home)
    configure(home)
    try:
        installation.check()
        catalog = Catalog(environment.load(CatalogSettings).catalog_url.get_secret_value())
        store = PhotoStore.of(environment.load(PhotoStoreSettings))
        logger().info("model.prepared", model=prepare(catalog, store, environment.load(Home).data / "models"))
    except ColegaError as error:
        sys.exit(last_words(home, error))


if __name__ == "__main__":
    main()
