"""Uploads: streamed to a spool file while they are hashed; photos that are only looked at stay in memory.

The form parser's default would spool anything above 500 kB to a temporary file, query photos included.
"""

import contextlib
import errno
import hashlib
import io
import itertools
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

from flask import Request, g, request
from werkzeug.datastructures import FileStorage

from services import formats
from services.errors import DiskFull, InvalidRequest, PhotoRefused
from services.gateway.doors import IN_MEMORY, PHOTOS_AT_ONCE, PHOTOS_IN_JSON, gateway
from services.gateway.guarding import auth, texts
from services.intake import Upload
from services.rejections import Rejection

_ARCHIVES = {"imports.create"}
_MODELS = {"models.add"}
_FORM_FIELDS_BYTES = 1_000_000
_FORM_FIELDS = 64


class Spooled(io.RawIOBase):
    """A file being received: written to the spool, hashed, and cut off at the limit."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        super().__init__()
        handle, path = tempfile.mkstemp(dir=folder)
        self.path = Path(path)
        self._file = os.fdopen(handle, "w+b")
        self._hash = hashlib.sha256()
        self._limit_bytes = limit_bytes
        self.size_bytes = 0
        self.head = b""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Take the next piece; what is beyond the limit is counted and not kept."""
        self.size_bytes += len(data)
        if len(self.head) < formats.HEAD_BYTES:
            self.head += bytes(data[: formats.HEAD_BYTES - len(self.head)])
        if not self.is_too_large:
            self._hash.update(data)
            try:
                self._file.write(data)
            except OSError as error:
                raise _full(error) from error
        return len(data)

    @property
    def is_too_large(self) -> bool:
        """Whether it is beyond the limit."""
        return self.size_bytes > self._limit_bytes

    @property
    def sha256(self) -> str:
        """Of what was kept, hexadecimal."""
        return self._hash.hexdigest()

    def seek(self, offset: int, whence: int = 0) -> int:
        """As the form parser asks for; also writes out what is buffered."""
        try:
            self._file.flush()
        except OSError as error:
            raise _full(error) from error
        return self._file.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        """As any file."""
        return self._file.read(size)

    def close(self) -> None:
        """Close and remove it."""
        with contextlib.suppress(OSError, ValueError):
            self._file.close()
        self.path.unlink(missing_ok=True)
        super().close()


class UploadRequest(Request):
    """A request that knows where its files go."""

    max_form_memory_size = _FORM_FIELDS_BYTES

    def _load_form_data(self) -> None:
        """As werkzeug's; then names and fields are seen to be text that can be kept."""
        is_new = "form" not in self.__dict__
        super()._load_form_data()
        if is_new:
            for name, value in self.form.items(multi=True):
                texts.require_text(f"{name}{value}", "form")
            for file in itertools.chain.from_iterable(self.files.listvalues()):
                texts.require_text(file.filename or "", "filename")

    def _get_file_stream(
        self,
        total_content_length: int | None,  # noqa: ARG002 - werkzeug's
        content_type: str | None,  # noqa: ARG002
        filename: str | None = None,  # noqa: ARG002
        content_length: int | None = None,  # noqa: ARG002
    ) -> IO[bytes]:
        if self.endpoint in IN_MEMORY:
            return io.BytesIO()
        limits = gateway().limits
        if self.endpoint in _MODELS:
            limit_mb = limits.max_model_mb
        else:
            limit_mb = limits.max_archive_mb if self.endpoint in _ARCHIVES else limits.max_upload_mb
        try:
            spooled = Spooled(gateway().spool, limit_mb * 2**20)
        except OSError as error:
            raise _full(error) from error
        g.setdefault("spooled", []).append(spooled)
        return spooled  # type: ignore[return-value]


def make_spool(data: Path) -> Path:
    """An empty folder for uploads under way, readable by this user only; what an earlier process left is removed."""
    folder = data / "spool" / str(os.getpid())
    parent = folder.parent
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in parent.iterdir():
        if not Path(f"/proc/{old.name}").exists() or old == folder:
            shutil.rmtree(old, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder


def bound() -> None:
    """Say how large the request may be, before any of it is read."""
    limits = gateway().limits
    request.max_form_parts = limits.max_photos_per_request + _FORM_FIELDS
    has_files = request.mimetype == "multipart/form-data" and request.endpoint not in auth.PUBLIC  # Nobody's are kept.
    if not has_files and request.endpoint not in PHOTOS_IN_JSON:
        request.max_content_length = gateway().door.max_json_kb * 1024
        return
    if request.endpoint in IN_MEMORY:
        most_mb = limits.max_upload_mb * PHOTOS_AT_ONCE.get(request.endpoint or "", 1)
    elif request.endpoint in _ARCHIVES:
        most_mb = limits.max_archive_mb
    elif request.endpoint in _MODELS:
        most_mb = limits.max_model_mb
    else:
        most_mb = limits.max_upload_mb * limits.max_photos_per_request
    request.max_content_length = int(most_mb * 2**20) + _FORM_FIELDS_BYTES


def forget(_: BaseException | None = None) -> None:
    """Remove what the request spooled."""
    for spooled in g.pop("spooled", []):
        spooled.close()


def photos(field: str = "photo") -> list[Upload]:
    """The photos of the request, spooled.

    Raises:
        InvalidRequest: There is none, or more than one request may have.
    """
    files = request.files.getlist(field)
    most = gateway().limits.max_photos_per_request
    if not files:
        raise InvalidRequest(f"{field}: send at least one photo as multipart/form-data.")
    if len(files) > most:
        raise InvalidRequest(
            f"{field}: {len(files)} photos; {most} are taken at once. Send the rest in further requests."
        )
    return [_upload(file) for file in files]


def query_photo(field: str = "photo") -> bytes:
    """One photo to be looked at, in memory.

    Raises:
        InvalidRequest: There is none, or several.
        PhotoRefused: It is empty, too large, or no photo by its first bytes.
    """
    files = request.files.getlist(field)
    if len(files) != 1:
        raise InvalidRequest(f"{field}: send exactly one photo as multipart/form-data.")
    return looked_at(files[0].filename or "The photo", files[0].stream.read())


def looked_at(name: str, data: bytes) -> bytes:
    """The bytes of a photo to be looked at, if they may be one.

    Raises:
        PhotoRefused: It is empty, too large, or no photo by its first bytes.
    """
    limit_mb = gateway().limits.max_upload_mb
    if len(data) > limit_mb * 2**20:
        raise PhotoRefused(Rejection.TOO_LARGE, f"{name} has {len(data):,} bytes; photos may have {limit_mb} MB.")
    formats.require(name, data[: formats.HEAD_BYTES])
    return data


def kept(name: str, data: bytes) -> Upload:
    """A photo that was looked at, as an upload to be taken in: spooled until the request ends."""
    spooled = Spooled(gateway().spool, gateway().limits.max_upload_mb * 2**20)
    g.setdefault("spooled", []).append(spooled)
    spooled.write(data)
    spooled.seek(0)
    return Upload(name, spooled.path, spooled.size_bytes, spooled.sha256, spooled.head)


def _upload(file: FileStorage) -> Upload:
    spooled = file.stream
    assert isinstance(spooled, Spooled)
    name, limit_mb = file.filename or "photo", gateway().limits.max_upload_mb
    refused = None
    if spooled.is_too_large:
        refused = PhotoRefused(
            Rejection.TOO_LARGE, f"{name} has {spooled.size_bytes:,} bytes; photos may have {limit_mb} MB."
        )
    return Upload(name, spooled.path, spooled.size_bytes, spooled.sha256, spooled.head, refused)


def _full(error: OSError) -> DiskFull:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DiskFull("There is no room for uploads. Free space in the data folder and send it again.")
    return DiskFull(f"Uploads cannot be kept: {error.strerror}. See the data folder.")
