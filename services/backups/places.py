"""Which place a destination is: a folder of this machine, or a bucket by the settings."""

import re
from pathlib import Path

from services.backups.bucket import Bucket
from services.backups.destination import Destination, Folder
from services.errors import InvalidRequest, InvalidSettings
from services.photos.store import PhotoStore
from services.settings.backup import BackupSettings

_S3 = "s3://"
_BELOW = re.compile(r"[A-Za-z0-9_-]{1,64}")


def place(named: str, settings: BackupSettings) -> Destination:
    """The place called *named*: a folder, or ``s3://bucket/prefix``.

    Raises:
        InvalidSettings: It is a bucket, and the settings name no server.
    """
    if not named.startswith(_S3):
        return Folder(Path(named))
    bucket, _, prefix = named.removeprefix(_S3).partition("/")
    if not bucket or not settings.backup_endpoint:
        raise InvalidSettings(
            f"{named} needs COLEGA_BACKUP_ENDPOINT, COLEGA_BACKUP_ACCESS_KEY and COLEGA_BACKUP_SECRET_KEY."
        )
    store = PhotoStore(
        settings.backup_endpoint,
        bucket,
        settings.backup_access_key.get_secret_value(),
        settings.backup_secret_key.get_secret_value(),
        region=settings.backup_region,
    )
    return Bucket(store, prefix)


def configured(settings: BackupSettings, below: str | None = None) -> str:
    """What the settings call the place of backups, or the one called *below* in it.

    Raises:
        InvalidRequest: The settings name none, or *below* is no name.
    """
    if not settings.backup_folder:
        raise InvalidRequest(
            "Set COLEGA_BACKUP_FOLDER to a folder or s3://BUCKET/PREFIX, or say where: colega backup DEST."
        )
    if below is None:
        return settings.backup_folder
    if not _BELOW.fullmatch(below):
        raise InvalidRequest(f"{below!r} is no name of a place in COLEGA_BACKUP_FOLDER: letters, digits, - and _.")
    return f"{settings.backup_folder.rstrip('/')}/{below}"
