"""Cleansed: whether searchers and the snapshots on the shelf still have anything of whoever was erased."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from index.manifest import MANIFEST, DamagedSnapshot, Manifest
from services.catalog.running.processes import Seen
from services.errors import DamagedObject, MissingObject
from services.photos import keys
from services.vault import Vault

_ORPHANS_S = 3600.0


def left_in_indexes(searchers: Sequence[Seen], collection: int, sequence: int) -> str:
    """What is in the way of the searchers' files being free of what log entries up to *sequence* removed; empty: nothing.

    Of one that has died the files lie where it ran: another one on the same machine sees to them.
    """
    said: list[int | None] = []
    hosts = {seen.process.host for seen in searchers if seen.is_running}
    for process, is_running in searchers:
        if is_running:
            said.append(process.details.get("cleansed", {}).get(str(collection), -1))
            if said[-1] is not None and said[-1] < sequence:
                return f"{process.id} has not written its files anew yet."
        elif process.host not in hosts:
            return f"{process.id} has died, and no searcher runs on {process.host} that would see to its files."
    if said and all(each is None for each in said):
        return "No searcher has had Milvus write its segments anew yet."
    return ""


def drop_snapshots(store: Vault, collection: int, epoch: str, sequence: int, now: float) -> str:
    """Delete a collection's snapshots on the shelf that may hold what log entries up to *sequence* removed.

    However few are left: a searcher that starts reads rows. Of what is no whole snapshot only that stays which is on its way there.

    Args:
        store: Where the shelf is.
        collection: Of all its generations.
        epoch: Of its present history.
        sequence: Of the removal.
        now: Seconds since 1970.

    Returns:
        What is in the way; empty: nothing.
    """
    prefix = f"{keys.SNAPSHOTS}/{collection}/"
    there = {stored.key: now - stored.modified.timestamp() for stored in store.list(prefix)}
    kept: set[str] = set()
    gone: set[str] = set()
    for name in sorted(key for key in there if key.endswith(f"/{MANIFEST}")):
        shelf = name.removesuffix(MANIFEST).rstrip("/").rpartition("/")[0] + "/"
        manifest = _read(store, name)
        if manifest is not None and manifest.epoch == epoch and manifest.cleansed >= sequence:
            kept |= {name, *(shelf + file for file in manifest.files)}
            continue
        store.delete(name)  # First: nobody takes it for whole from now on.
        gone |= {name, *(shelf + file for file in manifest.files)} if manifest is not None else {name}
    unnamed = there.keys() - kept - gone
    orphans = {name for name in unnamed if there[name] > _ORPHANS_S}
    store.delete_many(sorted((gone & there.keys()) - kept | orphans))
    return "A snapshot of the index is on its way to the photo store." if unnamed - orphans else ""


def delete_under(store: Vault, prefixes: Iterable[str]) -> int:
    """Delete every object whose name begins with one of these. Returns how many there were."""
    found = [stored.key for prefix in prefixes for stored in store.list(prefix)]
    store.delete_many(found)
    return len(found)


def _read(store: Vault, name: str) -> Manifest | None:
    """A manifest; None: it cannot be read, and no searcher can use the snapshot."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / MANIFEST
        try:
            file.write_bytes(store.get(name))
            return Manifest.read(file)
        except (MissingObject, DamagedObject, DamagedSnapshot):
            return None
