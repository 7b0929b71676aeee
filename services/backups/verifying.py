"""Verifying: everything that backups consist of is read back and held against what was written."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from services.backups import manifest as manifests
from services.backups import pruning, restoring
from services.backups.copying import Tell
from services.backups.destination import Destination
from services.backups.manifest import Listed, Manifest
from services.errors import BackupDamaged, DamagedObject
from services.photos.wrapping import Wrapping

_AT_ONCE, _THREADS = 256, 4
_NAMED_AT_MOST = 100


@dataclass
class Verified:
    """What was read, and what is not as it was written."""

    backups: list[str] = field(default_factory=list)
    rows: int = 0
    objects: int = 0
    size_bytes: int = 0
    problems: int = 0
    named: list[str] = field(default_factory=list)
    """Up to a hundred of them."""

    def found(self, problem: str) -> None:
        """One more."""
        self.problems += 1
        if len(self.named) < _NAMED_AT_MOST:
            self.named.append(problem)


def verify(given: Wrapping | None, place: Destination, *, at: str | None, tell: Tell = lambda told: None) -> Verified:  # noqa: ARG005
    """Read one backup back, or all of a place: checksums, decryption, rows, objects.

    Args:
        given: The wrapping keys of this process.
        place: Where they are.
        at: Which one; None: all.
        tell: Takes how far it is; may raise Cancelled.

    Raises:
        BackupDamaged: There are no backups there.
        WrappingKeyMissing: A key that one of them needs is not here.
    """
    names = manifests.all_of(place) if at is None else [manifests.chosen(place, at)]
    if not names:
        raise BackupDamaged(f"{place.name} has no backup that was completed.")
    done, listed = Verified(), list[str]()
    for name in names:
        done.backups.append(name)
        try:
            told = Manifest.read(place, name)
            key = restoring.opened(given, place, told)
            for _ in manifests.listed(place, told):
                pass
        except (BackupDamaged, ValueError, KeyError, TypeError) as error:
            done.found(str(error))
            continue
        listed.append(name)
        for table, expected in told.tables.items():
            tell({"stage": f"{name} {table}"})
            try:
                rows = sum(1 for _ in restoring.table(place, told, table, key)) - 1
            except (BackupDamaged, DamagedObject):
                done.found(f"{manifests.path(name, f'tables/{table}')} is not as it was written.")
                continue
            done.rows += rows
            if rows != expected.rows:
                done.found(f"{manifests.path(name, f'tables/{table}')} has {rows} rows, not {expected.rows}.")
    _objects(place, pruning.merged(place, listed), done, tell)
    if b"".join(place.read(manifests.MARK)) != manifests.MARKED:
        done.found(f"{manifests.MARK} is not as it was written.")
    return done


def _objects(place: Destination, rows: Iterator[Listed], done: Verified, tell: Tell) -> None:
    gone = set[str]()
    try:
        gone = pruning.erased(place)
    except BackupDamaged as error:
        done.found(str(error))

    def trouble(row: Listed) -> str | None:
        try:
            for _ in manifests.checked(place.read(row.file), row, row.file):
                pass
        except BackupDamaged as error:
            return None if pruning.is_erased(row.key, gone) else str(error)
        return None

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="verify") as threads:
        while some := list(islice(rows, _AT_ONCE)):
            for row, problem in zip(some, threads.map(trouble, some), strict=True):
                done.objects, done.size_bytes = done.objects + 1, done.size_bytes + row.size_bytes
                if problem is not None:
                    done.found(problem)
            tell({"stage": "objects", "done": done.objects})
