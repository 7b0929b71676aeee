"""What went wrong in the photo store, said to the person who has to mend it."""

import re

from minio.error import InvalidResponseError, S3Error, ServerError

_FULL = re.compile(
    r"507|storage ?full|no space|disk.{0,12}full|volume.{0,12}full|no (free|writable) volumes", re.IGNORECASE
)
_FULL_SENTENCE = "The photo store's disk is full: no photo can be taken until there is space."
_SENTENCES = {
    "NoSuchBucket": "The photo store has no such bucket. Make it, or set COLEGA_PHOTOS_BUCKET.",
    **dict.fromkeys(
        ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
        "The photo store refuses our keys. See COLEGA_PHOTOS_ACCESS_KEY and COLEGA_PHOTOS_SECRET_KEY.",
    ),
}


def sentence(error: Exception) -> str:
    """What *error*, raised by the S3 client or by what it connects with, means and what to do."""
    if isinstance(error, S3Error):
        if _FULL.search(f"{error.code} {error.message}"):
            return _FULL_SENTENCE
        return _SENTENCES.get(error.code or "", f"The photo store cannot do this now: {error.code}.")
    if isinstance(error, ServerError):
        full = error.status_code == 507 or _FULL.search(str(error))
        return _FULL_SENTENCE if full else f"The photo store cannot do this now: status {error.status_code}."
    if isinstance(error, InvalidResponseError):
        return "The photo store answers something that is not S3. See COLEGA_PHOTOS_ENDPOINT."
    return "The photo store does not answer. See that it runs and that COLEGA_PHOTOS_ENDPOINT is right."
