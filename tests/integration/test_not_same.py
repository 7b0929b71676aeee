"""What somebody said is not so is honoured by searches, clusters and lists, on the whole service."""

from pathlib import Path

import pytest

from services.cli.client import Client
from services.cli.service import Document, ServiceError
from tests.pictures import shrunk
from tests.running import Running

pytestmark = pytest.mark.slow


class Office:
    """The people of ``examples/``, with faces of nobody from photos of a group."""

    def __init__(self, service: Running, collection: str, examples: Path) -> None:
        self.service, self.collection, self.examples = service, collection, examples
        self.client: Client = service.client(collection)
        self.group = (examples / "queries" / "group.jpg").read_bytes()
        self.sequence = 0

    def person(self, name: str) -> str:
        return str(self.client.people.named(name)[0]["id"])

    def take_in(self, *photos: bytes, **label: str) -> None:
        """All faces of photos, of nobody where *label* names nobody."""
        job = self.client.imports.open("test", faces="largest" if label else "all")
        self.client.imports.upload(job, [(f"{n}.jpg", data) for n, data in enumerate(photos)], [label for _ in photos])
        self.client.imports.close(job)
        self.sequence = int(self.service.ended(job, self.collection)["sequence"])

    def post(self, path: str, **body: object) -> Document:
        changed = self.client.send("POST", f"/v1/{path}", body=body)
        self.sequence = int(changed.get("sequence") or self.sequence)
        return changed

    def names(self, **asked: object) -> list[list[str]]:
        """Who is listed for each face of the group's photo, or of a kept face; only those who are accepted."""
        if "face_id" in asked:
            answer = self.client.send("POST", "/v1/search", query={"after": self.sequence}, body=asked)
        else:
            answer = {**self.client.search(self.examples / "queries" / "group.jpg", after=self.sequence, k=3)}
        faces = sorted(answer["faces"], key=lambda face: face["box"]["x"] if face["box"] else 0)
        return [[m["person"]["name"] for m in face["matches"] if m["accepted"]] for face in faces]

    def clusters(self) -> list[Document]:
        found: list[Document] = self.client.faces.clusters(after=self.sequence)["items"]
        return found


@pytest.fixture
def office(service: Running, enrolled: str, examples: Path) -> Office:
    return Office(service, enrolled, examples)


def test_a_search_by_face_or_by_the_photos_bytes_no_longer_names_who_was_rejected(office: Office) -> None:
    office.take_in(office.group)
    before = office.names()
    named = {name for names in before for name in names}
    faces = {name: _face_like(office, name) for name in named}

    office.post(f"faces/{faces['Joe Biden']}/reject", person_id=office.person("Joe Biden"))

    assert [[n for n in names if n != "Joe Biden"] for names in before] == office.names()
    assert office.names(face_id=faces["Joe Biden"]) == [[]]
    assert office.names(face_id=faces["Barack Obama"]) == [["Barack Obama"]]
    [kept] = office.client.send("GET", f"/v1/faces/{faces['Joe Biden']}/rejections")["items"]
    assert (kept["person"]["name"], kept["face_id"]) == ("Joe Biden", None)

    office.client.send(
        "DELETE", f"/v1/faces/{faces['Joe Biden']}/reject", query={"person_id": office.person("Joe Biden")}
    )

    assert office.names() == before


def test_another_photo_of_the_same_face_is_searched_as_ever(office: Office, tmp_path: Path) -> None:
    office.take_in(office.group)
    office.post(f"faces/{_face_like(office, 'Joe Biden')}/reject", person_id=office.person("Joe Biden"))
    (tmp_path / "other.jpg").write_bytes(shrunk(office.group, 5))

    answer = office.client.search(tmp_path / "other.jpg", after=office.sequence)

    assert "Joe Biden" in {face["matches"][0]["person"]["name"] for face in answer["faces"]}


def test_a_face_of_somebody_becomes_nobodys_and_an_import_that_names_them_says_otherwise(office: Office) -> None:
    biden = office.person("Joe Biden")
    [face] = office.client.people.show(biden)["shown_in"]

    office.post(f"faces/{face['id']}/reject", person_id=biden)

    assert office.client.send("GET", f"/v1/faces/{face['id']}")["person"] is None
    assert [face["id"]] == [each["id"] for each in office.client.faces.unassigned()]

    office.take_in((office.examples / "people" / "Joe Biden" / "1.jpg").read_bytes(), person="Joe Biden")

    assert office.client.send("GET", f"/v1/faces/{face['id']}")["person"]["name"] == "Joe Biden"
    assert office.client.send("GET", f"/v1/faces/{face['id']}/rejections")["items"] == []
    assert office.names(face_id=face["id"]) == [["Joe Biden"]]


def test_a_cluster_proposes_the_next_person_and_is_rid_of_faces_that_were_taken_out(office: Office) -> None:
    office.take_in(office.group, shrunk(office.group, 7), shrunk(office.group, 20))
    cluster = next(c for c in office.clusters() if c["nearest"]["person"]["name"] == "Joe Biden")
    first, *others = [face["face_id"] for face in cluster["faces"]]

    office.post("faces/reject", face_ids=[first, *others], person_id=office.person("Joe Biden"))
    office.post(f"faces/{first}/reject", face_ids=others)

    [same] = [c for c in office.clusters() if {face["face_id"] for face in c["faces"]} & {first, *others}]
    assert {face["face_id"] for face in same["faces"]} == set(others)
    assert same["size"] == 2
    assert same["nearest"]["person"]["name"] != "Joe Biden"

    named = office.post("faces/assign", face_ids=others, person="Joseph")
    assert (named["created"], named["person"]["name"], set(named["face_ids"])) == (True, "Joseph", set(others))
    assert "Joseph" not in office.names(face_id=first)[0]  # It was said not to be who these are.
    assert office.names(face_id=others[0])[0][:1] == ["Joseph"]


def test_two_people_who_are_two_are_not_listed_as_alike_again_until_that_is_taken_back(office: Office) -> None:
    photo = (office.examples / "people" / "Joe Biden" / "1.jpg").read_bytes()
    office.take_in(shrunk(photo, 3), person="J. Biden")
    one, other = office.person("Joe Biden"), office.person("J. Biden")

    def pairs() -> list[set[str]]:
        found = office.client.people.alike(after=office.sequence)["items"]
        return [{person["id"] for person in pair["people"]} for pair in found]

    assert {one, other} in pairs()
    told = office.client.send("POST", f"/v1/people/{one}/distinct", body={"from": [other]})
    assert [person["name"] for person in told["items"]] == ["J. Biden"]
    assert {one, other} not in pairs()
    assert office.client.send("GET", f"/v1/people/{other}/distinct")["items"][0]["id"] == one

    office.client.send("DELETE", f"/v1/people/{other}/distinct", query={"from": one})
    assert {one, other} in pairs()


def test_a_photo_under_the_wrong_name_is_doubted_until_somebody_confirms_it(office: Office) -> None:
    obama = office.person("Barack Obama")
    biden = (office.examples / "people" / "Joe Biden" / "1.jpg").read_bytes()
    office.take_in(shrunk(biden, 9), person="Barack Obama")
    wrong = office.client.people.show(obama)["shown_in"][-1]["id"]

    def doubts(**asked: str) -> list[Document]:
        query = {"after": str(office.sequence), **asked}
        found: list[Document] = office.client.send("GET", "/v1/review/doubtful", query=query, patient=True)["items"]
        return found

    [doubt] = [each for each in doubts() if each["face"]["id"] == wrong]
    assert doubt["face"]["person"]["name"] == "Barack Obama"
    assert doubt["nearer"]["name"] == "Joe Biden"
    assert doubt["nearer_similarity"] > doubt["similarity"]
    assert doubts(person_id=office.person("Eileen Collins")) == []

    office.post(f"faces/{wrong}/confirm")
    assert wrong not in {each["face"]["id"] for each in doubts()}

    office.client.faces.assign(wrong, None)
    office.client.faces.assign(wrong, obama)  # Given anew, it is doubted anew.
    assert wrong in {each["face"]["id"] for each in doubts(person_id=obama)}


def test_poor_pictures_are_listed_until_somebody_confirms_them(office: Office) -> None:
    found = office.client.send("GET", "/v1/review/poor", query={"below": "1"})
    assert found["total"] == len(found["items"]) > 1
    assert all(face["quality"]["value"] < 1 for face in found["items"])

    office.post(f"faces/{found['items'][0]['id']}/confirm")

    assert (
        office.client.send("GET", "/v1/review/poor", query={"below": "1", "limit": "1"})["total"] == found["total"] - 1
    )


@pytest.mark.parametrize(
    "body", [{}, {"person_id": None}, {"person_id": "per_x", "face_ids": ["fac_x"]}, {"face_ids": []}]
)
def test_a_rejection_that_says_nothing_or_two_things_is_refused(office: Office, body: Document) -> None:
    face = office.client.people.show(office.person("Joe Biden"))["shown_in"][0]["id"]
    with pytest.raises(ServiceError) as refused:
        office.client.send("POST", f"/v1/faces/{face}/reject", body=body)
    assert refused.value.status == 422


@pytest.mark.parametrize("body", [{"face_ids": ["fac_x"]}, {"face_ids": ["fac_x"], "person": None}, {"face_ids": []}])
def test_naming_without_a_name_is_refused(office: Office, body: Document) -> None:
    with pytest.raises(ServiceError) as refused:
        office.client.send("POST", "/v1/faces/assign", body=body)
    assert refused.value.status == 422


def test_many_faces_are_deleted_at_once(office: Office) -> None:
    office.take_in(office.group)
    faces = [each["id"] for each in office.client.faces.unassigned()]

    deleted = office.post("faces/delete", face_ids=[*faces, "fac_gone"])

    assert deleted["face_ids"] == faces
    assert list(office.client.faces.unassigned()) == []


def _face_like(office: Office, name: str) -> str:
    """The face of nobody that looks like somebody."""
    for face in office.client.faces.unassigned():
        if office.names(face_id=face["id"])[0][:1] == [name]:
            return str(face["id"])
    raise AssertionError(name)
