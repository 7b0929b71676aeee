"""A key of one collection can neither see nor guess anything of another, whichever endpoint it asks, by whatever it knows."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration import tenants
from tests.integration.tenants import Ids, Tenant
from tests.running import Running

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PHOTO_FORMS = {"/v1/people/{person_id}/photos": "photo", "/api/v1/recognition/faces/{image_id}/verify": "file"}
BODIES: dict[str, Any] = {
    "PATCH /v1/people/{person_id}": {"name": "Another"},
    "POST /v1/people/{person_id}/merge": {"into": "{person_id}"},
    "POST /v1/people/{person_id}/consent": {"text": "A notice."},
    "POST /v1/people/{person_id}/distinct": {"from": ["{person_id}"]},
    "PATCH /v1/faces/{face_id}": {"person_id": None},
    "POST /v1/faces/{face_id}/reject": {"person_id": "{person_id}"},
    "PATCH /v1/collections/{name}": {"retention_days": 30},
    "POST /v1/collections/{name}/retention/confirm": {"people": 1},
    "POST /v1/rebuilds/{rebuild_id}/findings/{number}/decide": {"candidate": None},
    "POST /v1/sources/{source_id}/files": {"holder": "me", "files": []},
    "POST /v1/sources/{source_id}/begin": {"holder": "me"},
    "POST /v1/sources/{source_id}/end": {"holder": "me"},
    "POST /v1/sources/{source_id}/release": {"holder": "me", "paths": ["a.jpg"]},
    "POST /v1/sources/{source_id}/leave": {"holder": "me", "people": ["{person_id}"], "of": 0, "confirmed": True},
    "POST /v1/sources/{source_id}/settle": {"holder": "me"},
    "PUT /api/v1/recognition/subjects/{subject}": {"subject": "Another"},
}
"""What an operation needs beside its path to be refused for nothing else; those that are not here take an empty object."""

QUERIES: dict[str, Any] = {"DELETE /v1/people/{person_id}/distinct": {"from": "{person_id}"}}

INSIDE: list[tuple[str, str, dict[str, Any], Any, int]] = [
    ("POST", "/v1/search", {}, {"face_id": "{face_id}"}, 404),
    ("POST", "/v1/verify", {}, {"face_id_a": "{face_id}", "face_id_b": "{face_id}"}, 404),
    ("POST", "/v1/detect", {}, {"photo_id": "{photo_id}"}, 404),
    ("POST", "/v1/people/{mine:person_id}/merge", {}, {"into": "{person_id}"}, 404),
    ("POST", "/v1/people/{mine:person_id}/distinct", {}, {"from": ["{person_id}"]}, 404),
    ("DELETE", "/v1/people/{mine:person_id}/distinct", {"from": "{person_id}"}, None, 404),
    ("GET", "/v1/merges", {"person_id": "{person_id}"}, None, 404),
    ("GET", "/v1/erasures", {"person_id": "{person_id}"}, None, 200),
    ("PATCH", "/v1/faces/{mine:face_id}", {}, {"person_id": "{person_id}"}, 404),
    ("POST", "/v1/faces/{mine:face_id}/reject", {}, {"person_id": "{person_id}"}, 404),
    ("POST", "/v1/faces/{mine:face_id}/reject", {}, {"face_ids": ["{face_id}"]}, 404),
    ("DELETE", "/v1/faces/{mine:face_id}/reject", {"person_id": "{person_id}"}, None, 404),
    ("DELETE", "/v1/faces/{mine:face_id}/reject", {"face_id": "{face_id}"}, None, 200),
    ("POST", "/v1/faces/assign", {}, {"face_ids": ["{mine:face_id}"], "person_id": "{person_id}"}, 404),
    ("POST", "/v1/faces/assign", {}, {"face_ids": ["{face_id}"], "person_id": "{mine:person_id}"}, 200),
    ("POST", "/v1/faces/reject", {}, {"face_ids": ["{face_id}"], "person_id": "{mine:person_id}"}, 200),
    ("POST", "/v1/faces/reject/undo", {}, {"face_ids": ["{face_id}"], "person_id": "{mine:person_id}"}, 200),
    ("POST", "/v1/faces/delete", {}, {"face_ids": ["{face_id}"]}, 200),
    ("GET", "/v1/review/doubtful", {"person_id": "{person_id}"}, None, 404),
    ("GET", "/v1/review/poor", {"person_id": "{person_id}"}, None, 404),
    ("POST", "/v1/jobs/{mine:job_id}/retry", {}, {"photo_id": "{photo_id}"}, 404),
    ("POST", "/v1/rebuilds", {}, {"source": "raw", "collection": "{name}"}, 404),
    ("POST", "/v1/trainings", {}, {"method": "triplet", "collection": "{name}"}, 404),
    ("POST", "/v1/evaluations", {}, {"collection": "{name}"}, 404),
    ("POST", "/v1/calibrations", {}, {"collection": "{name}"}, 404),
    ("POST", "/v1/checks", {}, {"collection": "{name}"}, 404),
    ("POST", "/v1/keys", {}, {"name": "x", "scopes": ["read"], "collections": ["{name}"]}, 404),
    ("POST", "/v1/webhooks", {}, {"url": "http://10.0.0.1/x", "events": ["job.ended"], "collection": "{name}"}, 404),
    ("POST", "/v1/live/matches", {}, {"camera": "door", "person_id": "{person_id}", "similarity": 0.9}, 404),
    ("POST", "/api/v1/recognition/faces/delete", {}, ["{image_id}"], 200),
    ("GET", "/api/v1/recognition/faces", {"subject": "{subject}"}, None, 200),
    ("DELETE", "/api/v1/recognition/faces", {"subject": "{subject}"}, None, 200),
]
"""Where an id is told beside the path. 200: it is passed over, as one that there never was."""

PAGES = re.findall(
    r"^\| `GET (/[^`]*)` ", (ROOT / "docs" / "api.md").read_text("utf-8").partition("## Pages")[2], re.MULTILINE
)
PAGES = [page for page in PAGES if not page.startswith("/static/")]
"""Of the console, by its own page of docs/."""

FOR_ALL = {
    "POST /v1/collections",
    "POST /v1/models",
    "POST /v1/backups",
    "POST /v1/sealing/rewrap",
    "POST /v1/audit/verify",
}
"""What concerns all collections: 403 to a key that is limited to some, or no more than its own."""

OF_ITS_OWN = {
    "POST /v1/represent",
    "POST /v1/people",
    "POST /v1/photos",
    "POST /v1/imports",
    "POST /v1/sources",
    "POST /api/v1/recognition/subjects",
    "DELETE /api/v1/recognition/subjects",
    "POST /api/v1/recognition/faces",
    "POST /api/v1/recognition/recognize",
    "POST /api/v1/detection/detect",
    "POST /api/v1/verification/verify",
}
"""They take no id; `collection` is tried with every operation."""


@pytest.fixture(scope="module")
def both(service: Running, examples: Path) -> tuple[Tenant, Tenant]:
    """Mine and theirs."""
    mine, theirs = (tenants.tenant(service, service.collection(), examples) for _ in range(2))
    return mine, theirs


@pytest.fixture(scope="module")
def operations(service: Running) -> dict[str, Any]:
    """Every operation of the API by method and path."""
    with service.http() as http:
        paths = http.get("/openapi.json").json()["paths"]
    return {
        f"{method.upper()} {path}": operation
        for path, methods in paths.items()
        for method, operation in methods.items()
    }


@pytest.fixture
def asking(service: Running, both: tuple[Tenant, Tenant]) -> Iterator[httpx.Client]:
    """HTTP with the key of mine, which may do everything there."""
    headers = {"Authorization": f"Bearer {both[0].key}", "x-api-key": both[0].key}
    with httpx.Client(base_url=str(service.instance()["url"]), headers=headers, timeout=60) as http:
        yield http


def _filled(what: Any, of: Ids, mine: Ids) -> Any:
    """*what* with ids for what stands in braces."""
    text = json.dumps(what)
    for name, value in mine.items():
        text = text.replace(f"{{mine:{name}}}", value)
    for name, value in of.items():
        text = text.replace(f"{{{name}}}", value)
    return json.loads(text)


def _answer(
    http: httpx.Client, method: str, path: str, query: Any, body: Any, photo: bytes | None = None
) -> httpx.Response:
    if photo is not None:
        field = next(
            field for form, field in PHOTO_FORMS.items() if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", form), path)
        )
        return http.request(method, path, params=query, files={field: ("a.jpg", photo)})
    return http.request(method, path, params=query, json=None if method in {"GET", "DELETE"} else body)


def _told(answer: httpx.Response, of: Ids) -> tuple[int, str]:
    """Status and body, with ids as what they are ids of, and without what differs between any two answers."""
    text = answer.text
    for name, value in sorted(of.items(), key=lambda item: -len(item[1])):
        text = text.replace(f"findings/{value}/", "") if name == "number" else text.replace(value, name)
    return answer.status_code, re.sub(r'"request_id":"\w+"|Request \w{16}|\d\d:\d\d:\d\d[.\d]*', "", text)


def test_ids_in_a_path_of_another_collection_are_ids_of_nothing(
    asking: httpx.Client, both: tuple[Tenant, Tenant], operations: Mapping[str, Any], examples: Path
) -> None:
    mine, theirs = both
    photo = (examples / "queries" / "one.jpg").read_bytes()
    nothing, wrong = tenants.unknown(theirs.ids), []
    for operation in operations:
        method, _, path = operation.partition(" ")
        names = re.findall(r"\{(\w+)\}", path)
        if not names or "model_id" in names:
            continue
        assert set(names) <= set(theirs.ids), f"{operation}: say in tenants.py what is to be tried"
        for collection in (mine.name, None):
            told = []
            for of in (theirs.ids, nothing):
                query = {**QUERIES.get(operation, {}), **({} if collection is None else {"collection": collection})}
                body = BODIES.get(operation, {})
                with_photo = photo if path in PHOTO_FORMS else None
                answer = _answer(
                    asking,
                    method,
                    _filled(path, of, mine.ids),
                    _filled(query, of, {}),
                    _filled(body, of, {}),
                    with_photo,
                )
                told.append(_told(answer, of))
            if told[0] != told[1] or told[0][0] != 404:
                wrong.append((operation, collection, *told))

    assert wrong == []


def test_ids_beside_the_path_of_another_collection_are_ids_of_nothing(
    asking: httpx.Client, both: tuple[Tenant, Tenant]
) -> None:
    mine, theirs = both
    nothing, wrong = tenants.unknown(theirs.ids), []
    for method, path, query, body, status in INSIDE:
        told = []
        for of in (theirs.ids, nothing):
            wanted = {"collection": mine.name, **_filled(query, of, mine.ids)}
            answer = _answer(asking, method, _filled(path, of, mine.ids), wanted, _filled(body, of, mine.ids))
            text = re.sub(r'"sequence":\d+', "", _told(answer, of)[1])
            told.append((answer.status_code, text))
        if told[0] != told[1] or told[0][0] != status:
            wrong.append((method, path, body, *told))

    assert wrong == []


def test_another_collection_is_none_that_there_is(
    asking: httpx.Client, both: tuple[Tenant, Tenant], operations: Mapping[str, Any]
) -> None:
    mine, theirs = both
    nothing, wrong = tenants.unknown(theirs.ids), []
    for operation in operations:
        method, _, path = operation.partition(" ")
        if path.startswith("/api/v1/"):
            continue  # Of CompreFace's API the key is the collection; it has no such field.
        told = []
        for of in (theirs.ids, nothing):
            here = _filled(path, {**mine.ids, "model_id": "casia-webface"}, {})
            told.append(_told(_answer(asking, method, here, {"collection": of["name"]}, {}), of))
        if told[0] != told[1] or told[0][0] != 404:
            wrong.append((operation, *told))

    assert wrong == []


def test_nothing_that_is_listed_tells_of_another_collection(
    asking: httpx.Client, both: tuple[Tenant, Tenant], operations: Mapping[str, Any]
) -> None:
    mine, theirs = both
    leaks = []
    for operation in operations:
        method, _, path = operation.partition(" ")
        if method != "GET" or path.endswith("/events") or path == "/v1/audit":
            continue  # The audit says what this key has asked for, which here is theirs.
        here = _filled(path, {**mine.ids, "model_id": "casia-webface"}, {})
        answer = asking.get(here, params={"collection": mine.name} if path.startswith("/v1/") else {})
        assert answer.status_code in {200, 403, 404}, (operation, answer.text)
        leaks += [(operation, told) for told in theirs.told if told in answer.text]

    assert leaks == []
    assert asking.get("/metrics").status_code == 403


def test_every_operation_is_tried(operations: Mapping[str, Any]) -> None:
    tried = {f"{method} {path}" for method, path, *_ in INSIDE} | FOR_ALL | OF_ITS_OWN
    left = {
        operation
        for operation in operations
        if "{" not in operation and not operation.startswith("GET ") and operation not in tried
    }

    assert left == set()


def test_what_all_collections_share_is_not_for_a_limited_key(
    asking: httpx.Client, both: tuple[Tenant, Tenant], operations: Mapping[str, Any]
) -> None:
    mine = both[0]
    shared = [each for each in operations if each.startswith("POST /v1/models/{model_id}/")]
    bodies = {"POST /v1/models/{model_id}/head": {"head": None}, "POST /v1/collections": {"name": "of-my-own"}}
    answers = {}
    for operation in [
        *shared,
        "POST /v1/collections",
        "POST /v1/models",
        "POST /v1/backups",
        "POST /v1/sealing/rewrap",
    ]:
        path = operation.partition(" ")[2].format(model_id="casia-webface")
        answer = asking.post(path, params={"collection": mine.name}, json=bodies.get(operation, {}))
        answers[operation] = answer.status_code

    assert set(answers.values()) == {403}, answers


def test_no_page_of_the_console_tells_of_another_collection(service: Running, both: tuple[Tenant, Tenant]) -> None:
    mine, theirs = both
    nothing = tenants.unknown(theirs.ids)
    url = str(service.instance()["url"])
    with_ids = [page for page in PAGES if "{" in page and "{cursor}" not in page]
    plain = [page for page in PAGES if "{" not in page and page not in {"/sign-in", "/preferences", "/audit"}]
    wrong = []
    with httpx.Client(base_url=url, timeout=60, headers={"Accept": "text/html", "Origin": url}) as http:
        assert http.post("/sign-in", data={"key": mine.key}).status_code == 303
        for page in with_ids:
            for query in ({"collection": mine.name}, {"collection": theirs.name}):
                told = []
                for of in (theirs.ids, nothing):
                    wanted = {"collection": of["name"]} if query["collection"] == theirs.name else query
                    told.append(_told(http.get(_filled(page, of, {}), params=wanted), of))
                if told[0] != told[1] or told[0][0] != 404:
                    wrong.append((page, query, told[0][0], told[1][0]))
        pages = {page: http.get(page, params={"collection": mine.name}) for page in plain}

    assert wrong == []
    assert len(with_ids) >= 5
    assert {page.status_code for page in pages.values()} == {200}
    assert not [(name, told) for name, page in pages.items() for told in theirs.told if told in page.text]


def test_after_all_that_the_other_collection_is_as_it_was(service: Running, both: tuple[Tenant, Tenant]) -> None:
    theirs = both[1]
    client = service.client(theirs.name)

    assert len(list(client.people.list())) == 3
    assert client.people.show(theirs.ids["person_id"])["shown_in"][0]["id"] == theirs.ids["face_id"]
    assert httpx.get(
        f"{service.instance()['url']}/v1/people",
        params={"collection": theirs.name},
        headers={"Authorization": f"Bearer {theirs.key}"},
    ).is_success


def test_a_collection_that_is_made_anew_is_not_theirs_who_had_its_name(service: Running) -> None:
    name = service.collection()
    client = service.client(name)
    made = client.keys.create("of the first", ["read"], collections=[name])
    with service.http() as http:
        http.delete(f"/v1/collections/{name}").raise_for_status()
        http.post("/v1/collections", json={"name": name}).raise_for_status()

    headers = {"Authorization": f"Bearer {made['secret']}"}
    answer = httpx.get(f"{service.instance()['url']}/v1/people", params={"collection": name}, headers=headers)

    assert answer.status_code == 404


def test_a_limited_key_makes_keys_of_no_more_than_its_own(asking: httpx.Client, both: tuple[Tenant, Tenant]) -> None:
    mine = both[0]
    made = asking.post("/v1/keys", json={"name": "below", "scopes": ["admin"]}).json()
    listed = asking.get("/v1/keys").json()["items"]

    assert made["collections"] == [mine.name]
    assert {tuple(each["collections"]) for each in listed} == {(mine.name,)}
