"""People by the interface: listed in an order, changed only as they were seen, merged, and parted again."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.cli.service import ServiceError
from tests.running import Running

pytestmark = pytest.mark.slow


@pytest.fixture
def http(service: Running) -> Iterator[httpx.Client]:
    with service.http() as client:
        yield client


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("name", ["Barack Obama", "Eileen Collins", "Grace Hopper", "Joe Biden", "Zoe"]),
        ("most_faces", ["Barack Obama", "Eileen Collins", "Grace Hopper", "Joe Biden", "Zoe"]),
        ("fewest_faces", ["Zoe", "Eileen Collins", "Grace Hopper", "Joe Biden", "Barack Obama"]),
    ],
)
def test_people_are_paged_in_an_order(
    service: Running, enrolled: str, http: httpx.Client, sort: str, names: list[str]
) -> None:
    service.client(enrolled).send("POST", "/v1/people", body={"name": "Zoe"})

    assert _paged(http, enrolled, sort) == names


def test_the_newest_come_first(service: Running, gallery: str, http: httpx.Client) -> None:
    for name in ("Eva", "Ana", "Zoe"):
        service.client(gallery).send("POST", "/v1/people", body={"name": name})

    assert _paged(http, gallery, "newest") == ["Zoe", "Ana", "Eva"]


@pytest.mark.parametrize("cursor", ["WyJuYW1lIiwgImFuYSIsIDFd", "W10=", "bm9uc2Vuc2U="])
def test_a_cursor_of_another_list_is_refused(gallery: str, http: httpx.Client, cursor: str) -> None:
    refused = http.get("/v1/people", params={"collection": gallery, "sort": "newest", "cursor": cursor})

    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/invalid-request")


def test_every_word_is_searched_for_in_name_and_external_id(service: Running, gallery: str) -> None:
    client = service.client(gallery)
    client.send("POST", "/v1/people", body={"name": "José Ibáñez", "external_id": "HR_0042"})
    client.send("POST", "/v1/people", body={"name": "Ana Ibáñez", "external_id": "HR-0043"})

    found = {q: [p["name"] for p in client.people.list(q)] for q in ("ibanez jose", "hr_", "004 ANA", "%", "jose ana")}

    assert found == {
        "ibanez jose": ["José Ibáñez"],
        "hr_": ["José Ibáñez"],
        "004 ANA": ["Ana Ibáñez"],
        "%": [],
        "jose ana": [],
    }


def test_a_change_to_what_somebody_else_has_changed_is_refused(
    service: Running, enrolled: str, http: httpx.Client
) -> None:
    person = service.client(enrolled).people.named("Joe Biden")[0]["id"]
    where, params = f"/v1/people/{person}", {"collection": enrolled}
    seen = http.get(where, params=params).headers["ETag"]
    first = http.patch(where, params=params, json={"attributes": {"team": "a"}}, headers={"If-Match": seen})
    late = http.patch(where, params=params, json={"name": "Joe"}, headers={"If-Match": seen})
    then = http.patch(where, params=params, json={"name": "Joe"}, headers={"If-Match": first.headers["ETag"]})

    assert (first.status_code, late.status_code, then.status_code) == (200, 412, 200)
    assert late.json()["type"] == "/problems/changed-meanwhile"
    assert then.headers["ETag"] == http.get(where, params=params).headers["ETag"]


def test_who_is_merged_and_parted_again_is_searched_as_before(service: Running, enrolled: str, examples: Path) -> None:
    photo = examples / "people" / "Joe Biden" / "1.jpg"
    merged = service.colega("people", "merge", "Joe Biden", "Grace Hopper", collection=enrolled)
    command = merged.stdout.splitlines()[-1].partition("colega ")[2].split()
    assert command[:2] == ["people", "undo"]
    client = service.client(enrolled)
    [listed] = client.people.merges(client.people.named("Grace Hopper")[0]["id"])
    assert (listed["person"]["name"], listed["into"]["name"], listed["faces"]) == ("Joe Biden", "Grace Hopper", 1)

    undone = service.answer(*command)

    assert undone["person"]["name"] == "Joe Biden"
    assert service.names(photo, enrolled, undone["sequence"]) == ["Joe Biden"]
    with pytest.raises(ServiceError, match="undone already"):
        client.people.undo(listed["id"])
    assert next(iter(client.people.merges()))["undone_at"] is not None


def test_a_person_of_the_old_id_is_there_again(service: Running, enrolled: str) -> None:
    client = service.client(enrolled)
    joe, grace = (client.people.named(name)[0] for name in ("Joe Biden", "Grace Hopper"))
    before = client.people.show(joe["id"])
    merge = client.people.merge(joe["id"], grace["id"])["merge"]
    with pytest.raises(ServiceError, match="no person"):
        client.people.show(joe["id"])

    client.people.undo(merge)

    assert client.people.show(joe["id"]) == before


def _paged(http: httpx.Client, collection: str, sort: str) -> list[str]:
    """Names, a page of two at a time."""
    names: list[str] = []
    query: dict[str, str | int] = {"collection": collection, "sort": sort, "limit": 2}
    while True:
        page = http.get("/v1/people", params=query).json()
        names += [person["name"] for person in page["items"]]
        if page["next_cursor"] is None:
            return names
        query["cursor"] = page["next_cursor"]
