"""Backing up and restoring from where one stands: over catalog and photo store, without a gateway or beside one."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from services.backups import making, places, restoring, verifying
from services.backups import manifest as manifests
from services.backups.copying import Source
from services.backups.manifest import Manifest
from services.catalog.engine import Catalog
from services.catalog.erasing.erasures import Entry
from services.errors import Conflict
from services.local import lock, offline, programs
from services.local.instance import Instance
from services.local.programs import Given
from services.photos.store import PhotoStore
from services.photos.wrapping import Wrapping
from services.settings.backup import BackupSettings
from services.settings.sealing import SealingSettings
from services.settings.service import CatalogSettings, Environment, Home, PhotoStoreSettings

Tell = Callable[[Mapping[str, Any]], None]


def back_up(environment: Environment, destination: str, *, keep: int | None, tell: Tell) -> dict[str, Any]:
    """Write a backup from here; the service may run.

    Raises:
        BackupUnavailable, Conflict, DiskFull: The place cannot be written.
        Unavailable: Catalog or photo store do not answer.
    """
    settings = environment.load(BackupSettings)
    place = places.place(destination, settings)
    with _opened(environment) as source:
        kept = settings.backup_keep if keep is None else keep
        told = making.make(source, place, keep=kept, tell=tell)
    return {"backup": told.name, "destination": place.name, "sealed": told.sealed_key is not None, **told.figures}


def listed(environment: Environment, destination: str) -> list[dict[str, Any]]:
    """The backups of a place, oldest first; of one that cannot be read, why.

    Raises:
        BackupDamaged: There are none there.
    """
    place = places.place(destination, environment.load(BackupSettings))
    found = []
    for name in manifests.all_of(place):
        told = Manifest.read(place, name)
        found.append(
            {
                "backup": name,
                "began_at": told.began_at,
                "version": told.version,
                "revision": told.revision,
                "sealed": told.sealed_key is not None,
                "wrapping_keys": told.wrapping_keys,
                "rows": sum(table.rows for table in told.tables.values()),
                "objects": told.objects.rows,
                "objects_bytes": told.objects_bytes,
                "figures": told.figures,
            }
        )
    return found


def verify(environment: Environment, destination: str, *, at: str | None, tell: Tell) -> dict[str, Any]:
    """Read backups back; what is wrong with them.

    Raises:
        BackupDamaged: There are none there.
        WrappingKeyMissing: One of them needs a key that is not here.
    """
    place = places.place(destination, environment.load(BackupSettings))
    given = Wrapping.of(_resolved(environment).load(SealingSettings).wrapping_keys)
    done = verifying.verify(given, place, at=at, tell=tell)
    return {"ok": not done.problems, **asdict(done)}


def restore(
    environment: Environment,
    destination: str,
    *,
    data: Path | None,
    at: str | None,
    only: Literal["catalog", "objects"] | None,
    replace: bool,
    ledger: Path | None,
    tell: Tell,
) -> dict[str, Any]:
    """Put a backup back; see :func:`services.backups.restoring.restore`.

    Args:
        environment: Which catalog and photo store; those of the data folder where it names none.
        destination: Where the backups are.
        data: The data folder, in place of the settings'.
        at: Which backup.
        only: ``catalog`` or ``objects``.
        replace: What the catalog holds is thrown away.
        ledger: Who was erased besides: a file of JSON lines, or a folder of files.
        tell: Takes how far it is.

    Raises:
        Conflict: The service runs, or the catalog is not empty.
    """
    if data is not None:
        environment = Environment.of_process({**os.environ, "COLEGA_DATA": str(data.absolute())})
    folder = environment.load(Home).data.absolute()
    if only != "objects" and not Given.by(environment).catalog:
        running = next(lock.holders(folder / lock.FILE_NAME), None)
        if running is not None:
            raise Conflict(f"The service runs in {folder}, process {running.pid} among others. End it first.")
    place = places.place(destination, environment.load(BackupSettings))
    manifests.require(place)
    entries = [] if ledger is None else list(_entries(ledger))
    with _opened(environment, make=True) as target:
        done = restoring.restore(target, place, at=at, only=only, replace=replace, ledger=entries, tell=tell)
    return asdict(done)


def _entries(ledger: Path) -> Iterable[Entry]:
    files = sorted(ledger.glob("*.json")) if ledger.is_dir() else [ledger]
    for file in files:
        for line in file.read_text("utf-8").splitlines():
            if line.startswith("{"):  # A file of a backup has a checksum below.
                yield restoring.entry(line.encode(), str(file))


@contextmanager
def _opened(environment: Environment, *, make: bool = False) -> Iterator[Source]:
    """Catalog, photo store and wrapping keys; with *make* a data folder that is not there yet is begun."""
    with offline.photo_store(environment, make=make):
        ours = _resolved(environment, make=make)
        settings = ours.load(CatalogSettings)
        catalog = Catalog(settings.catalog_url.get_secret_value(), busy_s=settings.catalog_busy_s)
        try:
            given = Wrapping.of(ours.load(SealingSettings).wrapping_keys)
            yield Source(catalog, PhotoStore.of(ours.load(PhotoStoreSettings), read_timeout_s=30.0), given)
        finally:
            catalog.close()


def _resolved(environment: Environment, *, make: bool = False) -> Environment:
    """The settings, with what ``colega up`` keeps in its data folder where they do not say otherwise."""
    folder = environment.load(Home).data.absolute()
    instance, given = Instance.read(folder), Given.by(environment)
    ours = make or bool(instance.secrets)
    chosen = Given(catalog=given.catalog or not ours, photos=given.photos or not ours, broker=True)  # It is not asked.
    return Environment.of_process(programs.environment(folder, instance, chosen))
