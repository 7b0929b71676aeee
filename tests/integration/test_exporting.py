"""An export has everything that is held about a person, and nothing of anybody else's."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

from services.catalog.privacy.about import NOT_PERSONAL, TOLD
from services.catalog.tables.every import METADATA
from services.local import seaweedfs
from services.local.instance import Instance
from tests.running import Running


def test_every_table_is_told_of_or_said_not_to_be_personal() -> None:
    tables = set(METADATA.tables)

    assert not set(TOLD) & set(NOT_PERSONAL)
    assert tables == (set(TOLD) | set(NOT_PERSONAL))


def test_a_table_that_points_at_people_faces_or_photos_is_told_of() -> None:
    pointing = {
        table.name
        for table in METADATA.tables.values()
        for key in table.foreign_keys
        if key.column.table.name in {"people", "faces", "photos"}
    }

    assert pointing <= set(TOLD)


def test_an_export_has_rows_embeddings_photos_and_chips_of_one_person_alone(
    service: Running, enrolled: str, examples: Path
) -> None:
    client = service.client(enrolled)
    people = list(client.people.list())
    one = max(people, key=lambda person: person["faces"])
    client.people.change(one["id"], attributes={"team": "Research"}, expires_at="2999-12-31")
    client.people.consent(one["id"], given_at="2026-01-31", text="I agree.")

    content = client.people.export(one["id"])

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        files = {name: archive.read(name) for name in archive.namelist()}
    held = json.loads(files["person.json"])
    assert (held["name"], held["attributes"]) == (one["name"], {"team": "Research"})
    assert [consent["notice"] for consent in held["consents"]] == ["I agree."]
    given = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (examples / "people" / one["name"]).iterdir()}
    photos = {hashlib.sha256(data).hexdigest() for name, data in files.items() if name.startswith("photos/")}
    assert given == photos
    faces = [json.loads(data) for name, data in files.items() if name.startswith("faces/")]
    assert len(faces) == one["faces"]
    assert all(len(each["embeddings"][0]["vector"]) == 512 for each in faces)
    assert sum(name.startswith("chips/") for name in files) == one["faces"]
    assert len(files["items.jsonl"].splitlines()) == one["faces"]
    assert json.loads(files["missing.json"]) == []
    texts = b"".join(data for name, data in files.items() if name.endswith((".json", ".jsonl", ".txt")))
    for other in people:
        if other["id"] != one["id"]:
            assert other["name"].encode() not in texts
            assert other["id"].encode() not in texts


def test_photos_that_show_others_can_be_left_out(service: Running, gallery: str, examples: Path) -> None:
    group = next(path for path in sorted((examples / "queries").iterdir()) if path.stem == "group")
    client = service.client(gallery)
    job = client.imports.open("test", faces="all")
    client.imports.upload(job, [(group.name, group.read_bytes())], [{"person": "Ana"}])
    client.imports.close(job)
    assert service.ended(job, gallery)["done"] == 1
    [ana] = client.people.named("Ana")

    everything = client.people.export(ana["id"])
    alone = client.people.export(ana["id"], others="left_out")

    def photos(content: bytes) -> int:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return sum(name.startswith("photos/") for name in archive.namelist())

    assert (photos(everything), photos(alone)) == (1, 0)
    with zipfile.ZipFile(io.BytesIO(alone)) as archive:
        assert any(name.startswith("chips/") for name in archive.namelist())


def test_what_is_damaged_or_lost_does_not_keep_the_rest_back(service: Running, gallery: str, examples: Path) -> None:
    photo = (examples / "people" / "Grace Hopper" / "1.jpg").read_bytes()
    service.enrol({"Grace": [photo]}, gallery)
    client, store = service.client(gallery), seaweedfs.store(Instance.read(service.data))
    [grace] = client.people.named("Grace")
    [shown] = client.people.show(grace["id"])["shown_in"]
    of_photo = {stored.key for stored in store.list() if stored.key.endswith(shown["photo_id"])}
    original, thumbnail = sorted(of_photo)
    bytes_there = store.get(original)
    store.put(original, bytes_there[:-1] + bytes([bytes_there[-1] ^ 1]))
    store.delete_many([thumbnail])

    content = client.people.export(grace["id"])

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        lost = json.loads(archive.read("missing.json"))
        assert [name.split("/")[0] for name in lost] == ["photos", "thumbnails"]
        assert sum(name.startswith("chips/") for name in archive.namelist()) == 1
