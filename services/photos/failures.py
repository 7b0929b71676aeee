"""What went wrong in the photo store, said to the person who has to mend it."""

import re
import shutil
from pathlib import Path
from xml.etree.ElementTree import ParseError

from minio.error import InvalidResponseError, S3Error, ServerError

_FULL = re.compile(
    r"code:? 507\b|storage ?full|no space|disk.{0,12}full|volume.{0,12}full|no (free|writable) volumes", re.IGNORECASE
)
_FULL_BYTES = 64 * 1024 * 1024
_FAILED = re.compile(r"code:? 5\d\d\b")  # Some errors of the client have their status in their text alone.
_SENTENCES = {
    "NoSuchBucket": "The photo store has no such bucket. Make it, or set COLEGA_PHOTOS_BUCKET.",
    **dict.fromkeys(
        ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
        "The photo store refuses our keys. See COLEGA_PHOTOS_ACCESS_KEY and COLEGA_PHOTOS_SECRET_KEY.",
    ),
}


def sentence(error: Exception, folder: Path | None = None) -> str:
    """What *error*, raised by the S3 client or by what it connects with, means and what to do.

    Args:
        error: What was raised.
        folder: Where a store on this machine keeps its files. Some servers name no reason; with next to no space
            left there, it is that.
    """
    if _FULL.search(str(error)) or (folder is not None and _is_full(folder)):
        return "The photo store's disk is full: no photo can be taken until there is space."
    if isinstance(error, S3Error):
        return _SENTENCES.get(error.code or "", f"The photo store cannot do this now: {error.code}.")
    if isinstance(error, ServerError) or (isinstance(error, InvalidResponseError) and _FAILED.search(str(error))):
        return "The photo store, or a proxy before it, fails. See its log."
    if isinstance(error, (InvalidResponseError, ParseError)):
        return "The photo store answers something that is not S3. See COLEGA_PHOTOS_ENDPOINT."
    return "The photo store does not answer. See that it runs and that COLEGA_PHOTOS_ENDPOINT is right."


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < _FULL_BYTES
    except OSError:
        return False
