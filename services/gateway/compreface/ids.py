"""Ids: CompreFace calls an example by a UUID; ours carries the 96 random bits of the face's id, and can be read back."""

import re

from services.errors import NotFound

_SHAPE = re.compile(r"([0-9a-f]{12})80008000([0-9a-f]{12})")


def image_id(face_id: str) -> str:
    """The UUID (version 8) of the face of that public id."""
    bits = face_id.partition("_")[2]
    return f"{bits[:8]}-{bits[8:12]}-8000-8000-{bits[12:]}"


def face_id(image: str) -> str:
    """The public id of the face that an image id stands for.

    Raises:
        NotFound: It stands for none.
    """
    shape = _SHAPE.fullmatch(image.lower().replace("-", ""))
    if shape is None:
        raise NotFound("face", image)
    return f"fac_{shape[1]}{shape[2]}"
