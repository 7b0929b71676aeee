"""How objects in the photo store are named: by what they are, the collection, and an id that is never used twice.

Because a public id never comes back, deleting an object can never hit a later upload of the same bytes.
"""

import re

from services.errors import InvalidRequest

PHOTOS, CHIPS, THUMBNAILS, MODELS, ARCHIVES, CHECKS = "photos", "chips", "thumbnails", "models", "archives", "checks"
SNAPSHOTS, REPORTS, LEDGER = "snapshots", "reports", "ledger"
"""The first part of every name; each kind can be listed by it."""

_PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._~-]{0,127}")


def photo(collection: str | int, photo_id: str) -> str:
    """The raw photo: ``photos/<collection>/<photo id>``."""
    return _join(PHOTOS, str(collection), photo_id)


def chip(collection: str | int, face_id: str) -> str:
    """The chip of a face, a JPEG: ``chips/<collection>/<face id>``."""
    return _join(CHIPS, str(collection), face_id)


def thumbnail(collection: str | int, photo_id: str) -> str:
    """The small JPEG of a photo, without metadata: ``thumbnails/<collection>/<photo id>``."""
    return _join(THUMBNAILS, str(collection), photo_id)


def model_file(digest: str, file_name: str) -> str:
    """One file of a model bundle: ``models/<digest>/<file>``."""
    return _join(MODELS, digest, file_name)


def archive(job_id: str) -> str:
    """An archive that a job unpacks: ``archives/<job id>``; removed when the job has taken its entries."""
    return _join(ARCHIVES, job_id)


def snapshots(collection: int, generation: int) -> str:
    """What the names of all snapshots of a generation begin with: ``snapshots/<collection>/g<generation>/``.

    The letter tells them from those of before there were generations, which had the number of a model in its place.
    """
    return _join(SNAPSHOTS, str(collection), f"g{generation}") + "/"


def report(job_id: str, file_name: str) -> str:
    """One file that a computation has made to be looked at: ``reports/<job id>/<file>``."""
    return _join(REPORTS, job_id, file_name)


def reports(job_id: str) -> str:
    """What the names of all files begin with that a computation has made to be looked at: ``reports/<job id>/``."""
    return _join(REPORTS, job_id) + "/"


def ledger(erasure_id: str) -> str:
    """An entry of the ledger of erasures, outside the catalog: ``ledger/<erasure id>.json``."""
    return _join(LEDGER, f"{erasure_id}.json")


def _join(*parts: str) -> str:
    for part in parts:
        if not _PART.fullmatch(part):
            raise InvalidRequest(f"{part!r} cannot be part of an object's name.")
    return "/".join(parts)
