"""Snapshots: a replica at one sequence number, as files with checksums, here and on a shelf.

    segments/NAME.{ids,vectors,codes}      what never changes, shared between snapshots
    EPOCH-SEQUENCE/state-TOKEN.npz         the newest rows, the dead of each segment, whose each face is
    EPOCH-SEQUENCE/attributes-TOKEN.json
    EPOCH-SEQUENCE/manifest.json           names, sizes and SHA-256 of all of these; written last

There is no "latest" that could point wrong: a reader takes the complete snapshot of its epoch with the highest number,
so a writer that is late, or a second one, does no harm. The folder and the shelf are laid out alike.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from index import frozen as states
from index.engine.engine import Engine
from index.frozen import Frozen
from index.manifest import CLEANSED, MANIFEST, DamagedSnapshot, Manifest, Stored, named, newest
from index.protocol import Reached, Shelf, unwatched
from index.replica import Replica

SEGMENTS = "segments"
KEPT = 2
"""So many snapshots stay: the newest, and the one before it should the newest prove damaged."""
_ORPHANS_S = 3600.0
_HASHED_AT_START_BYTES = 64 << 20
"""Larger files (vectors) are checked after the start, while searches are answered already."""


class Snapshots:
    """The snapshots of one replica: in a folder of its own, and on a shelf where there is one."""

    def __init__(self, folder: Path, shelf: Shelf | None = None, reached: Reached = unwatched) -> None:
        self.folder = folder
        self._shelf = shelf
        self._reached = reached
        self._known: dict[str, Stored] = {}
        """Of files that never change: their checksums are computed once."""
        (folder / SEGMENTS).mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def segments(self) -> Path:
        """The folder that the engines work in."""
        return self.folder / SEGMENTS

    def write(self, frozen: Frozen) -> Manifest:
        """Write a snapshot down here, and let go of those that are too many.

        Raises:
            OSError: There is no room. What is written of it is removed at the next start.
        """
        name = named(frozen.epoch, frozen.sequence)
        partial = self.folder / f"{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        state = states.write(frozen, partial)
        self._reached("state written")
        files = {f"{name}/{file.name}": Stored.of(file) for file in sorted(partial.iterdir())}
        for segment in sorted(frozen.segments):
            files |= {each: self._once(each) for each in self._files_of(segment)}
        faces, templates = (tuple(n for n, _ in image.segments) for image in (frozen.faces, frozen.templates))
        counts = {"faces": len(frozen.owners[0]), CLEANSED: frozen.cleansed}
        manifest = Manifest(
            frozen.epoch, frozen.sequence, frozen.dimension, faces, templates, counts, files, state=f"{name}/{state}"
        )
        manifest.write(partial / MANIFEST)
        self._reached("manifest written")
        shutil.rmtree(self.folder / name, ignore_errors=True)
        self._reached("predecessor removed")
        partial.rename(self.folder / name)
        _sync(self.folder)
        self._reached("snapshot written")
        here = self._here()
        for old in here - set(newest(here, frozen.epoch, KEPT)):
            shutil.rmtree(self.folder / old, ignore_errors=True)
        return manifest

    def upload(self, manifest: Manifest) -> None:
        """Bring a snapshot to the shelf, its manifest last, and remove from there what is too old.

        Raises:
            OSError: The shelf cannot be reached. What arrived stays; nothing refers to it.
        """
        assert self._shelf is not None
        there = {name for name, _ in self._shelf.names()}
        for name in manifest.files:
            if name not in there:
                self._shelf.put(name, self.folder / name)
                self._reached("file uploaded")
        self._shelf.put(manifest.object, self.folder / manifest.object)
        self._reached("snapshot uploaded")
        there = {name for name, _ in self._shelf.names()}
        for name in manifest.files:  # What went meanwhile with an older snapshot that held somebody who was erased.
            if name not in there:
                self._shelf.put(name, self.folder / name)
        self._prune(manifest.epoch, self._shelf)

    def read(
        self, epoch: str, engine: Callable[[], Engine], dimension: int, *, least: int = -1
    ) -> tuple[Replica | None, list[str]]:
        """The replica of the newest usable snapshot of *epoch*, and what was wrong with it or with newer ones.

        Args:
            epoch: Of the collection now; snapshots of another belong to another history.
            engine: Makes an empty engine over :attr:`segments`.
            dimension: Of the vectors.
            least: The log entry up to which nothing removed may be in it.
        """
        troubles: list[str] = []
        for name in self._candidates(epoch, troubles):
            try:
                manifest = self._manifest(name)
                if manifest.cleansed < least:
                    shutil.rmtree(self.folder / name, ignore_errors=True)
                    continue
                if manifest.dimension == dimension and manifest.name == name:
                    self._bring(manifest, troubles)
                    return states.thaw(manifest, self.folder, engine), troubles
                troubles.append(f"The snapshot {name} is of another dimension or another number.")
            except (DamagedSnapshot, OSError, ValueError, KeyError) as error:
                troubles.append(str(error))
            shutil.rmtree(self.folder / name, ignore_errors=True)
        return None, troubles

    def check(self) -> list[str]:
        """What is damaged of the newest snapshot here, vectors included. About a second a gigabyte."""
        for name in sorted(self._here(), reverse=True):
            try:
                manifest = Manifest.read(self.folder / name / MANIFEST)
            except DamagedSnapshot as error:
                return [str(error)]
            return [
                f"{name} of the snapshot {manifest.name} has another checksum."
                for name, stored in manifest.files.items()
                if (file := self.folder / name).exists() and Stored.of(file) != stored
            ]
        return []

    def drop_others(self, epoch: str) -> None:
        """Let go of snapshots here of another history than *epoch*: it never comes back, and may have whom this one erased."""
        for name in self._here():
            if not name.startswith(f"{epoch}-"):
                shutil.rmtree(self.folder / name, ignore_errors=True)

    def drop_all(self) -> None:
        """Let go of every snapshot here and of its files: they proved damaged, and the replica is made from rows."""
        for name in self._here():
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self._known.clear()

    def forget(self, epoch: str, sequence: int) -> None:
        """Remove what may hold something that log entries up to *sequence* removed, or is of another history than *epoch*.

        Called while no snapshot is being written: what of one that failed is here goes, too.
        """
        for manifest in self._readable():
            if manifest.epoch != epoch or manifest.cleansed < sequence:
                shutil.rmtree(self.folder / manifest.name, ignore_errors=True)
        for left in self.folder.glob("*.partial*"):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)

    def clean(self, used: set[str]) -> None:
        """Remove files of segments that neither the engines nor a snapshot here name. Called by the engines' writer.

        Args:
            used: The names that the engines use.
        """
        kept = used | {Path(file).name for manifest in self._readable() for file in manifest.files}
        for file in list(self.segments.iterdir()):
            if ".partial" not in file.name and file.name not in kept:
                file.unlink(missing_ok=True)
                self._known.pop(f"{SEGMENTS}/{file.name}", None)

    def begin(self) -> None:
        """Remove what a process that ended half-way has left. Called before engines work in the folder."""
        for path in (*self.folder.glob("*.partial"), *self.folder.glob("*/*.partial-*")):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        self.clean(set())

    def _files_of(self, segment: str) -> list[str]:
        return [
            f"{SEGMENTS}/{file.name}"
            for file in sorted(self.segments.glob(f"{segment}.*"))
            if ".partial" not in file.name
        ]

    def _once(self, name: str) -> Stored:
        if name not in self._known:
            with (self.folder / name).open("rb") as file:
                os.fsync(file.fileno())
            self._known[name] = Stored.of(self.folder / name)
        return self._known[name]

    def _candidates(self, epoch: str, troubles: list[str]) -> Iterator[str]:
        """Names of snapshots of *epoch*, newest first, here or on the shelf."""
        known = self._here()
        if self._shelf is not None:
            try:
                known |= _complete(name for name, _ in self._shelf.names())
            except OSError as error:
                troubles.append(str(error))
        yield from newest(known, epoch, len(known))

    def _manifest(self, name: str) -> Manifest:
        """The manifest of a snapshot, brought from the shelf where it is not here."""
        file = self.folder / name / MANIFEST
        if not file.exists() and self._shelf is not None:
            file.parent.mkdir(exist_ok=True, mode=0o700)
            arriving = file.with_name(f"{MANIFEST}.partial-{os.getpid()}")
            self._shelf.get(f"{name}/{MANIFEST}", arriving)
            arriving.rename(file)
        return Manifest.read(file)

    def _bring(self, manifest: Manifest, troubles: list[str]) -> None:
        """See that every file is here and whole; what is not comes from the shelf."""
        for name, stored in manifest.files.items():
            file = self.folder / name
            trouble = _trouble(file, stored)
            if trouble and file.exists():
                troubles.append(f"{name} of the snapshot {manifest.name} {trouble}.")
                file.unlink()
            if trouble:
                self._fetch(name, stored, manifest)
            if name.startswith(SEGMENTS):
                self._known[name] = stored

    def _fetch(self, name: str, stored: Stored, manifest: Manifest) -> None:
        if self._shelf is None:
            raise DamagedSnapshot(f"{name} of the snapshot {manifest.name} is missing.")
        arriving = self.folder / f"{name}.partial-{os.getpid()}"
        self._shelf.get(name, arriving)
        if Stored.of(arriving) != stored:
            arriving.unlink()
            raise DamagedSnapshot(f"{name} of the snapshot {manifest.name} is damaged on the shelf.")
        arriving.rename(self.folder / name)

    def _prune(self, epoch: str, shelf: Shelf) -> None:
        """Remove from the shelf what is older than an hour and belongs to none of its newest snapshots."""
        objects = dict(shelf.names())
        kept = set(newest(_complete(objects), epoch, KEPT))
        named_there: set[str] = set()
        for name in kept:  # As they are there: another searcher may have written the same number with other segments.
            file = self.folder / f"pruning.partial-{os.getpid()}"
            shelf.get(f"{name}/{MANIFEST}", file)
            try:
                named_there |= {f"{name}/{MANIFEST}", *Manifest.read(file).files}
            except DamagedSnapshot:
                return  # Which segments it names is not known.
            finally:
                file.unlink(missing_ok=True)
        for name, age_s in objects.items():
            if name not in named_there and age_s > _ORPHANS_S:
                shelf.delete(name)

    def _readable(self) -> Iterator[Manifest]:
        """The manifests here; a folder whose manifest cannot be read goes."""
        for name in self._here():
            try:
                yield Manifest.read(self.folder / name / MANIFEST)
            except DamagedSnapshot:
                shutil.rmtree(self.folder / name, ignore_errors=True)

    def _here(self) -> set[str]:
        folders = (path.parent.name for path in self.folder.glob(f"*/{MANIFEST}"))
        return {name for name in folders if not name.endswith(".partial")}


def _complete(names: "Iterator[str] | dict[str, float]") -> set[str]:
    """Of objects' names, the snapshots whose manifest is there."""
    return {name.removesuffix(f"/{MANIFEST}") for name in names if name.endswith(f"/{MANIFEST}")}


def _trouble(file: Path, stored: Stored) -> str:
    """What is wrong with a file; empty where nothing is. Contents of large ones are not looked at."""
    with suppress(FileNotFoundError):
        if file.stat().st_size != stored.size_bytes:
            return "is cut short" if file.stat().st_size < stored.size_bytes else "is too long"
        if stored.size_bytes <= _HASHED_AT_START_BYTES and Stored.of(file) != stored:
            return "has another checksum"
        return ""
    return "is missing"


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
