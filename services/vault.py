"""The vault: the photo store as everybody uses it who reads or writes personal bytes. What lies in the store is sealed.

It joins catalog and photo store: an object's key is in the catalog, wrapped (:mod:`services.catalog.sealed`); the wrapping key is
this process's. Which objects are sealed follows from their names; models, for one, lie there as they are. One question to the
catalog a call finds the keys of all objects of that call. Nothing is remembered: a key that was forgotten opens nothing more.
"""

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, cast

from services import wrappings
from services.catalog import sealed
from services.catalog.engine import Catalog
from services.catalog.schema import Photo
from services.catalog.sealed import Keyed
from services.errors import DamagedObject, MissingObject
from services.logs import logger
from services.object_keys import OF_PHOTOS, OWN, UNKNOWN, found_of, is_sealed, kind_of
from services.photos import sealing, wrapping
from services.photos.store import OCTETS, PhotoStore, Stored
from services.photos.wrapping import Wrapping
from services.settings.sealing import SealingSettings
from services.settings.service import Environment, PhotoStoreSettings

_NEVER = datetime.fromtimestamp(0, UTC)
_PAGE = 1000


class Vault:
    """Objects whose bytes are personal. Safe to share between threads; a process that forks builds its own afterwards.

    What may be raised anywhere: :class:`CatalogUnavailable` and :class:`PhotoStoreUnavailable`, and
    :class:`WrappingKeyMissing` where an object's key is wrapped under a key that is not here.
    """

    def __init__(self, objects: PhotoStore, catalog: Catalog, wrapping: Wrapping | None) -> None:
        self.objects = objects
        """The photo store as it is: for who copies sealed objects, or those that are not."""
        self.wrapping = wrapping
        self._catalog = catalog

    @classmethod
    def of(cls, environment: Environment, catalog: Catalog) -> "Vault":
        """The vault that the settings name, with the keys that they give.

        Raises:
            InvalidSettings: A key cannot be used.
            CannotStart: There is none where one is required, or one is missing that something is sealed under.
        """
        wrapping = wrappings.given(environment.load(SealingSettings), catalog)
        return cls(PhotoStore.of(environment.load(PhotoStoreSettings)), catalog, wrapping)

    @property
    def folder(self) -> Path | None:
        """Where a store on this machine keeps its files."""
        return self.objects.folder

    # --- writing ------------------------------------------------------------------------------------------------------

    def new_key(self, photo_id: str) -> bytes | None:
        """A key for the objects of a new photo, wrapped, for its row; None where objects are kept as they come."""
        return None if self.wrapping is None else self.wrapping.wrap(sealing.new_key(), photo_id)

    def put(
        self,
        key: str,
        data: bytes | Path | BinaryIO,
        *,
        length: int = -1,
        content_type: str = OCTETS,
        of: Photo | None = None,
    ) -> None:
        """Keep *data* as *key*, as :meth:`PhotoStore.put`. One of a photo that is gone by now is not kept.

        Args:
            key: From :mod:`services.photos.keys`.
            data: The bytes, a file, or a readable stream.
            length: Of a stream, in bytes, where it is known; ignored otherwise.
            content_type: What a browser is told that it is.
            of: The photo whose object it is, where no row names the object yet.
        """
        if isinstance(data, Path):
            with data.open("rb") as file:
                self.put(key, file, length=data.stat().st_size, content_type=content_type, of=of)
            return
        found = self._key_to_put(key) if of is None else Keyed(of.public_id, of.sealed_key, may_be_plain=False)
        if found is not None:
            self._put(key, data, length, content_type, found)

    def put_many(
        self, objects: Sequence[tuple[str, bytes]], *, photos: Mapping[str, int], content_type: str = OCTETS
    ) -> None:
        """Keep several objects, some at a time. When it raises, some may be there and some not.

        Args:
            objects: Names and bytes.
            photos: By name, the number of the photo whose object it is. Objects of photos that are gone are not kept.
            content_type: What a browser is told that they are.
        """
        with self._catalog.reading() as session:
            found = sealed.of_photo_rows(session, set(photos.values()))
        kept = [(name, data, found[photos[name]]) for name, data in objects if photos[name] in found]
        plain = [(name, data) for name, data, keyed in kept if keyed.wrapped is None]
        sealed_ = [(name, self._sealed(name, data, keyed)) for name, data, keyed in kept if keyed.wrapped is not None]
        if plain:
            self.objects.put_many(plain, content_type=content_type)
        if sealed_:
            self.objects.put_many(sealed_)

    def seal_many(self, objects: Mapping[str, Keyed]) -> None:
        """Overwrite those that lie there as they came with what they are sealed; what is sealed or missing stays so."""
        there = zip(objects, self.objects.get_many(list(objects)), strict=True)
        plain = [(name, data) for name, data in there if data is not None and not sealing.is_sealed(data)]
        self.objects.put_many([(name, self._sealed(name, data, objects[name])) for name, data in plain])

    def seal_large(self, name: str, keyed: Keyed) -> bool:
        """As :meth:`seal_many`, of an object that may not fit into memory. False: it is not there."""
        try:
            length = self.objects.size(name)
            with contextlib.closing(self.objects.stream(name)) as pieces:
                first = next(pieces, b"")
                if not sealing.is_sealed(first):
                    self._put(name, cast("BinaryIO", sealing.Coming(chain([first], pieces))), length, OCTETS, keyed)
        except MissingObject:
            return False
        return True

    def _put(self, key: str, data: bytes | BinaryIO, length: int, content_type: str, keyed: Keyed) -> None:
        if keyed.wrapped is None:
            self.objects.put(key, data, length=length, content_type=content_type)
        elif isinstance(data, bytes):
            self.objects.put(key, self._sealed(key, data, keyed))
        else:
            stream = cast("BinaryIO", sealing.Sealed(data, self._unwrapped(keyed), key))
            self.objects.put(key, stream, length=length if length < 0 else sealing.sealed_size(length))

    def _sealed(self, name: str, data: bytes, keyed: Keyed) -> bytes:
        return sealing.seal(data, self._unwrapped(keyed), name)

    def _key_to_put(self, name: str) -> Keyed | None:
        """The key of an object that is to be put; None: it belongs to a photo that is gone."""
        kind = kind_of(name)
        if kind in OWN and self.wrapping is not None:
            with self._catalog.transaction() as session:
                return sealed.give(session, name, self.wrapping.wrap(sealing.new_key(), name))
        with self._catalog.reading() as session:
            found = found_of(session, [name])
        if kind in OF_PHOTOS and self.wrapping is not None:
            return found.get(name)
        return found.get(name, UNKNOWN)

    # --- reading ------------------------------------------------------------------------------------------------------

    def get(self, key: str) -> bytes:
        """The bytes of *key*.

        Raises:
            MissingObject: There is none of that name.
            DamagedObject: It is not as it was sealed.
        """
        return b"".join(self.stream(key))

    def get_many(self, object_keys: Sequence[str], *, damaged: bytes | None = None) -> list[bytes | None]:
        """The bytes of several objects, in the order asked for; None for each that is missing, *damaged* for those that do not open."""
        found = self._found(object_keys)
        stored = self.objects.get_many(object_keys)
        return [
            None if data is None else self._opened_or(damaged, name, data, found.get(name, UNKNOWN))
            for name, data in zip(object_keys, stored, strict=True)
        ]

    def stream(self, key: str) -> Iterator[bytes]:
        """The bytes of *key*, piece by piece, each known to be right. Of the store nothing is asked before the first one is.

        Raises:
            MissingObject: There is none of that name.
            DamagedObject: It is not as it was sealed; where it is cut short that shows at its end alone.
        """
        return self._opened(key, self.objects.stream(key), self._found([key]).get(key, UNKNOWN))

    def size(self, key: str) -> int:
        """How many bytes :meth:`get` would give; 0 where no sealed object has the size that it has.

        Raises:
            MissingObject: There is none of that name.
        """
        [one] = self.plain([Stored(key, self.objects.size(key), _NEVER)])
        return one.size_bytes

    def exists(self, key: str) -> bool:
        """Whether there is an object of that name."""
        return self.objects.exists(key)

    def holds(self, key: str, sha256: str) -> bool:
        """Whether *key* is there with the bytes that have this digest (hexadecimal)."""
        digest = hashlib.sha256()
        try:
            for piece in self.stream(key):
                digest.update(piece)
        except (MissingObject, DamagedObject):
            return False
        return digest.hexdigest() == sha256

    def list(self, prefix: str = "", start_after: str | None = None) -> Iterator[Stored]:
        """What is kept under *prefix*, as :meth:`PhotoStore.list`: sizes are those of what lies there."""
        return self.objects.list(prefix, start_after)

    def plain(self, listed: Iterable[Stored]) -> Iterator[Stored]:
        """What was listed, with the sizes of what :meth:`get` would give; 0 where no sealed object has that size."""
        rest = iter(listed)
        while page := list(islice(rest, _PAGE)):
            found = self._found([stored.key for stored in page])
            for stored in page:
                size_bytes = self._plain_size(stored, found.get(stored.key, UNKNOWN))
                yield Stored(stored.key, size_bytes, stored.modified)

    def _plain_size(self, stored: Stored, keyed: Keyed) -> int:
        if keyed.wrapped is None or (keyed.may_be_plain and not self._is_sealed(stored.key)):
            return stored.size_bytes
        return sealing.plain_size(stored.size_bytes) or 0

    def _is_sealed(self, name: str) -> bool:
        with contextlib.closing(self.objects.stream(name)) as pieces, contextlib.suppress(MissingObject):
            return sealing.is_sealed(next(pieces, b""))
        return False

    def _opened(self, name: str, pieces: Iterator[bytes], keyed: Keyed) -> Iterator[bytes]:
        """The bytes of an object as it lies, opened where it is sealed.

        Raises:
            MissingObject: Its key is gone, because what it belongs to was deleted.
            DamagedObject: It is not as it was sealed.
        """
        first = next(pieces, b"")
        whole = chain([first], pieces)
        looks_sealed = sealing.is_sealed(first)
        if keyed.wrapped is not None and (looks_sealed or not keyed.may_be_plain):
            yield from sealing.open_stream(whole, self._unwrapped(keyed), name)
            return
        if looks_sealed and is_sealed(name):
            raise DamagedObject(name) if keyed.purpose else MissingObject(name)
        yield from whole

    def _opened_or(self, damaged: bytes | None, name: str, data: bytes, keyed: Keyed) -> bytes | None:
        try:
            return b"".join(self._opened(name, sealing.in_pieces(data), keyed))
        except MissingObject:
            return None
        except DamagedObject:
            logger().warning("object.damaged", object=name)
            return damaged

    def _unwrapped(self, keyed: Keyed) -> bytes:
        assert keyed.wrapped is not None
        if self.wrapping is None:
            raise wrapping.missing(wrapping.which(keyed.wrapped).hex())
        return self.wrapping.unwrap(keyed.wrapped, keyed.purpose)

    def _found(self, names: Sequence[str]) -> dict[str, Keyed]:
        if not any(is_sealed(name) for name in names):
            return {}
        with self._catalog.reading() as session:
            return found_of(session, names)

    # --- deleting -----------------------------------------------------------------------------------------------------

    def delete(self, key: str) -> None:
        """Delete *key*, and before that its own key, if it has one; one that is not there is no error."""
        self.delete_many([key])

    def delete_many(self, object_keys: Iterable[str]) -> None:
        """Delete objects, and before that the keys that are theirs alone; those that are not there are no error."""
        rest = iter(object_keys)
        while page := list(islice(rest, _PAGE)):
            own = [name for name in page if kind_of(name) in OWN]
            if own:
                with self._catalog.transaction() as session:
                    sealed.forget(session, own)
            self.objects.delete_many(page)
