"""Backups in a bucket of an S3 server."""

import hashlib
import json
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile
from typing import Any, cast

from services.backups.destination import Written, busy, missing
from services.errors import BackupUnavailable, MissingObject, PhotoStoreUnavailable
from services.photos.store import PhotoStore

_LOCK = "lock.json"
_LOCKED_S = 900.0
"""A lock that was not renewed for so long is a dead process's."""
_RENEW_S = 60.0
_IN_MEMORY = 8 * 1024 * 1024


class Bucket:
    """See :class:`services.backups.destination.Destination`. An S3 server shows an object only when all of it is there."""

    def __init__(self, store: PhotoStore, prefix: str) -> None:
        self.name = f"s3://{store.bucket}/{prefix}".rstrip("/")
        self._store, self._prefix = store, f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._lock = secrets.token_hex(8)
        self._renewed_at: float | None = None

    def write(self, name: str, pieces: Iterable[bytes]) -> Written:
        """As one object; what is large goes in parts, from a file without a name."""
        self._renew()
        digest, size = hashlib.sha256(), 0
        with SpooledTemporaryFile(_IN_MEMORY) as spooled:
            for piece in pieces:
                digest.update(piece)
                size += len(piece)
                spooled.write(piece)
            spooled.seek(0)
            with self._speaking():
                self._store.put(self._prefix + name, cast("Any", spooled), length=size)
                if self._store.size(self._prefix + name) != size:
                    raise BackupUnavailable(f"{self.name} does not hold {name} as it was given.")
        return Written(size, digest.hexdigest())

    def read(self, name: str) -> Iterator[bytes]:
        """As it lies there."""
        with self._speaking():
            try:
                yield from self._store.stream(self._prefix + name)
            except MissingObject:
                raise missing(self, name) from None

    def size(self, name: str) -> int | None:
        """As the server says."""
        with self._speaking():
            try:
                return self._store.size(self._prefix + name)
            except MissingObject:
                return None

    def names(self, under: str = "") -> Iterator[str]:
        """All but the lock."""
        with self._speaking():
            for stored in self._store.list(self._prefix + (f"{under}/" if under else "")):
                if (name := stored.key.removeprefix(self._prefix)) != _LOCK:
                    yield name

    def remove(self, names: Iterable[str]) -> None:
        """A thousand in a request."""
        with self._speaking():
            self._store.delete_many(self._prefix + name for name in names)

    def settle(self) -> None:
        """The server has said that it has it."""

    @contextmanager
    def alone(self) -> Iterator[None]:
        """By an object that is renewed while something is written. Two that begin in the same second may not see each other."""
        held = self._held_by()
        if held is not None and held != self._lock:
            raise busy(self)
        self._renewed_at = 0.0
        self._renew()
        try:
            yield
        finally:
            self._renewed_at = None
            with self._speaking():
                self._store.delete(self._prefix + _LOCK)

    def _held_by(self) -> str | None:
        with self._speaking():
            try:
                told = json.loads(self._store.get(self._prefix + _LOCK))
            except (MissingObject, ValueError):
                return None
        return str(told["by"]) if time.time() - float(told["at"]) < _LOCKED_S else None

    def _renew(self) -> None:
        if self._renewed_at is not None and time.monotonic() - self._renewed_at > _RENEW_S:
            self._renewed_at = time.monotonic()
            with self._speaking():
                self._store.put(self._prefix + _LOCK, json.dumps({"by": self._lock, "at": time.time()}).encode())

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """The client is the photo store's; what it complains of are the backups' settings."""
        try:
            yield
        except PhotoStoreUnavailable as error:
            said = (
                str(error)
                .replace("COLEGA_PHOTOS_", "COLEGA_BACKUP_")
                .replace("The photo store", f"The store of {self.name}")
            )
            raise BackupUnavailable(said) from error
