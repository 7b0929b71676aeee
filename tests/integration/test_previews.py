"""What a search and a detection tell beside the faces: the photo as it was looked at, and what a face's quality is made of."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from tests.running import Running

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("path", ["/v1/search", "/v1/detect"])
def test_a_photo_comes_back_upright_and_small_where_a_preview_is_asked_for(
    service: Running, examples: Path, path: str
) -> None:
    with Image.open(examples / "queries" / "group.jpg") as photo:
        upright = photo.size
        out = io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = 6
        photo.rotate(90, expand=True).save(out, "JPEG", exif=exif)

    with service.http() as http:
        told = http.post(path, params={"preview": 320}, files={"photo": ("x.jpg", out.getvalue())}).json()
        plain = http.post(path, files={"photo": ("x.jpg", out.getvalue())}).json()

    assert (told["width"], told["height"]) == upright
    with Image.open(io.BytesIO(base64.b64decode(told["preview"]))) as preview:
        assert (preview.format, preview.size) == ("JPEG", (320, round(320 * upright[1] / upright[0])))
        assert not preview.getexif()
    assert plain["preview"] is None


def test_a_preview_has_bounds(service: Running, examples: Path) -> None:
    photo = (examples / "queries" / "one.jpg").read_bytes()

    with service.http() as http:
        refused = [http.post("/v1/detect", params={"preview": px}, files={"photo": photo}) for px in (0, 5000)]

    assert [answer.status_code for answer in refused] == [422, 422]


def test_of_a_kept_photo_a_preview_is_for_keys_that_may_have_the_original(
    service: Running, gallery: str, examples: Path
) -> None:
    service.enrol({"Ana": [(examples / "queries" / "one.jpg").read_bytes()]}, gallery)
    [ana] = service.client(gallery).people.named("Ana")
    [face] = service.client(gallery).people.show(ana["id"])["shown_in"]
    searches = service.client().keys.create("searches", ["search", "read"])["secret"]

    asked, preview = {"photo_id": face["photo_id"]}, {"preview": 320}
    with service.http(params={"collection": gallery}) as http:
        mine = http.post("/v1/detect", params=preview, json=asked)
        theirs = {"Authorization": f"Bearer {searches}"}
        others = [http.post("/v1/detect", params=more, json=asked, headers=theirs) for more in ({}, preview)]

    assert (mine.status_code, mine.json()["preview"] is None) == (200, False)
    assert [answer.status_code for answer in others] == [200, 403]
    assert others[0].json()["preview"] is None


def test_a_search_by_a_kept_face_has_no_photo_to_tell_of(service: Running, gallery: str, examples: Path) -> None:
    service.enrol({"Ana": [(examples / "queries" / "one.jpg").read_bytes()]}, gallery)
    [ana] = service.client(gallery).people.named("Ana")

    with service.http() as http:
        told = http.post("/v1/search", params={"collection": gallery}, json={"face_id": ana["face_id"]}).json()

    assert (told["width"], told["height"], told["preview"]) == (None, None, None)
    assert told["faces"][0]["matches"][0]["person"]["name"] == "Ana"


def test_a_detected_face_says_what_its_quality_is_made_of(service: Running, examples: Path) -> None:
    with service.http() as http:
        [face] = http.post("/v1/detect", files={"photo": (examples / "queries" / "one.jpg").read_bytes()}).json()[
            "faces"
        ]

    assert set(face["quality_parts"]) == {"size", "sharpness", "pose", "exposure", "detector"}
    assert all(0 <= part <= 1 for part in face["quality_parts"].values())
