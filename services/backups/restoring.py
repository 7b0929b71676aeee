"""Restoring: a backup becomes a catalog and a photo store again, whatever kinds of them.

The order: every table of the backup is read and held against its checksum before anything is touched; rows; the migrations since
then; the ledger of erasures, so that who was erased after the backup stays erased; then the objects that rows still name. Until
the end the catalog says that it is half restored and nothing starts on it. Killed anywhere and begun again, it goes on.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Literal

from services.backups import manifest as manifests
from services.backups.copying import Source, Tell
from services.backups.destination import Destination
from services.backups.making import key_of
from services.backups.manifest import LEDGER, MANIFEST, Manifest
from services.backups.putting import Putting, Restored
from services.catalog import migrate
from services.catalog.dumps import dumping, loading
from services.catalog.erasing import erasures
from services.catalog.erasing.erasures import Entry
from services.errors import BackupDamaged, Conflict
from services.photos import keys, sealing, wrapping
from services.photos.wrapping import Wrapping

Only = Literal["catalog", "objects"]

_ENTRIES = 200


def restore(
    target: Source,
    place: Destination,
    *,
    at: str | None,
    only: Only | None,
    replace: bool,
    ledger: Iterable[Entry] = (),
    tell: Tell = lambda told: None,  # noqa: ARG005
) -> Restored:
    """Put a backup back.

    Args:
        target: Where to: an empty catalog, and a photo store that may hold some of the objects already.
        place: Where backups are.
        at: Which one, by its name or the beginning of it; None: the newest.
        only: ``catalog``: the photo store is well. ``objects``: the catalog is, and the service may run meanwhile.
        replace: What the catalog holds is thrown away.
        ledger: Who was erased, beside those that backup and photo store know of.
        tell: Takes how far it is; may raise Cancelled.

    Raises:
        BackupDamaged: There is no such backup, or a table of it is not as it was written; nothing was touched.
        Conflict: The catalog is not empty, somebody works on it, or another restore of it has not come to its end.
        WrappingKeyMissing: What is sealed there is sealed under a key that is not here.
        Unavailable: Something does not answer; the same call goes on later.
    """
    started = time.monotonic()
    told = Manifest.read(place, manifests.chosen(place, at))
    done = Restored(told.name, told.began_at)
    if only != "objects":
        if not migrate.is_known(told.revision):
            raise BackupDamaged(f"{told.name} was made by a newer colega ({told.version}). Install that version.")
        _rows(target, place, told, done, replace=replace, ledger=ledger, tell=tell)
    if only != "catalog":
        names = [told.name] if only is None else manifests.all_of(place)
        Putting(target, place, done, tell).all_of(names)
        _keep_ledger(target, manifests.entries(place))
    if only != "objects":
        with target.catalog.transaction() as session:
            loading.end(session)
    done.revision = migrate.revision(target.catalog) or ""
    done.seconds = round(time.monotonic() - started, 3)
    return done


def table(place: Destination, told: Manifest, name: str, key: bytes | None) -> Iterator[bytes]:
    """The lines of a table of a backup.

    Raises:
        BackupDamaged: It is not as it was written.
        DamagedObject: It does not open.
    """
    file = manifests.path(told.name, f"tables/{name}")
    pieces = manifests.checked(place.read(file), told.tables[name], file)
    return manifests.lines(pieces if key is None else sealing.open_stream(pieces, key, file), file)


def opened(given: Wrapping | None, place: Destination, told: Manifest) -> bytes | None:
    """The key of a backup that is what whoever had its key has written; None: it is not sealed.

    Raises:
        BackupDamaged: Its manifest was written by somebody else.
        WrappingKeyMissing: A wrapping key that it needs is not here.
    """
    key = key_of(told, given)
    if key is not None:
        signature = b"".join(place.read(manifests.path(told.name, f"{MANIFEST}.hmac")))
        if not told.is_signed(signature, key):
            raise BackupDamaged(f"The manifest of {told.name} in {place.name} is not as it was written.")
    here = set() if given is None else set(given.ids)
    for wanted in told.wrapping_keys:
        if wanted not in here:
            raise wrapping.missing(wanted)
    return key


def _rows(
    target: Source,
    place: Destination,
    told: Manifest,
    done: Restored,
    *,
    replace: bool,
    ledger: Iterable[Entry],
    tell: Tell,
) -> None:
    """Fill the catalog, or go on filling it, and erase from it whom the ledger names."""
    started, catalog = time.monotonic(), target.catalog
    key = opened(target.wrapping, place, told)
    for number, name in enumerate(told.tables):
        tell({"stage": "checking the backup", "done": number, "total": len(told.tables)})
        for _ in manifests.checked(
            place.read(file := manifests.path(told.name, f"tables/{name}")), told.tables[name], file
        ):
            pass
    loading.require_idle(catalog)
    before = loading.under_way(catalog)
    if before is not None and before[0] != told.name and not replace:
        raise Conflict(
            f"The restore of {before[0]} has not come to its end here. Go on with --at {before[0]}, or begin anew with --replace."
        )
    if before is None or before[0] != told.name:
        _require_empty(target, replace=replace)
        if migrate.is_current(catalog):
            _save_ledger(target)
        loading.begin(catalog, told.revision, told.name, place.name)
        before = (told.name, "rows")
    if before[1] == "rows":
        with loading.loading(catalog) as filling:
            whole = filling.whole()
            for each in filling.tables:
                if each.name in told.tables and each.name not in whole:
                    tell({"stage": "catalog", "table": each.name})
                    count = filling.load(each, table(place, told, each.name, key))
                    if count != told.tables[each.name].rows:
                        raise BackupDamaged(
                            f"{each.name} of {told.name} has {count} rows, not {told.tables[each.name].rows}."
                        )
            filling.settle(told.sequences)
        migrate.bring_up(catalog)
        done.erased_again = _replay(target, [*_kept(place), *_mirrored(target), *ledger], tell)
        with catalog.transaction() as session:
            loading.finish(session)
    done.tables, done.rows = len(told.tables), sum(each.rows for each in told.tables.values())
    done.rows_s = round(time.monotonic() - started, 3)


def _require_empty(target: Source, *, replace: bool) -> None:
    if replace:
        return
    if held := loading.held(target.catalog):
        named = ", ".join(f"{count:,} {what}" for what, count in held.items())
        raise Conflict(
            f"The catalog is not empty: it holds {named}. Restore into an empty one (COLEGA_CATALOG_URL, --data), or throw away "
            "what is there with --replace."
        )


def _replay(target: Source, entries: list[Entry], tell: Tell) -> int:
    found, rest = 0, iter({entry.id: entry for entry in entries}.values())
    while some := list(islice(rest, _ENTRIES)):
        tell({"stage": "erasures"})
        with target.catalog.transaction() as session:
            found += erasures.replay(session, some)
    return found


def _save_ledger(target: Source) -> None:
    """Write down beside the photos whom the catalog that is thrown away has erased: of some it may be all that knows."""
    with dumping.snapshot(target.catalog) as snapshot:
        _keep_ledger(target, (erased.to_json() for erased in snapshot.erasures()))


def _kept(place: Destination) -> Iterator[Entry]:
    """The ledger as the backups have it."""
    for told in manifests.entries(place):
        yield entry(told, LEDGER)


def _mirrored(target: Source) -> Iterator[Entry]:
    """The ledger as the photo store has it; nothing where that is another one or was lost."""
    for name in [stored.key for stored in target.store.list(f"{LEDGER}/")]:
        yield entry(target.store.get(name), name)


def entry(held: bytes | Mapping[str, Any], name: str) -> Entry:
    """An entry of the ledger out of a file.

    Raises:
        BackupDamaged: It is none.
    """
    try:
        return Entry.of_json(json.loads(held) if isinstance(held, bytes) else held)
    except (KeyError, TypeError, ValueError):
        raise BackupDamaged(f"{name} is no entry of the ledger of erasures.") from None


def _keep_ledger(target: Source, entries: Iterable[Mapping[str, Any]]) -> None:
    """Put entries beside the objects, where they are not: a later restore may know of them from there alone."""
    there = {stored.key for stored in target.store.list(f"{keys.LEDGER}/")}
    for told in entries:
        if (name := keys.ledger(told["id"])) not in there:
            target.store.put(name, json.dumps(told).encode(), content_type="application/json")
