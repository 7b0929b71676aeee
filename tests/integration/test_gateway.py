"""The door: keys, problems, limits, and the document that describes it."""

import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from openapi_spec_validator import validate

from services.settings.service import Limits
from tests.running import Running

pytestmark = pytest.mark.slow

ERRORS = [
    ("GET", "/v1/nothing", {}, 404, "no-such-path"),
    ("PUT", "/v1/search", {}, 405, "method-not-allowed"),
    ("GET", "/v1/people/per_0", {}, 404, "not-found"),
    ("GET", "/v1/people?collection=nobodys", {}, 404, "not-found"),
    ("GET", "/v1/people?limit=0", {}, 422, "invalid-request"),
    ("GET", "/v1/people?cursor=abc", {}, 422, "invalid-request"),
    ("GET", "/v1/people?nonsense=1", {}, 422, "invalid-request"),
    ("POST", "/v1/people", {"json": {"name": ""}}, 422, "invalid-request"),
    ("POST", "/v1/people", {"json": {"name": "A", "rank": 1}}, 422, "invalid-request"),
    ("POST", "/v1/search", {}, 422, "invalid-request"),
    ("POST", "/v1/search?k=0", {"files": {"photo": b"x"}}, 422, "invalid-request"),
    ("POST", "/v1/search?threshold=nan", {"files": {"photo": b"x"}}, 422, "invalid-request"),
    ("POST", "/v1/search?threshold=0.5&fpir=0.05", {"files": {"photo": b"x"}}, 422, "invalid-request"),
    ("POST", "/v1/search?fmr=0.5", {"files": {"photo": b"x"}}, 422, "invalid-request"),
    ("POST", "/v1/search", {"files": {"photo": b""}}, 422, "photo-empty"),
    ("POST", "/v1/search", {"files": {"photo": b"no picture at all"}}, 415, "photo-not-an-image"),
    ("POST", "/v1/search", {"files": {"photo": b"%PDF-1.7 ..."}}, 415, "photo-unsupported-format"),
    ("POST", "/v1/search", {"files": {"photo": b"\xff\xd8\xff\xe0 cut"}}, 422, "photo-truncated"),
    ("POST", "/v1/search", {"json": {"face_id": "fac_0"}}, 404, "not-found"),
    ("POST", "/v1/imports", {"files": {"archive": b"no archive"}}, 422, "photo-bad-archive"),
    ("POST", "/v1/keys", {"json": {"name": "x", "scopes": ["fly"]}}, 422, "invalid-request"),
]


@pytest.mark.parametrize(("method", "path", "more", "status", "kind"), ERRORS, ids=lambda value: str(value)[:40])
def test_each_mistake_gets_its_own_problem(
    service: Running, method: str, path: str, more: dict[str, object], status: int, kind: str
) -> None:
    with service.http() as http:
        answer = http.request(method, path, **more)  # type: ignore[arg-type]

    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (status, f"/problems/{kind}")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert problem["detail"]


def test_every_problem_type_is_explained_where_it_points(service: Running) -> None:
    with service.http() as http:
        kinds = {kind for *_, kind in ERRORS} - {"no-such-path", "method-not-allowed"}
        answers = {kind: http.get(f"/problems/{kind}").status_code for kind in kinds}

    assert set(answers.values()) == {200}


def test_nothing_is_told_without_a_key(service: Running) -> None:
    url = service.instance()["url"]
    answers = [
        httpx.get(f"{url}/v1/people"),
        httpx.get(f"{url}/v1/people", headers={"Authorization": "Bearer colega_wrong"}),
        httpx.get(f"{url}/metrics"),
        httpx.post(f"{url}/v1/search", files={"photo": b"x"}),
    ]

    assert [answer.status_code for answer in answers] == [401, 401, 401, 401]
    assert all(answer.headers["WWW-Authenticate"].startswith("Bearer") for answer in answers)
    assert httpx.get(f"{url}/health/live").json() == {"status": "ok"}


def test_a_key_does_what_its_scopes_say(service: Running, gallery: str, examples: Path) -> None:
    made = service.client().keys.create("reception", ["search"], collections=[gallery])
    headers = {"Authorization": f"Bearer {made['secret']}"}
    photo = (examples / "queries" / "one.jpg").read_bytes()
    url = service.instance()["url"]
    with httpx.Client(base_url=url, headers=headers, params={"collection": gallery}, timeout=30) as http:
        allowed = http.post("/v1/search", files={"photo": photo})
        forbidden = http.get("/v1/people")
        elsewhere = http.post("/v1/search", params={"collection": "default"}, files={"photo": photo})
    service.client().keys.revoke(made["id"])
    after = httpx.post(f"{url}/v1/search", headers=headers, files={"photo": photo})

    assert [a.status_code for a in (allowed, forbidden, elsewhere, after)] == [200, 403, 404, 401]


def test_a_key_is_kept_as_a_hash(service: Running) -> None:
    made = service.client().keys.create("hashed", ["read"])

    listed = service.client().keys.list()

    assert made["secret"] not in str(listed)
    assert not any(
        made["secret"].encode() in path.read_bytes() for path in (service.data / "catalog").iterdir() if path.is_file()
    )


def test_a_key_is_rotated_from_the_command_line(service: Running) -> None:
    made = service.client().keys.create("rotated", ["read"])

    rotated = service.answer("keys", "rotate", made["id"], "--keep-old-for", "1")

    url = service.instance()["url"]
    shown = [{"Authorization": f"Bearer {secret}"} for secret in (made["secret"], rotated["secret"])]
    assert [httpx.get(f"{url}/v1/people", headers=headers).status_code for headers in shown] == [200, 200]
    assert rotated["old_until"] is not None


def test_the_document_is_valid_and_its_pages_need_no_internet(service: Running) -> None:
    with service.http() as http:
        document = http.get("/openapi.json").json()
        page = http.get("/docs/swagger")

    assert document["openapi"] >= "3.1"
    validate({**document, "openapi": "3.1.0"})  # The validator knows 3.1; nothing of 3.2 is used.
    assert page.status_code == 200
    assert "https://" not in page.text.replace("https://www.w3.org", "")


def test_an_upload_that_is_too_large_is_refused_and_not_kept_in_memory(service: Running) -> None:
    def zeros() -> Iterator[bytes]:
        for _ in range(200):
            yield b"\0" * 2**20

    boundary = secrets.token_hex(8)
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n'.encode()
    [gateway, *_] = [pid for pid in service.processes("gunicorn") if _parent_is(pid, service.processes("gunicorn"))]
    before = _resident_mb(gateway)
    with service.http() as http:
        try:
            answer = http.post(
                "/v1/search",
                content=_chain(head, zeros()),
                headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
            )
            assert answer.status_code == 413
            assert answer.json()["type"] == "/problems/photo-too-large"
        except httpx.WriteError:
            pass  # It hung up while we were sending, which says the same.

    assert _resident_mb(gateway) < before + 60


def test_the_same_request_twice_is_done_once(service: Running, gallery: str) -> None:
    key = secrets.token_hex(8)
    with service.http(params={"collection": gallery}, headers={"Idempotency-Key": key}) as http:
        first = http.post("/v1/people", json={"name": "Ana"})
        again = http.post("/v1/people", json={"name": "Ana"})
        other = http.post("/v1/people", json={"name": "Ben"})

    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 409)
    assert first.json() == again.json()


def test_of_more_searches_than_are_admitted_some_wait_and_the_others_are_told_when_to_come_again(
    service: Running, enrolled: str, examples: Path
) -> None:
    photo = (examples / "queries" / "one.jpg").read_bytes()
    answers: list[httpx.Response] = []

    def ask() -> None:
        with service.http(params={"collection": enrolled}) as http:
            answers.append(http.post("/v1/search", files={"photo": photo}))

    clients = [threading.Thread(target=ask) for _ in range(24)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()

    statuses = [answer.status_code for answer in answers]
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) >= Limits().max_searches
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers if answer.status_code == 503)


def test_metrics_tell_and_name_nobody(service: Running, enrolled: str) -> None:
    del enrolled
    with service.http() as http:
        text = http.get("/metrics").text

    assert "colega_request_seconds_bucket" in text
    assert 'colega_processes{kind="searcher"} 1.0' in text
    assert "Obama" not in text


def _chain(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from rest


def _parent_is(pid: int, candidates: list[int]) -> bool:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) in candidates


def _resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20
