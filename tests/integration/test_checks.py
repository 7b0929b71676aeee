"""Checks as people ask for them: over HTTP, by the command line, without a service; and what status tells of the last one."""

from pathlib import Path

import pytest
from sqlalchemy import select, update

from services.catalog import collections
from services.catalog.engine import Catalog
from services.catalog.schema import Embedding, Face
from services.cli.service import ServiceError
from services.local import seaweedfs
from services.local.instance import Instance
from services.photos.store import PhotoStore
from tests.running import Running

pytestmark = pytest.mark.slow


def store_of(service: Running) -> PhotoStore:
    """The photo store of the service, behind its back."""
    return seaweedfs.store(Instance.read(service.data))


def faces_of(service: Running, gallery: str) -> list[Face]:
    """What its catalog has of a collection."""
    catalog = Catalog(f"sqlite:///{service.data / 'catalog' / 'catalog.sqlite'}")
    try:
        with catalog.reading() as session:
            found = collections.by_name(session, gallery)
            wanted = select(Face).where(Face.collection_id == found.id, Face.chip_key.is_not(None))
            return list(session.scalars(wanted.order_by(Face.id)))
    finally:
        catalog.close()


def exchange(service: Running, gallery: str) -> Face:
    """Give the first face of a collection the last one's embedding, behind the service's back."""
    first, *_, last = faces_of(service, gallery)
    catalog = Catalog(f"sqlite:///{service.data / 'catalog' / 'catalog.sqlite'}")
    with catalog.transaction() as session:
        vector = session.scalar(select(Embedding.vector).where(Embedding.face_id == last.id))
        session.execute(update(Embedding).where(Embedding.face_id == first.id).values(vector=vector))
    catalog.close()
    return first


def test_what_was_lost_is_found_mended_and_searched_again(service: Running, enrolled: str) -> None:
    client = service.client(enrolled)
    face = faces_of(service, enrolled)[0]
    with service.http(params={"collection": enrolled}) as http:
        before = http.post("/v1/search", json={"face_id": face.public_id}).json()
    store_of(service).delete(face.chip_key or "")

    found = service.ended(client.send("POST", "/v1/checks", body={})["job"], enrolled)
    mended = service.ended(client.send("POST", "/v1/checks", body={"repair": True})["job"], enrolled)

    assert (found["kind"], found["state"], found["result"]["problems"]) == ("check", "done", {"chip_missing": 1})
    assert mended["result"]["mended"] == {"chip_missing": 1}
    with service.http(params={"collection": enrolled}) as http:
        listed = http.get("/v1/checks", params={"limit": 2}).json()["items"]
        chip = http.get(f"/v1/faces/{face.public_id}/chip")
        [head] = [c["head"] for c in client.status()["collections"] if c["name"] == enrolled]
        after = http.post("/v1/search", json={"face_id": face.public_id}, params={"after": head}).json()
    assert [(one["ok"], one["remaining"]) for one in listed] == [(False, {}), (False, {"chip_missing": 1})]
    assert chip.status_code == 200
    assert _people(after) == _people(before)


def _people(answer: dict[str, list[dict[str, list[dict[str, dict[str, str]]]]]]) -> list[str]:
    return [match["person"]["name"] for face in answer["faces"] for match in face["matches"]]


def test_status_and_metrics_tell_what_the_last_whole_check_has_left(service: Running, enrolled: str) -> None:
    client = service.client(enrolled)
    photo = client.people.show(client.people.named("Grace Hopper")[0]["id"])["shown_in"][0]["photo_id"]
    gallery_id = faces_of(service, enrolled)[0].collection_id
    store_of(service).delete(f"photos/{gallery_id}/{photo}")

    whole = service.ended(client.send("POST", "/v1/checks", body={})["job"], enrolled)
    part = service.ended(client.send("POST", "/v1/checks", body={"objects": False, "checksums": 0})["job"], enrolled)

    assert (whole["result"]["remaining"], part["result"]["ok"]) == ({"photo_missing": 1}, True)
    [gallery] = [c for c in client.status()["collections"] if c["name"] == enrolled]
    assert (gallery["check"]["job"], gallery["check"]["remaining"]) == (whole["id"], {"photo_missing": 1})
    assert "1 photo_missing (colega check --repair" in service.colega("status").stdout
    with service.http() as http:
        [line] = [each for each in http.get("/metrics").text.splitlines() if 'problems{kind="photo_missing"}' in each]
    assert float(line.split()[-1]) >= 1


def test_the_command_says_by_its_exit_status_whether_all_is_well(service: Running, enrolled: str) -> None:
    well = service.colega("check", collection=enrolled)
    face = exchange(service, enrolled)
    wrong = service.colega("check", "--full", collection=enrolled)
    mended = service.answer("check", "--repair", collection=enrolled)
    again = service.colega("check", "--sample", "2", collection=enrolled)
    nobody = service.colega("check", collection="nobody")

    assert (well.returncode, wrong.returncode, again.returncode, nobody.returncode) == (0, 1, 0, 2), wrong.stderr
    assert "all is well" in well.stdout
    assert "1 wrong; `colega check --repair` mends" in wrong.stdout
    assert face.public_id in wrong.stdout
    told = mended["collections"][enrolled]
    assert (mended["ok"], told["mended"], told["remaining"]) == (False, {"embedding_wrong": 1}, {})


def test_only_an_administrator_has_checks_begun(service: Running, enrolled: str) -> None:
    key = service.client().keys.create("reader", ["read"])["secret"]

    with service.http(headers={"Authorization": f"Bearer {key}"}, params={"collection": enrolled}) as http:
        assert http.post("/v1/checks", json={}).status_code == 403
        assert http.get("/v1/checks").status_code == 200
    for body in ({"checksums": "some"}, {"embeddings": -1}, {"nothing": 1}):
        with pytest.raises(ServiceError) as refused:
            service.client(enrolled).send("POST", "/v1/checks", body=body)
        assert refused.value.status == 422


def test_every_collection_is_checked_and_a_stopped_service_over_its_folder(tmp_path: Path, examples: Path) -> None:
    service = Running(tmp_path / "data")
    service.workers = 1
    service.start()
    try:
        service.client().imports.create(examples / "people")
        service.client().send("POST", "/v1/collections", body={"name": "empty"})
        every = service.answer("check", "--sample", "1")
        beside = service.answer("check", "--offline", "--sample", "1")
        face = faces_of(service, "default")[0]
        store_of(service).delete(face.chip_key or "")
    finally:
        service.stop()

    wrong = service.colega("check", "--offline", collection="default")
    mended = service.answer("check", "--offline", "--repair", collection="default")
    well = service.colega("check", "--offline", collection="default")

    assert set(every["collections"]) == set(beside["collections"]) == {"default", "empty"}
    assert (every["ok"], beside["ok"]) == (True, True)
    assert (wrong.returncode, well.returncode) == (1, 0), wrong.stderr
    assert face.public_id in wrong.stdout
    assert mended["collections"]["default"]["mended"] == {"chip_missing": 1}
