"""CompreFace's API: its shapes, its codes, and its own unmodified client."""

import base64
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from services.gateway.compreface.similarity import ACCEPTED
from tests.conftest import ROOT, missing
from tests.running import Running

pytestmark = pytest.mark.slow

_SDK = ROOT / ".venv" / "compreface-sdk"


@pytest.fixture
def api(service: Running, gallery: str) -> Iterator[httpx.Client]:
    """CompreFace's API with a key that is limited to an empty collection."""
    yield from _api(service, gallery, ["admin"])


def _api(service: Running, collection: str, scopes: list[str]) -> Iterator[httpx.Client]:
    key = service.client().keys.create("compreface", scopes, collections=[collection])["secret"]
    base = f"{service.instance()['url']}/api/v1/"
    limits = httpx.Limits(max_keepalive_connections=0)  # As its clients do: a connection for each request.
    with httpx.Client(base_url=base, headers={"x-api-key": key}, timeout=60, limits=limits) as client:
        yield client


def _photo(examples: Path, person: str, number: int = 1) -> dict[str, bytes]:
    return {"file": (examples / "people" / person / f"{number}.jpg").read_bytes()}


def _add(api: httpx.Client, examples: Path, person: str, number: int = 1) -> str:
    answer = api.post("recognition/faces", params={"subject": person}, files=_photo(examples, person, number))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["image_id"])


def _failure(answer: httpx.Response) -> tuple[int, int]:
    """Status and code."""
    told = answer.json()
    assert set(told) == {"message", "code"}
    assert told["message"]
    return answer.status_code, told["code"]


def _shape(answer: Any) -> Any:
    """Of JSON: names and types, the first of each list standing for all."""
    if isinstance(answer, dict):
        return {name: _shape(value) for name, value in answer.items()}
    if isinstance(answer, list):
        return [_shape(answer[0])] if answer else []
    return type(answer)


def test_an_added_face_is_recognised_by_the_next_request(api: httpx.Client, examples: Path) -> None:
    image = _add(api, examples, "Barack Obama")
    _add(api, examples, "Joe Biden")
    answer = api.post("recognition/recognize", files={"file": (examples / "queries" / "one.jpg").read_bytes()}).json()

    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", image)
    [face] = answer["result"]
    [best] = face["subjects"]
    assert best["subject"] == "Barack Obama"
    assert ACCEPTED <= best["similarity"] <= 1


def test_recognise_answers_in_the_shape_of_its_documentation(api: httpx.Client, examples: Path) -> None:
    _add(api, examples, "Barack Obama")
    asked = {"status": "true", "face_plugins": "landmarks,gender,age", "prediction_count": "1", "limit": "0"}
    answer = api.post("recognition/recognize", params=asked, files=_photo(examples, "Barack Obama", 2)).json()

    assert _shape(answer) == {
        "result": [
            {
                "box": {"probability": float, "x_max": int, "y_max": int, "x_min": int, "y_min": int},
                "landmarks": [[int]],
                "subjects": [{"similarity": float, "subject": str}],
                "execution_time": {"detector": float, "calculator": float},
            }
        ],
        "plugins_versions": {"detector": str, "calculator": str},
    }


def test_a_group_is_answered_largest_face_first_and_as_many_as_are_wanted(api: httpx.Client, examples: Path) -> None:
    for person in ("Barack Obama", "Joe Biden", "Eileen Collins"):
        _add(api, examples, person)
    group = {"file": (examples / "queries" / "group.jpg").read_bytes()}
    faces = api.post("recognition/recognize", files=group).json()["result"]
    two = api.post("recognition/recognize", params={"limit": 2, "prediction_count": 2}, files=group).json()["result"]

    areas = [(f["box"]["x_max"] - f["box"]["x_min"]) * (f["box"]["y_max"] - f["box"]["y_min"]) for f in faces]
    assert areas == sorted(areas, reverse=True)
    assert {f["subjects"][0]["subject"] for f in faces} == {"Barack Obama", "Joe Biden", "Eileen Collins"}
    assert [len(face["subjects"]) for face in two] == [2, 2]
    assert two[0]["subjects"][0]["similarity"] >= ACCEPTED > two[0]["subjects"][1]["similarity"]


def test_a_stranger_is_told_below_the_accepting_similarity(api: httpx.Client, examples: Path) -> None:
    _add(api, examples, "Grace Hopper")
    [face] = api.post("recognition/recognize", files=_photo(examples, "Joe Biden")).json()["result"]

    assert face["subjects"][0]["similarity"] < ACCEPTED


def test_photos_come_as_base64_too(api: httpx.Client, examples: Path) -> None:
    text = base64.b64encode(_photo(examples, "Barack Obama")["file"]).decode()
    other = base64.b64encode(_photo(examples, "Barack Obama", 2)["file"]).decode()
    added = api.post("recognition/faces", params={"subject": "Barack Obama"}, json={"file": text})
    seen = api.post("recognition/recognize", json={"file": other}).json()
    pair = {"source_image": text, "target_image": other}
    verified = api.post("verification/verify", params={"status": "true"}, json=pair).json()

    assert added.status_code == 201
    assert seen["result"][0]["subjects"][0]["subject"] == "Barack Obama"
    assert _shape(verified) == {
        "result": [
            {
                "source_image_face": {
                    "box": dict.fromkeys(_BOX, int) | {"probability": float},
                    "execution_time": _TIMES,
                },
                "face_matches": [
                    {
                        "box": dict.fromkeys(_BOX, int) | {"probability": float},
                        "similarity": float,
                        "execution_time": _TIMES,
                    }
                ],
                "plugins_versions": {"detector": str, "calculator": str},
            }
        ]
    }
    assert verified["result"][0]["face_matches"][0]["similarity"] >= ACCEPTED


_BOX = ("probability", "x_max", "y_max", "x_min", "y_min")
_TIMES = {"detector": float, "calculator": float}


def test_examples_are_paged_shown_and_deleted_one_by_one(api: httpx.Client, examples: Path) -> None:
    first, second = _add(api, examples, "Barack Obama"), _add(api, examples, "Barack Obama", 2)
    third = _add(api, examples, "Joe Biden")
    page = api.get("recognition/faces", params={"size": 2}).json()
    rest = api.get("recognition/faces", params={"size": 2, "page": 1}).json()
    obamas = api.get("recognition/faces", params={"subject": "barack obama"}).json()
    image = api.get(f"recognition/faces/{first}/img")
    gone = api.delete(f"recognition/faces/{first}").json()
    again = api.delete(f"recognition/faces/{first}")
    some = api.post("recognition/faces/delete", json=[second, first, "no-such-id"]).json()

    assert page == {
        "faces": [{"image_id": first, "subject": "Barack Obama"}, {"image_id": second, "subject": "Barack Obama"}],
        "page_number": 0,
        "page_size": 2,
        "total_pages": 2,
        "total_elements": 3,
    }
    assert [face["image_id"] for face in rest["faces"]] == [third]
    assert (obamas["total_elements"], obamas["page_size"]) == (2, 20)
    assert image.content == _photo(examples, "Barack Obama")["file"]
    assert gone == {"image_id": first, "subject": "Barack Obama"}
    assert _failure(again) == (404, 44)
    assert some == [{"image_id": second, "subject": "Barack Obama"}]
    assert api.get("recognition/faces").json()["total_elements"] == 1


def test_an_example_is_compared_with_the_faces_of_a_photo(api: httpx.Client, examples: Path) -> None:
    image = _add(api, examples, "Barack Obama")
    group = {"file": (examples / "queries" / "group.jpg").read_bytes()}
    result = api.post(f"recognition/faces/{image}/verify", files=group).json()["result"]

    asked = {"status": "true", "face_plugins": "landmarks", "limit": "1"}
    told = api.post(f"recognition/faces/{image}/verify", params=asked, files=group).json()
    found = api.post("detection/detect", params=asked, files=group).json()
    face = {"box": dict.fromkeys(_BOX, int) | {"probability": float}, "landmarks": [[int]], "execution_time": _TIMES}
    versions = {"detector": str, "calculator": str}

    assert _shape(told) == {"result": [face | {"subject": str, "similarity": float}], "plugins_versions": versions}
    assert _shape(found) == {"result": [face], "plugins_versions": versions}
    assert {face["subject"] for face in result} == {"Barack Obama"}
    assert sum(face["similarity"] >= ACCEPTED for face in result) == 1


def test_subjects_are_made_renamed_merged_and_erased(api: httpx.Client, examples: Path) -> None:
    made = api.post("recognition/subjects", json={"subject": "Nobody Yet"})
    twice = api.post("recognition/subjects", json={"subject": "nobody yet"})
    _add(api, examples, "Barack Obama")
    _add(api, examples, "Joe Biden")
    renamed = api.put("recognition/subjects/Joe Biden", json={"subject": "Joseph Biden"}).json()
    merged = api.put("recognition/subjects/Joseph Biden", json={"subject": "Barack Obama"}).json()
    unknown = api.put("recognition/subjects/Nobody At All", json={"subject": "Somebody"})
    seen = api.post("recognition/recognize", files=_photo(examples, "Joe Biden")).json()
    listed = api.get("recognition/subjects/").json()
    gone = api.delete("recognition/subjects/Nobody Yet").json()
    counted = api.get("recognition/faces", params={"subject": "Barack Obama"}).json()["total_elements"]
    everybody = api.delete("recognition/subjects").json()

    assert (made.status_code, made.json()) == (201, {"subject": "Nobody Yet"})
    assert _failure(twice) == (400, 43)
    assert renamed == merged == {"updated": True}
    assert _failure(unknown) == (404, 42)
    assert seen["result"][0]["subjects"][0]["subject"] == "Barack Obama"
    assert listed == {"subjects": ["Barack Obama", "Nobody Yet"]}
    assert gone == {"subject": "Nobody Yet"}
    assert counted == 2
    assert everybody == {"deleted": 1}
    assert api.get("recognition/faces").json()["total_elements"] == 0


def test_deleting_all_examples_of_a_subject_erases_them(api: httpx.Client, examples: Path) -> None:
    _add(api, examples, "Barack Obama")
    _add(api, examples, "Barack Obama", 2)
    gone = api.delete("recognition/faces", params={"subject": "Barack Obama"}).json()
    nobody = api.delete("recognition/faces", params={"subject": "Barack Obama"}).json()

    assert (gone, nobody) == ({"deleted": 2}, {"deleted": 0})
    assert api.get("recognition/subjects").json() == {"subjects": []}


def test_failures_have_its_codes_and_statuses(api: httpx.Client, examples: Path) -> None:
    landscape = {"file": _plain_picture()}
    group = {"file": (examples / "queries" / "group.jpg").read_bytes()}
    someone = {"subject": "Somebody"}
    assert _failure(api.post("recognition/recognize", files=landscape)) == (400, 28)
    assert _failure(api.post("recognition/faces", files=landscape, params=someone)) == (400, 28)
    assert _failure(api.post("recognition/faces", files=group, params=someone)) == (400, 31)
    assert _failure(api.post("recognition/faces", files=_photo(examples, "Joe Biden"))) == (400, 33)
    assert _failure(api.post("recognition/faces", params=someone)) == (400, 34)
    assert _failure(api.post("recognition/faces", files={"file": b"no picture at all"}, params=someone)) == (400, 21)
    assert _failure(api.post("recognition/recognize", json={"file": "§"})) == (400, 21)
    assert _failure(api.post("recognition/recognize", params={"limit": -1}, files=group)) == (400, 26)
    assert _failure(api.post("recognition/recognize", params={"prediction_count": 0}, files=group)) == (400, 26)
    assert _failure(api.post("verification/verify", files={"source_image": group["file"]})) == (400, 34)
    assert _failure(
        api.post("verification/verify", files=dict.fromkeys(("source_image", "target_image"), group["file"]))
    ) == (
        400,
        31,
    )
    assert _failure(api.get("recognition/nothing-here")) == (404, 0)
    assert _failure(api.patch("recognition/subjects")) == (404, 0)
    assert _failure(api.get("static/some-key/images/some-image")) == (404, 0)
    assert _failure(api.post("recognition/faces", files=group, params=someone | {"limit": "1"})) == (400, 31)
    assert _failure(api.get("recognition/faces", params={"page": "first"})) == (400, 26)
    assert _failure(api.get("recognition/subjects", headers={"x-api-key": "no such key"})) == (404, 10)
    assert api.get("recognition/subjects").json() == {"subjects": []}  # Nobody was made by what failed.


def test_the_same_photo_is_one_example_and_stays_whose_it_was(api: httpx.Client, examples: Path) -> None:
    first, again = _add(api, examples, "Barack Obama"), _add(api, examples, "Barack Obama")
    other = api.post("recognition/faces", params={"subject": "Else"}, files=_photo(examples, "Barack Obama"))

    assert first == again
    assert _failure(other) == (400, 26)
    assert api.get("recognition/subjects").json() == {"subjects": ["Barack Obama"]}
    assert api.get("recognition/faces").json()["total_elements"] == 1


def test_with_nobody_enrolled_a_face_has_no_subjects(api: httpx.Client, examples: Path) -> None:
    [face] = api.post("recognition/recognize", files=_photo(examples, "Joe Biden")).json()["result"]

    assert face["subjects"] == []


def test_double_takes_requests_are_understood_as_it_sends_them(api: httpx.Client, examples: Path) -> None:
    for person in ("Barack Obama", "<img src=x onerror=alert(1)>"):
        picture = _photo(examples, "Joe Biden" if person.startswith("<") else person)
        assert api.post("recognition/faces", params={"subject": person}, files=picture).is_success
    asked = "recognition/recognize?face_plugins=undefined&det_prob_threshold=0.8"
    [obama] = api.post(asked, files={"file": (examples / "queries" / "one.jpg").read_bytes()}).json()["result"]
    [biden] = api.post(asked, files=_photo(examples, "Joe Biden")).json()["result"]
    nobody = api.post(asked, files={"file": _plain_picture()}).json()
    gone = api.delete("recognition/faces", params={"subject": "<img src=x onerror=alert(1)>"}).json()

    assert round(100 * obama["subjects"][0]["similarity"], 2) >= 60  # Its match.confidence.
    assert biden["subjects"][0]["subject"] == "<img src=x onerror=alert(1)>"
    assert nobody["code"] == 28
    assert gone == {"deleted": 1}


def test_a_request_that_is_repeated_with_its_key_is_done_once(api: httpx.Client) -> None:
    once = {"Idempotency-Key": "made-once"}
    made = [api.post("recognition/subjects", json={"subject": "Ana"}, headers=once) for _ in range(2)]

    assert [(answer.status_code, answer.json()) for answer in made] == [(201, {"subject": "Ana"})] * 2


def test_pictures_are_not_to_be_had_by_an_address_with_a_key_in_it(service: Running) -> None:
    answer = httpx.get(f"{service.instance()['url']}/api/v1/static/some-key/images/some-image")

    assert _failure(answer) == (404, 0)
    assert "x-api-key" in answer.json()["message"]


def test_a_request_without_its_header_is_told_which(service: Running) -> None:
    instance = service.instance()
    bearer = {"Authorization": f"Bearer {instance['api_key']}"}
    for headers in ({}, bearer):
        answer = httpx.get(f"{instance['url']}/api/v1/recognition/subjects", headers=headers)
        assert _failure(answer) == (400, 20)
        assert answer.json()["message"] == "Missing header: x-api-key"


def test_a_key_may_do_what_its_scopes_say(service: Running, gallery: str, examples: Path) -> None:
    for api in _api(service, gallery, ["search"]):
        assert _failure(api.get("recognition/subjects")) == (403, 1)
        assert _failure(
            api.post("recognition/faces", params={"subject": "x"}, files=_photo(examples, "Joe Biden"))
        ) == (
            403,
            1,
        )
        assert api.post("detection/detect", files=_photo(examples, "Joe Biden")).status_code == 200


def test_its_own_client_does_all_that_it_can(service: Running, gallery: str, examples: Path) -> None:
    if not _SDK.is_dir():
        missing(".venv/compreface-sdk is not there: make test installs it")
    key = service.client().keys.create("sdk", ["search", "read", "enrol", "manage"], collections=[gallery])["secret"]
    port = service.instance()["url"].rpartition(":")[2]
    script = Path(__file__).with_name("compreface_sdk.py")
    done = subprocess.run(
        [sys.executable, str(script), port, key, str(examples)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(_SDK)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["made"] == {"subject": "Grace Hopper"}
    assert [set(one) for one in told["added"]] == [{"image_id", "subject"}] * 4
    assert [one["subject"] for one in told["listed"]["faces"]] == [
        "Barack Obama",
        "Joe Biden",
        "Eileen Collins",
        "Grace Hopper",
    ]
    named = [face["subjects"][0] for face in told["recognised"]["result"]]
    assert {one["subject"] for one in named} == {"Barack Obama", "Joe Biden", "Eileen Collins"}
    assert all(one["similarity"] >= ACCEPTED for one in named)
    assert told["verified_example"]["result"][0]["similarity"] >= ACCEPTED
    assert told["verified"]["result"][0]["face_matches"][0]["similarity"] >= ACCEPTED
    assert told["other"]["result"][0]["face_matches"][0]["similarity"] < ACCEPTED
    assert len(told["detected"]["result"]) == 3
    assert told["no_face"] == {"message": "No face is found in the given image", "code": 28}
    assert told["renamed"] == {"updated": True}
    assert told["subjects"] == {"subjects": ["Barack Obama", "Eileen Collins", "Grace Hopper", "Joseph Biden"]}
    assert told["deleted_example"] == told["added"][0]
    assert told["deleted_examples"] == {"deleted": 1}
    assert told["deleted_subject"] == {"subject": "Joseph Biden"}
    assert told["deleted_subjects"] == {"deleted": 2}
    assert told["left"] == {"subjects": []}


def _plain_picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (320, 240), (90, 140, 180)).save(out, "JPEG")
    return out.getvalue()
