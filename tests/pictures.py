"""Photos made of photos."""

import io

from PIL import Image


def shrunk(data: bytes, by: int) -> bytes:
    """The same picture with *by* pixels less a side, and so other bytes: as a JPEG."""
    with Image.open(io.BytesIO(data)) as opened:
        picture = opened.convert("RGB")
    out = io.BytesIO()
    picture.resize((picture.width - by, picture.height - by)).save(out, "JPEG", quality=90)
    return out.getvalue()
