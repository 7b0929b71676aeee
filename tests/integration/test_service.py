"""What users do, on the whole service: import, ask, enrol, change their mind."""

import concurrent.futures
import csv
import io
import json
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from services.cli.service import ServiceError
from tests import nets
from tests.running import Running

pytestmark = pytest.mark.slow


def _variants(photo: Path, count: int) -> list[bytes]:
    """The same face in *count* different files."""
    with Image.open(photo) as opened:
        picture = opened.convert("RGB")
    files = []
    for n in range(count):
        out = io.BytesIO()
        picture.resize((picture.width - n, picture.height - n)).save(out, "JPEG", quality=90)
        files.append(out.getvalue())
    return files


def test_a_directory_of_people_is_imported_and_everybody_is_named(
    service: Running, gallery: str, examples: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.csv"
    done = service.colega("import", str(examples / "people"), "--report", str(report), collection=gallery)

    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(report.read_text(encoding="utf-8"))))
    assert [(row["person"], row["status"], row["faces"]) for row in rows] == [
        ("Barack Obama", "done", "1"),
        ("Barack Obama", "done", "1"),
        ("Eileen Collins", "done", "1"),
        ("Grace Hopper", "done", "1"),
        ("Joe Biden", "done", "1"),
    ]
    assert service.names(examples / "queries" / "one.jpg", gallery) == ["Barack Obama"]
    group = service.names(examples / "queries" / "group.jpg", gallery)
    assert group == ["Barack Obama", "Joe Biden", "Eileen Collins"]


def test_a_second_import_finds_everything_there(service: Running, enrolled: str, examples: Path) -> None:
    again = service.answer("import", str(examples / "people"), collection=enrolled)

    assert (again["done"], again["duplicate"], again["rejected"]) == (0, 5, 0)
    assert sum(person["faces"] for person in service.answer("people", "list", collection=enrolled)) == 5


def test_verify_says_same_and_different_by_its_exit_code(service: Running, enrolled: str, examples: Path) -> None:
    one, biden = str(examples / "queries" / "one.jpg"), str(examples / "people" / "Joe Biden" / "1.jpg")

    same = service.colega("verify", one, "person:Barack Obama", collection=enrolled)
    different = service.colega("verify", one, biden, collection=enrolled)
    nobody = service.colega("verify", one, "person:Nobody", collection=enrolled)

    assert (same.returncode, different.returncode, nobody.returncode) == (0, 1, 2)
    assert "There is no person Nobody" in nobody.stderr


def test_a_newcomer_is_found_by_the_next_search(service: Running, gallery: str, examples: Path) -> None:
    photo = examples / "people" / "Grace Hopper" / "1.jpg"
    assert service.names(photo, gallery) == ["unknown"]

    added = service.answer("people", "add", "Grace", str(photo), collection=gallery)

    assert service.names(photo, gallery, after=added["job"]["sequence"]) == ["Grace"]


def test_a_person_is_renamed_merged_and_erased(service: Running, enrolled: str, examples: Path) -> None:
    client = service.client(enrolled)
    obama, biden = client.people.named("Barack Obama")[0], client.people.named("Joe Biden")[0]

    client.people.rename(obama["id"], "B. Obama")
    assert service.names(examples / "queries" / "one.jpg", enrolled) == ["B. Obama"]
    merged = client.people.merge(biden["id"], obama["id"])
    assert service.names(examples / "people" / "Joe Biden" / "1.jpg", enrolled, merged["sequence"]) == ["B. Obama"]
    erased = client.people.delete(obama["id"])

    assert service.names(examples / "queries" / "one.jpg", enrolled, erased["sequence"]) == ["unknown"]
    assert {p["name"] for p in client.people.list()} == {"Eileen Collins", "Grace Hopper"}


def test_what_is_erased_is_never_answered_even_by_a_late_replica(
    service: Running, enrolled: str, examples: Path
) -> None:
    client = service.client(enrolled)
    client.people.delete(client.people.named("Barack Obama")[0]["id"])

    assert service.names(examples / "queries" / "one.jpg", enrolled) == ["unknown"]  # Without `after`.


def test_a_face_moves_to_another_person(service: Running, enrolled: str, examples: Path) -> None:
    client = service.client(enrolled)
    hopper = client.people.show(client.people.named("Grace Hopper")[0]["id"])
    biden = client.people.named("Joe Biden")[0]

    moved = client.faces.assign(hopper["shown_in"][0]["id"], biden["id"])

    photo = examples / "people" / "Grace Hopper" / "1.jpg"
    assert service.names(photo, enrolled, moved["sequence"]) == ["Joe Biden"]


def test_a_deleted_photo_takes_its_objects_along(service: Running, enrolled: str) -> None:
    client = service.client(enrolled)
    hopper = client.people.show(client.people.named("Grace Hopper")[0]["id"])
    face = hopper["shown_in"][0]
    with service.http(params={"collection": enrolled}) as http:
        kept = [f"/v1/photos/{face['photo_id']}/{what}" for what in ("thumbnail", "raw")]
        kept.append(f"/v1/faces/{face['id']}/chip")
        assert [http.get(path).status_code for path in kept] == [200, 200, 200]

        client.photos.delete(face["photo_id"])

        assert [http.get(path).status_code for path in kept] == [404, 404, 404]


def test_fifty_photos_by_eight_clients_at_once_are_one_person(service: Running, gallery: str, examples: Path) -> None:
    photos = _variants(examples / "people" / "Eileen Collins" / "1.jpg", 50)
    job = service.client(gallery).imports.open("eight clients", expected=50)

    def send(part: int) -> None:
        client = service.client(gallery)
        for n in range(part, 50, 8):
            client.imports.upload(job, [(f"{n}.jpg", photos[n])], [{"person": "Eileen Collins"}])

    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        list(clients.map(send, range(8)))
    service.client(gallery).imports.close(job)

    assert service.ended(job, gallery)["done"] == 50
    [person] = service.client(gallery).people.list()
    assert (person["name"], person["faces"]) == ("Eileen Collins", 50)


def test_the_same_photo_of_another_person_stays_whose_it_is(service: Running, enrolled: str, examples: Path) -> None:
    photo = (examples / "people" / "Joe Biden" / "1.jpg").read_bytes()

    job = service.enrol({"Somebody Else": [photo]}, enrolled)

    [item] = service.client(enrolled).jobs.items(job["id"])
    assert (item["status"], item["reason"]) == ("rejected", "other_person")


def test_a_photo_without_a_name_is_given_one_later(service: Running, gallery: str, examples: Path) -> None:
    photo = examples / "people" / "Joe Biden" / "1.jpg"
    client = service.client(gallery)
    first = client.send("POST", "/v1/photos", photos=[("photo", photo)])
    service.ended(first["job"], gallery)
    assert [face["has_chip"] for face in client.faces.unassigned()] == [True]

    job = service.enrol({"Joe Biden": [photo.read_bytes()]}, gallery)

    assert job["done"] == 1
    assert list(client.faces.unassigned()) == []
    assert service.names(photo, gallery, job["sequence"]) == ["Joe Biden"]


@pytest.mark.parametrize(
    ("faces", "end", "chips"), [("largest", "done", 1), ("all", "done", 3), ("reject", "rejected", 0)]
)
def test_a_group_photo_is_imported_as_asked(
    service: Running, gallery: str, examples: Path, tmp_path: Path, faces: str, end: str, chips: int
) -> None:
    folder = tmp_path / "Somebody"
    folder.mkdir()
    (folder / "group.jpg").write_bytes((examples / "queries" / "group.jpg").read_bytes())

    summary = service.answer("import", str(tmp_path), "--faces", faces, collection=gallery)

    assert summary[end] == 1
    client = service.client(gallery)
    photo_id = next(iter(client.jobs.items(summary["job"])))["photo_id"]
    kept = client.photos.show(photo_id)["faces"]
    assert sum(face["has_chip"] for face in kept) == chips
    assert len(kept) == (0 if faces == "reject" else 3)
    assert all(face["landmarks"] is None for face in kept if not face["has_chip"])  # A bystander is a box and a score.


def test_an_archive_is_unpacked_by_a_worker(service: Running, gallery: str, examples: Path, tmp_path: Path) -> None:
    archive = tmp_path / "people.zip"
    with zipfile.ZipFile(archive, "w") as made:
        for photo in sorted((examples / "people").rglob("*.jpg")):
            made.write(photo, photo.relative_to(examples / "people"))
        made.writestr("../evil.jpg", b"x")
        made.writestr("Ana/.DS_Store", b"x")

    with service.http(params={"collection": gallery}) as http, archive.open("rb") as file:
        answer = http.post("/v1/imports", files={"archive": ("people.zip", file)})

    assert answer.status_code == 202
    job = service.ended(answer.json()["job"], gallery)
    reasons = {i["reason"] for i in service.client(gallery).jobs.items(job["id"], "rejected")}
    assert (job["done"], reasons) == (5, {"unsafe_path", "hidden_or_system_file"})
    assert service.names(examples / "queries" / "one.jpg", gallery, job["sequence"]) == ["Barack Obama"]


def test_events_tell_a_job_to_its_end_and_go_on_where_they_stopped(
    service: Running, gallery: str, examples: Path
) -> None:
    job = service.enrol({"Joe Biden": [(examples / "people" / "Joe Biden" / "1.jpg").read_bytes()]}, gallery)

    with service.http(params={"collection": gallery}) as http:
        text = http.get(f"/v1/jobs/{job['id']}/events").text
        events = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.strip().split("\n\n")]
        again = http.get(f"/v1/jobs/{job['id']}/events", headers={"Last-Event-ID": events[0]["id"]}).text

    assert [event["event"] for event in events] == ["item", "progress", "end"]
    assert json.loads(events[-1]["data"])["done"] == 1
    assert "event: item" not in again


def test_an_export_holds_what_is_known(service: Running, enrolled: str, examples: Path) -> None:
    client = service.client(enrolled)
    content = client.people.export(client.people.named("Barack Obama")[0]["id"])

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        known = json.loads(archive.read("person.json"))
        photos = {archive.read(name) for name in archive.namelist() if name.startswith("photos/")}

    assert known["name"] == "Barack Obama"
    assert photos == {path.read_bytes() for path in (examples / "people" / "Barack Obama").glob("*.jpg")}


def test_one_person_is_named_once_in_a_photo_unless_asked(service: Running, gallery: str, examples: Path) -> None:
    photo = examples / "people" / "Joe Biden" / "1.jpg"
    with Image.open(photo) as one:
        two = Image.new("RGB", (2 * one.width, one.height))
        two.paste(one, (0, 0))
        two.paste(one, (one.width, 0))
    out = io.BytesIO()
    two.save(out, "JPEG", quality=92)
    job = service.enrol({"Joe Biden": [photo.read_bytes()]}, gallery)

    with service.http(params={"collection": gallery, "after": job["sequence"]}) as http:
        once = http.post("/v1/search", files={"photo": ("two.jpg", out.getvalue())}).json()
        twice = http.post("/v1/search", params={"unique": "false"}, files={"photo": ("two.jpg", out.getvalue())}).json()

    assert sorted(face["decision"] for face in once["faces"]) == ["match", "unknown"]
    assert [face["decision"] for face in twice["faces"]] == ["match", "match"]


def test_a_job_can_be_cancelled_and_taken_up_again(service: Running, gallery: str, examples: Path) -> None:
    client = service.client(gallery)
    job = client.imports.open("to be cancelled")
    photos = _variants(examples / "people" / "Joe Biden" / "1.jpg", 12)
    client.imports.upload(
        job, [(f"{n}.jpg", data) for n, data in enumerate(photos)], [{"person": "Joe Biden"}] * len(photos)
    )

    cancelled = client.jobs.cancel(job)
    client.jobs.retry(job)

    assert cancelled["state"] == "cancelled"
    assert service.ended(job, gallery)["done"] == 12


def test_an_import_takes_nothing_after_it_was_closed(service: Running, gallery: str, examples: Path) -> None:
    client = service.client(gallery)
    job = client.imports.open("closed")
    client.imports.close(job)

    with pytest.raises(ServiceError, match="takes no more photos") as refused:
        client.imports.upload(job, [("a.jpg", (examples / "queries" / "one.jpg").read_bytes())], [{"person": "A"}])
    assert refused.value.status == 409


def test_a_name_that_looks_like_a_number_is_a_name(service: Running, gallery: str, examples: Path) -> None:
    photo = (examples / "people" / "Joe Biden" / "1.jpg").read_bytes()
    with service.http(params={"collection": gallery}) as http:
        taken = http.post("/v1/photos", data={"person": "123", "external_id": "007"}, files={"photo": photo}).json()
    service.ended(taken["job"], gallery)

    assert [(p["name"], p["external_id"]) for p in service.client(gallery).people.list()] == [("123", "007")]


def test_a_manifest_brings_names_external_ids_and_attributes(
    service: Running, gallery: str, examples: Path, tmp_path: Path
) -> None:
    for n, person in enumerate(("Joe Biden", "Grace Hopper")):
        (tmp_path / f"{n}.jpg").write_bytes((examples / "people" / person / "1.jpg").read_bytes())
    rows = 'path,person,external_id,department\r\n0.jpg,"Pérez, Ana",e-1,Sales\r\n1.jpg,"Pérez, Ana",e-2,\r\ngone.jpg,X,,\r\n'
    (tmp_path / "manifest.csv").write_text("\ufeff" + rows, encoding="utf-8")

    summary = service.answer("import", str(tmp_path), collection=gallery)

    assert (summary["done"], summary["reasons"]) == (2, {"missing_file": 1})
    people = {p["external_id"]: p for p in service.client(gallery).people.list()}
    assert [people[e]["name"] for e in ("e-1", "e-2")] == ["Pérez, Ana", "Pérez, Ana"]
    assert people["e-1"]["attributes"] == {"department": "Sales"}


def test_a_detector_that_was_brought_along_serves_new_collections(
    service: Running, examples: Path, shared: Path, tmp_path: Path
) -> None:
    detector = nets.as_another(shared / "models" / "yunet_2026may.onnx", tmp_path, "brought-along")
    service.answer("models", "add", str(detector), "--name", "brought-along", "--kind", "detector", "--licence", "MIT")
    gallery = service.collection()

    summary = service.answer("import", str(examples / "people"), collection=gallery)

    assert summary["done"] == 5
    assert service.names(examples / "queries" / "group.jpg", gallery) == ["Barack Obama", "Joe Biden", "Eileen Collins"]
    face = service.client(gallery).people.show(service.client(gallery).people.named("Joe Biden")[0]["id"])["shown_in"][
        0
    ]
    assert face["detection_rule"].startswith("yunet-1-")
    service.answer("models", "retire", "brought-along")
    assert "mtcnn" in json.dumps(service.client().send("GET", f"/v1/collections/{service.collection()}"))


def test_a_file_that_is_no_detector_is_refused(service: Running, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")

    added = service.colega("models", "add", str(tmp_path / "model.onnx"), "--name", "nonsense", "--kind", "detector")

    assert added.returncode == 2
    assert "not a YuNet detector" in added.stderr
