"""What backups do not need any more is removed from their place: old ones, their objects, and those of who was erased."""

from collections.abc import Iterator
from heapq import merge
from itertools import groupby, islice
from typing import Any

from services.backups import manifest as manifests
from services.backups.destination import Destination
from services.backups.manifest import CATALOGS, MANIFEST, OBJECTS, Manifest
from services.backups.presence import Names
from services.errors import BackupDamaged

_REMOVED_AT_ONCE = 1000


def drop_unfinished(place: Destination) -> None:
    """Remove what backups that were not completed, or not removed to their end, have left; objects stay."""
    whole = set(manifests.all_of(place))
    place.remove([name for name in place.names(CATALOGS) if name.split("/")[1] not in whole])


def prune(place: Destination, keep: int) -> dict[str, Any]:
    """Remove all but the newest *keep* backups (0: none of them), and objects that no backup needs.

    Objects of who was erased go whoever still names them: the ledger has their ids.

    Returns:
        How many backups and objects were removed; where a backup cannot be read, its name, and no object was.
    """
    names = manifests.all_of(place)
    old = names[:-keep] if keep else []
    place.remove([manifests.path(name, MANIFEST) for name in old])  # First: half of one is none.
    drop_unfinished(place)
    removed = 0
    try:
        needed = Names(_needed(place, [name for name in names if name not in old]))
        gone = erased(place)
    except BackupDamaged as error:
        return {"backups_removed": len(old), "objects_removed": 0, "unreadable": str(error)}
    unneeded = (file for file in place.names(OBJECTS) if file not in needed or is_erased(manifests.key_of(file), gone))
    while some := list(islice(unneeded, _REMOVED_AT_ONCE)):
        place.remove(some)
        removed += len(some)
    place.settle()
    return {"backups_removed": len(old), "objects_removed": removed}


def erased(place: Destination) -> set[str]:
    """Public ids of all photos and faces that the ledger names."""
    found: set[str] = set()
    for told in manifests.entries(place):
        found.update(told["photos"], told["faces"])
    return found


def is_erased(key: str, of: set[str]) -> bool:
    """Whether an object is of one of these photos or faces; a chip of a later round has its number behind a dot."""
    return key.rpartition("/")[2].partition(".")[0] in of


def merged(place: Destination, names: list[str]) -> Iterator[manifests.Listed]:
    """The objects of several backups, by name, each once as it is sealed."""
    lists = [manifests.listed(place, Manifest.read(place, name)) for name in names]
    same = groupby(merge(*lists, key=lambda row: (row.key, row.sealed)), key=lambda row: (row.key, row.sealed))
    for _, rows in same:
        yield next(rows)


def _needed(place: Destination, names: list[str]) -> Iterator[str]:
    return (row.file for row in merged(place, names))
