"""Imports over the API: what is told of them while they run and afterwards, and what may be mended."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from services.cli.client import Client
from services.cli.service import Document, ServiceError
from tests.running import Running

pytestmark = pytest.mark.slow


def test_what_was_rejected_is_explained_shown_and_reported(service: Running, gallery: str, examples: Path) -> None:
    client, group = service.client(gallery), (examples / "queries" / "group.jpg").read_bytes()
    photos = [
        ("ana/group.jpg", group, "Ana"),
        ("ana/wall.png", _wall(), "Ana"),
        ("ben/cut.jpg", group[:5000], "Ben"),
        ("=joe/1.jpg", (examples / "people" / "Joe Biden" / "1.jpg").read_bytes(), "Joe"),
    ]
    job = _imported(service, gallery, photos, faces="reject")

    whole = client.jobs.show(job)
    assert (whole["received"], whole["people"]) == (4, 1)
    assert whole["reasons"] == {"no_face": 1, "several_faces": 1, "truncated": 1}

    items = {item["name"]: item for item in client.jobs.items(job)}
    assert {name: item["has_thumbnail"] for name, item in items.items()} == {
        "ana/group.jpg": True,
        "ana/wall.png": True,
        "ben/cut.jpg": False,
        "=joe/1.jpg": True,
    }
    picture = client.send("GET", f"/v1/photos/{items['ana/wall.png']['photo_id']}/thumbnail")["content"]
    assert Image.open(io.BytesIO(picture)).size == (320, 240)

    [faceless] = client.send("GET", f"/v1/jobs/{job}/items", query={"reason": "no_face"})["items"]
    assert faceless["name"] == "ana/wall.png"

    nobody = client.send("GET", f"/v1/jobs/{job}/people", query={"none_taken": True})["items"]
    assert [(one["person"]["name"], one["photos"], one["reason"]) for one in nobody] == [
        ("Ana", 2, None),
        ("Ben", 1, "truncated"),
    ]

    with service.http(params={"collection": gallery}) as http:
        answer = http.get(f"/v1/jobs/{job}/report.csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert f'filename="{job}.csv"' in answer.headers["Content-Disposition"]
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(line["path"], line["status"], line["reason"]) for line in lines] == [
        ("ana/group.jpg", "rejected", "several_faces"),
        ("ana/wall.png", "rejected", "no_face"),
        ("ben/cut.jpg", "rejected", "truncated"),
        ("'=joe/1.jpg", "done", ""),
    ]


def test_a_rejected_photo_is_enrolled_by_the_face_that_is_meant(service: Running, gallery: str, examples: Path) -> None:
    client = service.client(gallery)
    photo = (examples / "queries" / "group.jpg").read_bytes()
    job = _imported(service, gallery, [("group.jpg", photo, "Somebody")], faces="reject")
    [item] = client.jobs.items(job)

    found = client.send("POST", "/v1/detect", body={"photo_id": item["photo_id"]})["faces"]
    right = max(found, key=lambda face: face["box"]["x"])
    body = {"photo_id": item["photo_id"], "person": "Eileen Collins", "box": right["box"]}
    client.send("POST", f"/v1/jobs/{job}/retry", body=body)

    ended = service.ended(job, gallery)
    assert (ended["done"], ended["rejected"]) == (1, 0)
    faces = client.send("GET", f"/v1/photos/{item['photo_id']}")["faces"]
    named = {face["person"]["name"]: face["box"]["x"] for face in faces if face["person"]}
    assert named == {"Eileen Collins": max(face["box"]["x"] for face in faces)}
    with pytest.raises(ServiceError, match="is not rejected in this job"):
        client.send("POST", f"/v1/jobs/{job}/retry", body=body)


def test_several_faces_are_no_obstacle_where_the_largest_is_wanted_later(
    service: Running, gallery: str, examples: Path
) -> None:
    client = service.client(gallery)
    photo = [("group.jpg", (examples / "queries" / "group.jpg").read_bytes(), "Joe")]
    first = _imported(service, gallery, photo, faces="reject")

    again = _imported(service, gallery, photo, faces="reject")
    assert client.jobs.show(again)["rejected"] == 1
    largest = _imported(service, gallery, photo, faces="largest")
    assert client.jobs.show(largest)["done"] == 1
    client.send("POST", f"/v1/jobs/{first}/retry", body={"faces": "largest"})
    assert service.ended(first, gallery)["duplicate"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {"person": "Ana"},
        {"photo_id": "pho_0", "person": "Ana", "person_id": "per_0"},
        {"box": {"x": 0, "y": 0, "w": 1, "h": 1}},
        {"photo_id": "pho_0", "box": {"x": 0, "y": 0, "w": 0, "h": 1}},
        {"faces": "none"},
    ],
    ids=str,
)
def test_what_is_said_twice_or_of_nothing_is_refused(service: Running, gallery: str, body: Document) -> None:
    client = service.client(gallery)
    job = client.imports.open("empty")

    with pytest.raises(ServiceError) as refused:
        client.send("POST", f"/v1/jobs/{job}/retry", body=body)
    assert refused.value.problem["type"] == "/problems/invalid-request"


def test_events_from_now_on_leave_out_what_was_and_end_with_the_import(
    service: Running, gallery: str, examples: Path
) -> None:
    client = service.client(gallery)
    job = client.imports.open("staff", expected=2)
    _send(client, job, "first.jpg", (examples / "people" / "Joe Biden" / "1.jpg").read_bytes())
    service.wait_until(lambda: client.jobs.show(job)["done"] == 1)

    with (
        service.http(params={"collection": gallery}) as http,
        http.stream("GET", f"/v1/jobs/{job}/events", params={"after": "now"}) as stream,
    ):
        lines = stream.iter_lines()
        assert json.loads(_data(lines, "progress"))["received"] == 1
        _send(client, job, "second.jpg", (examples / "people" / "Grace Hopper" / "1.jpg").read_bytes())
        item = json.loads(_data(lines, "item"))
        client.imports.close(job)
        end = json.loads(_data(lines, "end"))

    assert (item["name"], item["person"]["name"]) == ("second.jpg", "Somebody")
    assert (end["state"], end["done"]) == ("done", 2)


def _imported(service: Running, gallery: str, photos: list[tuple[str, bytes, str]], *, faces: str) -> str:
    """An import of photos with the people they are said to show, at its end; the job."""
    client = service.client(gallery)
    job = client.imports.open("test", faces=faces, expected=len(photos))
    labels = [{"person": person} for *_, person in photos]
    client.imports.upload(job, [(name, data) for name, data, _ in photos], labels)
    client.imports.close(job)
    service.ended(job, gallery)
    return job


def _send(client: Client, job: str, name: str, photo: bytes) -> None:
    client.imports.upload(job, [(name, photo)], [{"person": "Somebody"}])


def _data(lines: Iterator[str], kind: str) -> str:
    """The data of the next event of that kind."""
    for line in lines:
        if line == f"event: {kind}":
            return next(lines).removeprefix("data: ")
    raise AssertionError(f"no {kind}")


def _wall() -> bytes:
    """A picture in which nobody is."""
    out = io.BytesIO()
    Image.linear_gradient("L").resize((640, 480)).convert("RGB").save(out, "PNG")
    return out.getvalue()
