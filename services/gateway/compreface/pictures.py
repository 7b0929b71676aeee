"""The photos of a request: multipart/form-data, or base64 in JSON under the same name. They are read in memory."""

import base64
import binascii

from flask import request

from services.gateway import uploads
from services.gateway.compreface import failures


def photo(field: str = "file") -> bytes:
    """One photo of the request.

    Raises:
        PhotoRefused: It is empty, too large, or no photo by its first bytes.
        werkzeug.exceptions.HTTPException: It is missing, or no base64.
    """
    if request.is_json:
        return uploads.looked_at(field, _decoded(field))
    if len(request.files.getlist(field)) != 1:
        failures.refuse(failures.NO_PART, f"Required part {field} is missing")
    return uploads.query_photo(field)


def name_of(field: str) -> str:
    """What the sender calls the file of a photo; *field* where they do not say."""
    file = request.files.get(field)
    return (file.filename if file is not None else None) or field


def _decoded(field: str) -> bytes:
    body = request.get_json(silent=True)
    text = body.get(field) if isinstance(body, dict) else None
    if not isinstance(text, str):
        failures.refuse(failures.NO_PART, f"Required part {field} is missing")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        failures.refuse(failures.NOT_A_PHOTO, "Provided value is not Base64")
