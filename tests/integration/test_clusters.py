"""Who looks alike, and searches among some people only, on the whole service."""

import io
from pathlib import Path

import pytest
from PIL import Image

from services.cli.service import ServiceError
from tests.running import Running

pytestmark = pytest.mark.slow


@pytest.fixture
def departments(service: Running, gallery: str, examples: Path, tmp_path: Path) -> str:
    """A collection with two people of Research and one of Sales."""
    rows = ["path,person,department,site"]
    for person, department in (("Barack Obama", "Research"), ("Joe Biden", "Sales"), ("Eileen Collins", "Research")):
        (tmp_path / f"{person}.jpg").write_bytes((examples / "people" / person / "1.jpg").read_bytes())
        rows.append(f"{person}.jpg,{person},{department},Lima")
    (tmp_path / "manifest.csv").write_text("\n".join(rows), encoding="utf-8")
    assert service.answer("import", str(tmp_path), collection=gallery)["done"] == 3
    return gallery


def _shrunk(photo: Path, by: int) -> bytes:
    """The same photo, a little smaller."""
    with Image.open(photo) as opened:
        picture = opened.convert("RGB")
    out = io.BytesIO()
    picture.resize((picture.width - by, picture.height - by)).save(out, "JPEG", quality=90)
    return out.getvalue()


def _nobodys(service: Running, collection: str, photos: list[bytes]) -> int:
    """Take photos in without saying who is in them; all faces are kept. The sequence number from which they are seen."""
    client = service.client(collection)
    job = client.imports.open("nobody", faces="all")
    client.imports.upload(job, [(f"{n}.jpg", data) for n, data in enumerate(photos)], [{} for _ in photos])
    client.imports.close(job)
    return int(service.ended(job, collection)["sequence"])


def test_a_search_looks_only_among_people_with_an_attribute(service: Running, departments: str, examples: Path) -> None:
    biden = examples / "people" / "Joe Biden" / "1.jpg"
    client = service.client(departments)

    def found(*where: str) -> set[str]:
        answer = client.search(biden, k=10, where=list(where))
        return {match["person"]["name"] for match in answer["faces"][0]["matches"]}

    assert found() == {"Barack Obama", "Joe Biden", "Eileen Collins"}
    assert found("department=Research") == {"Barack Obama", "Eileen Collins"}
    assert found("department=Sales", "site=Lima") == {"Joe Biden"}
    assert found("department=Sales", "site=Cusco") == found("shoe size=43") == set()


def test_a_kept_face_is_searched_with_a_filter_too(service: Running, departments: str) -> None:
    client = service.client(departments)
    face = client.people.show(client.people.named("Joe Biden")[0]["id"])["shown_in"][0]["id"]

    answer = client.send("POST", "/v1/search", query={"where": "department=Research"}, body={"face_id": face})

    assert {m["person"]["name"] for m in answer["faces"][0]["matches"]} == {"Barack Obama", "Eileen Collins"}
    assert answer["faces"][0]["decision"] == "unknown"


def test_a_change_of_attributes_is_seen_from_its_sequence_number_on(
    service: Running, departments: str, examples: Path
) -> None:
    client = service.client(departments)
    person = client.people.named("Joe Biden")[0]

    changed = client.send("PATCH", f"/v1/people/{person['id']}", body={"attributes": {"department": "Research"}})

    photo = str(examples / "people" / "Joe Biden" / "1.jpg")
    command = ("search", photo, "--after", str(changed["sequence"]), "--where")
    [face] = service.answer(*command, "department=Research", collection=departments)["faces"]
    assert face["matches"][0]["person"]["name"] == "Joe Biden"
    [face] = service.answer(*command, "department=Sales", collection=departments)["faces"]
    assert face["matches"] == []


@pytest.mark.parametrize(
    "where", [["department"], ["=Research"], ["a=" + 1100 * "x"], ["a=1", "a=2"], [f"a{n}=1" for n in range(9)]]
)
def test_a_filter_that_says_nothing_is_refused(
    service: Running, gallery: str, examples: Path, where: list[str]
) -> None:
    with pytest.raises(ServiceError, match="where") as refused:
        service.client(gallery).search(examples / "queries" / "one.jpg", where=where)
    assert refused.value.status == 422


def test_faces_of_nobody_come_in_clusters_with_the_nearest_colleague(
    service: Running, enrolled: str, examples: Path
) -> None:
    group, one = examples / "queries" / "group.jpg", examples / "queries" / "one.jpg"
    photos = [group.read_bytes(), _shrunk(group, 7), _shrunk(group, 20), _shrunk(one, 3)]
    sequence = _nobodys(service, enrolled, photos)

    found = service.client(enrolled).faces.clusters(after=sequence)

    assert found["sequence"] >= sequence
    assert [cluster["size"] for cluster in found["items"]] == [4, 3, 3]  # Obama is in both photos.
    nearest = [cluster["nearest"]["person"]["name"] for cluster in found["items"]]
    assert nearest[0] == "Barack Obama"
    assert set(nearest[1:]) == {"Joe Biden", "Eileen Collins"}
    assert all(cluster["similarity"] > found["threshold"] for cluster in found["items"])
    faces = [face["face_id"] for cluster in found["items"] for face in cluster["faces"]]
    assert set(faces) == {face["id"] for face in service.client(enrolled).faces.unassigned()}


def test_clusters_are_paged_and_what_is_assigned_meanwhile_is_left_out(
    service: Running, enrolled: str, examples: Path
) -> None:
    group, one = examples / "queries" / "group.jpg", examples / "queries" / "one.jpg"
    sequence = _nobodys(service, enrolled, [group.read_bytes(), _shrunk(group, 7), _shrunk(one, 3)])
    client = service.client(enrolled)
    first = client.send("GET", "/v1/clusters", query={"limit": 1, "after": sequence}, patient=True)
    whole = client.faces.clusters(after=sequence)
    taken = whole["items"][1]["faces"][0]["face_id"]

    client.faces.assign(taken, client.people.named("Joe Biden")[0]["id"])
    second = client.send("GET", "/v1/clusters", query={"limit": 1, "cursor": first["next_cursor"]})
    third = client.send("GET", "/v1/clusters", query={"limit": 1, "cursor": second["next_cursor"]})

    assert [cluster["size"] for cluster in first["items"]] == [3]
    assert second["items"] == []  # One face of two is left: no cluster any more.
    assert third["items"] == [whole["items"][2]]
    assert (second["sequence"], third["next_cursor"]) == (first["sequence"], None)
    large = client.faces.clusters(min_faces=3, after=sequence)
    assert [cluster["size"] for cluster in large["items"]] == [3]


def test_one_person_under_two_names_is_listed_as_alike(service: Running, gallery: str, examples: Path) -> None:
    obama = [path.read_bytes() for path in sorted((examples / "people" / "Barack Obama").glob("*.jpg"))]
    biden = (examples / "people" / "Joe Biden" / "1.jpg").read_bytes()
    job = service.enrol({"Barack Obama": obama[:1], "B. Obama": obama[1:], "Joe Biden": [biden]}, gallery)

    found = service.answer("people", "alike", "--after", str(job["sequence"]), collection=gallery)

    [pair] = found["items"]
    assert {person["name"] for person in pair["people"]} == {"Barack Obama", "B. Obama"}
    assert pair["similarity"] >= found["threshold"]
    one, other = (person["id"] for person in pair["people"])
    merged = service.client(gallery).people.merge(one, other)
    after = service.colega("people", "alike", "--after", str(merged["sequence"]), collection=gallery)
    assert (after.returncode, "0 pair(s)" in after.stderr) == (0, True)


def test_the_command_shows_clusters_as_a_table(service: Running, enrolled: str, examples: Path) -> None:
    one = examples / "queries" / "one.jpg"
    sequence = _nobodys(service, enrolled, [one.read_bytes(), _shrunk(one, 5)])

    shown = service.colega("faces", "clusters", "--after", str(sequence), collection=enrolled)

    assert shown.returncode == 0, shown.stderr
    assert "Barack Obama" in shown.stdout
    assert "1 cluster(s)" in shown.stderr


def test_nothing_is_alike_in_an_empty_collection(service: Running, gallery: str) -> None:
    client = service.client(gallery)

    assert client.faces.clusters()["items"] == client.people.alike()["items"] == []


@pytest.mark.parametrize("query", [{"threshold": 0}, {"threshold": "nan"}, {"threshold": 0.5, "fmr": 0.01}])
def test_a_threshold_that_says_nothing_is_refused(service: Running, gallery: str, query: dict[str, object]) -> None:
    for path in ("/v1/clusters", "/v1/people/alike"):
        with pytest.raises(ServiceError) as refused:
            service.client(gallery).send("GET", path, query=query)
        assert refused.value.status == 422


def test_a_cursor_of_another_list_is_refused(service: Running, enrolled: str) -> None:
    client = service.client(enrolled)
    cursor = client.send("GET", "/v1/people", query={"limit": 1})["next_cursor"]

    with pytest.raises(ServiceError, match="cursor"):
        client.send("GET", "/v1/clusters", query={"cursor": cursor})
