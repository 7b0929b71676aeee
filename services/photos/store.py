"""The photo store: put, get, stream and delete over any S3. It knows bytes and names, not what they mean."""

import hashlib
import io
import os
import secrets
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import MinioException, S3Error
from urllib3.exceptions import HTTPError

from services.errors import InvalidSettings, MissingObject, PhotoStoreUnavailable
from services.photos import failures, keys
from services.photos import sse as server_side
from services.photos.several import some_at_a_time
from services.settings.service import PhotoStoreSettings

OCTETS = "application/octet-stream"

_PART_BYTES = 16 * 1024 * 1024  # What lies in memory of one upload; larger objects are sent in parts of this.
_READ_BYTES = 256 * 1024
_AT_ONCE = 8  # Requests in flight of one get_many or put_many.
_ABSENT = {"NoSuchKey", "NoSuchObject", "ResourceNotFound"}


@dataclass(frozen=True, slots=True)
class Stored:
    """What a listing says of an object."""

    key: str
    size_bytes: int
    modified: datetime
    """By the store's clock, in UTC."""


class PhotoStore:
    """Objects in one bucket of an S3 server.

    Safe to share between threads; a process that forks builds its own afterwards. Every call is bounded: a store that
    is down answers as :class:`PhotoStoreUnavailable` within two read timeouts, and at once where nothing listens.
    """

    def __init__(
        self,
        endpoint: str,
        bucket: str,
        access_key: str,
        secret_key: str,
        *,
        region: str = "us-east-1",
        read_timeout_s: float = 5.0,
        folder: Path | None = None,
        sse: str = "none",
    ) -> None:
        url = urlsplit(endpoint)
        if url.scheme not in {"http", "https"} or not url.hostname or url.path.strip("/"):
            raise InvalidSettings("COLEGA_PHOTOS_ENDPOINT must be like http://127.0.0.1:9000, without a path.")
        retries = urllib3.Retry(
            total=2, read=1, backoff_factor=0.1, status_forcelist=[502, 503, 504], raise_on_status=False
        )
        timeout = urllib3.Timeout(connect=2.0, read=read_timeout_s)
        pool = urllib3.PoolManager(timeout=timeout, retries=retries, maxsize=4 * _AT_ONCE, cert_reqs="CERT_REQUIRED")
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="photos")  # Started when they are first needed.
        self.bucket = bucket
        self.folder = folder  # Where a store on this machine keeps its files.
        self._sse = server_side.wanted(sse)
        self._client = Minio(
            url.netloc,
            access_key=access_key,
            secret_key=secret_key,
            secure=url.scheme == "https",
            region=region,  # Given, so that no call asks for it first.
            http_client=pool,
        )

    @classmethod
    def of(cls, settings: PhotoStoreSettings, *, read_timeout_s: float = 5.0) -> "PhotoStore":
        """The store that the settings name; with a shorter time-out for those who only ask whether it is there."""
        return cls(
            settings.photos_endpoint,
            settings.photos_bucket,
            settings.photos_access_key.get_secret_value(),
            settings.photos_secret_key.get_secret_value(),
            region=settings.photos_region,
            folder=settings.photos_folder,
            sse=settings.photos_sse,
            read_timeout_s=read_timeout_s,
        )

    def put(self, key: str, data: bytes | Path | BinaryIO, *, length: int = -1, content_type: str = OCTETS) -> None:
        """Keep *data* as *key*, replacing what is there. When this returns, the store has said that it has it.

        Args:
            key: From :mod:`services.photos.keys`.
            data: The bytes, a file, or a readable stream.
            length: Of a stream, in bytes, where it is known; ignored otherwise.
            content_type: What a browser is told that it is.

        Raises:
            PhotoStoreUnavailable: The store does not answer, refuses us, or is full.
        """
        if isinstance(data, Path):
            with data.open("rb") as file:
                self.put(key, file, length=data.stat().st_size, content_type=content_type)
            return
        if isinstance(data, bytes):
            length = len(data)
        stream = io.BytesIO(data) if isinstance(data, bytes) else data
        with self._speaking(key):
            part = _PART_BYTES if length < 0 or length > _PART_BYTES else 0
            self._client.put_object(
                self.bucket, key, stream, length, content_type, sse=self._sse, part_size=part, num_parallel_uploads=1
            )

    def put_many(self, objects: Sequence[tuple[str, bytes]], *, content_type: str = OCTETS) -> None:
        """Keep several objects, some at a time. When it raises, some may be there and some not.

        Raises:
            PhotoStoreUnavailable: As for :meth:`put`.
        """
        some_at_a_time(self._threads, lambda named: self.put(named[0], named[1], content_type=content_type), objects)

    def get(self, key: str) -> bytes:
        """The bytes of *key*.

        Raises:
            MissingObject: There is none of that name.
            PhotoStoreUnavailable: The store does not answer or refuses us.
        """
        return b"".join(self.stream(key))

    def get_many(self, object_keys: Sequence[str]) -> list[bytes | None]:
        """The bytes of several objects, in the order asked for; None for each that is missing.

        Raises:
            PhotoStoreUnavailable: The store does not answer or refuses us.
        """
        return some_at_a_time(self._threads, self._get_or_none, object_keys)

    def stream(self, key: str) -> Generator[bytes, None, None]:
        """The bytes of *key*, piece by piece. Nothing is asked of the store before the first piece is.

        Raises:
            MissingObject: There is none of that name.
            PhotoStoreUnavailable: The store does not answer, refuses us, or stops in the middle.
        """
        with self._speaking(key):
            response = self._client.get_object(self.bucket, key)
            try:
                expected, received = int(response.headers.get("Content-Length", -1)), 0
                while piece := response.read(_READ_BYTES):
                    received += len(piece)
                    yield piece
            finally:
                if received != expected:
                    response.close()  # What was not read must not be found by the next request.
                response.release_conn()
        if received < expected:
            raise PhotoStoreUnavailable(f"The photo store stopped in the middle of {key}.")

    def exists(self, key: str) -> bool:
        """Whether there is an object of that name.

        Raises:
            PhotoStoreUnavailable: The store does not answer or refuses us.
        """
        try:
            self.size(key)
        except MissingObject:
            return False
        return True

    def size(self, key: str) -> int:
        """The size of *key* in bytes.

        Raises:
            MissingObject: There is none of that name.
            PhotoStoreUnavailable: The store does not answer or refuses us.
        """
        with self._speaking(key):
            return int(self._client.stat_object(self.bucket, key).size or 0)

    def delete(self, key: str) -> None:
        """Delete *key*; one that is not there is no error.

        Raises:
            PhotoStoreUnavailable: The store does not answer or refuses us.
        """
        with self._speaking(key):
            self._client.remove_object(self.bucket, key)

    def delete_many(self, object_keys: Iterable[str]) -> None:
        """Delete objects, a thousand in a request; those that are not there are no error.

        Raises:
            PhotoStoreUnavailable: The store does not answer, refuses us, or could not delete one of them.
        """
        with self._speaking("objects to delete"):
            wanted = (DeleteObject(key) for key in object_keys)
            left = [error for error in self._client.remove_objects(self.bucket, wanted) if error.code not in _ABSENT]
        if left:
            raise PhotoStoreUnavailable(f"The photo store did not delete {len(left)} objects: {left[0].code}.")

    def list(self, prefix: str = "", start_after: str | None = None) -> Iterator[Stored]:
        """What is kept under *prefix*, sorted by name, read a page at a time.

        Args:
            prefix: The beginning of the names.
            start_after: Only names after this one.

        Raises:
            PhotoStoreUnavailable: The store does not answer or refuses us.
        """
        with self._speaking(prefix):
            found = self._client.list_objects(self.bucket, prefix, recursive=True, start_after=start_after)
            for entry in found:
                assert entry.object_name is not None
                assert entry.last_modified is not None
                yield Stored(entry.object_name, int(entry.size or 0), entry.last_modified)

    def check(self) -> None:
        """See that the store works: a put that is read back and removed.

        Raises:
            PhotoStoreUnavailable: It does not.
        """
        key, written = f"{keys.CHECKS}/{secrets.token_hex(12)}", os.urandom(64)
        self.put(key, written)
        try:
            if self.get(key) != written:
                raise PhotoStoreUnavailable("The photo store gave other bytes back than it was given.")
        except MissingObject:
            raise PhotoStoreUnavailable("The photo store has lost what it was just given.") from None
        finally:
            self.delete(key)

    def holds(self, key: str, sha256: str) -> bool:
        """Whether *key* is there with the bytes that have this digest (hexadecimal).

        Raises:
            PhotoStoreUnavailable: The store does not answer or refuses us.
        """
        digest = hashlib.sha256()
        try:
            for piece in self.stream(key):
                digest.update(piece)
        except MissingObject:
            return False
        return digest.hexdigest() == sha256

    def make_bucket(self) -> None:
        """Make the bucket unless it is there; needs a key that may.

        Raises:
            PhotoStoreUnavailable: The store does not answer or refuses.
        """
        with self._speaking(self.bucket):
            if not self._client.bucket_exists(self.bucket):
                try:
                    self._client.make_bucket(self.bucket)
                except S3Error as error:
                    if error.code not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
                        raise

    def _get_or_none(self, key: str) -> bytes | None:
        try:
            return self.get(key)
        except MissingObject:
            return None

    @contextmanager
    def _speaking(self, key: str) -> Iterator[None]:
        """The only place where what the client raises becomes an error of ours."""
        try:
            yield
        except S3Error as error:
            if error.code in _ABSENT:
                raise MissingObject(key) from None
            raise PhotoStoreUnavailable(failures.sentence(error, self.folder)) from error
        except (MinioException, HTTPError, OSError, ParseError) as error:
            raise PhotoStoreUnavailable(failures.sentence(error, self.folder)) from error
