"""A camera's frame is searched in as a photo is, but with one look."""

import io
from pathlib import Path

import pytest
from PIL import Image

from tests.running import Running

pytestmark = pytest.mark.slow


def test_a_frame_names_who_is_in_it_and_is_not_turned_to_find_more(
    service: Running, enrolled: str, examples: Path
) -> None:
    with Image.open(examples / "queries" / "group.jpg") as group:
        frame = group.convert("RGB").resize((640, 285))
    with Image.open(examples / "queries" / "one.jpg") as one:
        lying = one.convert("RGB").rotate(90, expand=True)

    with service.http(params={"collection": enrolled}) as http:
        upright = http.post("/v1/search", params={"mode": "frame", "k": 1}, files={"photo": _jpeg(frame)}).json()
        turned = {
            mode: http.post("/v1/search", params={"mode": mode}, files={"photo": _jpeg(lying)}).json()["faces"]
            for mode in ("frame", "balanced")
        }

    named = {face["matches"][0]["person"]["name"] for face in upright["faces"] if face["decision"] == "match"}
    assert named == {"Barack Obama", "Joe Biden", "Eileen Collins"}
    assert (len(turned["frame"]), len(turned["balanced"])) == (0, 1)


def _jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90)
    return out.getvalue()
