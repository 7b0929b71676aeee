"""What the door bears: so many requests a key, so much of a document, and from whom a page may come."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from tests import gatewayed
from tests.gatewayed import Alone
from tests.waiting import eventually

pytestmark = pytest.mark.slow

INTRANET = "https://intranet.example"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    """A gateway with small limits, one believed proxy, and a page of another site that may call it; its broker is away."""
    settings: dict[str, Any] = {
        "COLEGA_RATE_LIMIT": "100/hour",
        "COLEGA_ATTEMPTS_PER_MINUTE": "5",
        "COLEGA_MAX_JSON_KB": "64",
        "COLEGA_MAX_JSON_VALUES": "1000",
        "COLEGA_TRUSTED_PROXIES": "1",
        "COLEGA_MAX_UPLOADS": "1",
        "COLEGA_MAX_SEARCHES": "1",
        "COLEGA_SEARCH_TIMEOUT_S": "1",
        "COLEGA_CORS_ORIGINS": INTRANET,
    }
    with gatewayed.opened(tmp_path_factory.mktemp("limits"), **settings) as alone:
        yield alone


def _key(alone: Alone, *scopes: str) -> tuple[str, str]:
    """A key with a limit of its own, and its id."""
    with alone.http(Authorization=f"Bearer {alone.key}") as http:
        made = http.post("/v1/keys", json={"name": "one", "scopes": [*scopes]}).json()
    return made["secret"], made["id"]


def _problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"]


def test_a_key_that_asks_too_often_is_told_when_to_come_back_and_no_other_key_is(alone: Alone) -> None:
    (busy, _), (calm, _) = _key(alone, "read"), _key(alone, "read")
    with alone.http(Authorization=f"Bearer {busy}") as http:
        answers = [http.get("/v1/people") for _ in range(105)]
    with alone.http(Authorization=f"Bearer {calm}") as http:
        other = http.get("/v1/people")

    assert {answer.status_code for answer in answers[:100]} == {200}
    assert {_problem(answer) for answer in answers[100:]} == {(429, "/problems/rate-exceeded")}
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 7200
    assert other.status_code == 200


def test_requests_are_counted_where_every_gateway_sees_them(tmp_path: Path, valkey: str) -> None:
    with gatewayed.opened(tmp_path, COLEGA_RATE_LIMIT="10/hour", COLEGA_BROKER_URL=valkey) as alone:
        with alone.http(Authorization=f"Bearer {alone.key}") as http:
            statuses = [http.get("/v1/people").status_code for _ in range(12)]
        with alone.http() as http:
            health = http.get("/health/live").status_code
    counted = [str(name) for name in Redis.from_url(valkey).keys("*colega*")]

    assert statuses == [200] * 10 + [429] * 2
    assert [name for name in counted if "key_" in name]
    assert health == 200


def test_an_address_that_shows_keys_that_are_none_is_slowed_down_and_a_valid_key_is_not(alone: Alone) -> None:
    mine, _ = _key(alone, "read")
    address = {"X-Forwarded-For": "192.0.2.7"}
    with alone.http(Authorization="Bearer colega_of_nobody", **address) as http:
        answers = [http.get("/v1/people") for _ in range(7)]
    with alone.http(Authorization=f"Bearer {mine}", **address) as http:
        valid = http.get("/v1/people")

    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 2
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert valid.status_code == 200


def test_only_what_the_believed_proxy_says_of_the_address_counts(alone: Alone) -> None:
    """Whatever a client writes before it is passed over: nobody gets around the limit by another address each time."""
    statuses = []
    for n in range(7):
        forged = {"X-Forwarded-For": f"203.0.113.{n}, 192.0.2.99"}
        with alone.http(Authorization="Bearer colega_of_nobody", **forged) as http:
            statuses.append(http.get("/v1/people").status_code)

    assert statuses == [401] * 5 + [429] * 2


@pytest.mark.parametrize(
    "document",
    [
        "[" * 50_000,
        '{"name": ' * 1000 + "1" + "}" * 1000,
        '{"name": "a", "attributes": {' + ",".join(f'"{n}": "x"' for n in range(2000)) + "}}",
        '{"name": "\\u0000"}',
        '{"name": "\\ud800"}',
        '{"name": NaN}',
        '{"name": ' + "9" * 5000 + "}",
        "{",
    ],
    ids=["deep", "deep objects", "many", "nul", "surrogate", "nan", "long number", "no document"],
)
def test_a_document_that_is_none_or_too_much_is_refused(alone: Alone, document: str) -> None:
    mine, _ = _key(alone, "enrol")
    with alone.http(Authorization=f"Bearer {mine}", **{"Content-Type": "application/json"}) as http:
        answer = http.post("/v1/people", content=document)

    assert answer.status_code in {400, 422}
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_document_larger_than_any_is_not_read(alone: Alone) -> None:
    mine, _ = _key(alone, "enrol")
    with alone.http(Authorization=f"Bearer {mine}") as http:
        answer = http.post("/v1/people", json={"name": "x" * 100_000})

    assert _problem(answer) == (413, "/problems/photo-too-large")
    assert answer.headers["Connection"] == "close"


def test_a_form_of_a_page_is_not_read_whole_to_find_its_token(alone: Alone) -> None:
    mine, _ = _key(alone, "read")
    with alone.http(Origin=alone.url) as browser:
        browser.post("/sign-in", data={"key": mine})
        answer = browser.post("/sign-out", data={"csrf_token": "x" * 100_000})

    assert answer.status_code == 413


def test_who_shows_no_key_sends_no_files(alone: Alone) -> None:
    with alone.http(Origin=alone.url) as nobody:
        answer = nobody.post("/sign-in", data={"key": "none"}, files={"photo": b"x" * 100_000})

    assert answer.status_code == 413


@pytest.mark.parametrize("where", ["/v1/people/per_%00", "/v1/people?query=%00"])
def test_a_character_that_no_database_keeps_is_refused(alone: Alone, where: str) -> None:
    mine, _ = _key(alone, "read")
    with alone.http(Authorization=f"Bearer {mine}") as http:
        assert _problem(http.get(where)) == (422, "/problems/invalid-request")


def test_headers_beyond_what_anybody_needs_are_refused(alone: Alone) -> None:
    with alone.http() as http:
        long = http.get("/health/live", headers={"X-Long": "x" * 10_000})
        many = http.get("/health/live", headers={f"X-{n}": "x" for n in range(100)})
        line = http.get("/health/live?" + "x" * 10_000)

    assert {long.status_code, many.status_code, line.status_code} <= {400, 414, 431}


@pytest.mark.parametrize(
    "path",
    ["/v1/people", "/health/live", "/problems/internal", "/nothing", "/openapi.json", "/docs/swagger", "/sign-in"],
)
def test_every_answer_says_what_a_browser_may_do_with_it(alone: Alone, path: str) -> None:
    with alone.http(**{"X-Forwarded-Proto": "https"}) as http:
        headers = http.get(path).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["Referrer-Policy"] in {"no-referrer", "same-origin"}
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Strict-Transport-Security"].startswith("max-age=")
    camera = "(self)" if path == "/sign-in" else "()"
    assert f"camera={camera}" in headers["Permissions-Policy"]
    assert headers["Cache-Control"] == "no-store"


def test_a_page_of_another_site_may_call_the_api_where_it_is_listed(alone: Alone) -> None:
    mine, _ = _key(alone, "read")
    with alone.http(Origin=INTRANET) as http:
        asked = http.options("/v1/people", headers={"Access-Control-Request-Method": "GET"})
        answer = http.get("/v1/people", headers={"Authorization": f"Bearer {mine}"})
        page = http.get("/sign-in")

    assert (asked.status_code, asked.headers["Access-Control-Allow-Origin"]) == (204, INTRANET)
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, INTRANET)
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Access-Control-Allow-Origin" not in page.headers


def test_a_page_of_any_other_site_may_not(alone: Alone) -> None:
    with alone.http(Origin="https://elsewhere.example") as http:
        asked = http.options("/v1/people", headers={"Access-Control-Request-Method": "GET"})

    assert asked.status_code == 401
    assert not [name for name in asked.headers if name.lower().startswith("access-control")]


def test_a_rotated_key_goes_on_under_both_secrets_for_as_long_as_asked(alone: Alone) -> None:
    old, number = _key(alone, "read")
    with alone.http(Authorization=f"Bearer {alone.key}") as http:
        rotated = http.post(f"/v1/keys/{number}/rotate", json={"keep_old_for_h": 1}).json()
        listed = {each["id"]: each for each in http.get("/v1/keys").json()["items"]}[number]

    assert [_works(alone, secret) for secret in (old, rotated["secret"])] == [200, 200]
    assert rotated["old_until"] == listed["old_until"]
    assert rotated["secret"] not in str(listed)

    with alone.http(Authorization=f"Bearer {alone.key}") as http:
        again = http.post(f"/v1/keys/{number}/rotate", json={"keep_old_for_h": 0}).json()

    assert [_works(alone, secret) for secret in (old, rotated["secret"], again["secret"])] == [401, 401, 200]


def test_a_key_that_is_rotated_at_once_ends_the_sessions_that_began_with_it(alone: Alone) -> None:
    old, number = _key(alone, "read")
    headers = {"Origin": alone.url, "Accept": "text/html"}
    with alone.http(**headers) as browser:
        browser.post("/sign-in", data={"key": old})
        before = browser.get("/people").status_code
        with alone.http(Authorization=f"Bearer {alone.key}") as http:
            http.post(f"/v1/keys/{number}/rotate", json={"keep_old_for_h": 0}).raise_for_status()
        after = browser.get("/people").status_code

    assert (before, after) == (200, 302)


def test_a_key_tells_when_it_was_used_and_is_none_when_it_has_expired(alone: Alone) -> None:
    with alone.http(Authorization=f"Bearer {alone.key}") as http:
        given = {"name": "for two seconds", "scopes": ["read"], "expires_in_days": 2 / 86_400}
        made = http.post("/v1/keys", json=given).json()
        before = _works(alone, made["secret"])
        time.sleep(2.0)
        after = _works(alone, made["secret"])
        listed = {each["id"]: each for each in http.get("/v1/keys").json()["items"]}[made["id"]]

    assert (made["used_at"], before, after) == (None, 200, 401)
    assert made["created_at"] <= listed["used_at"] < made["expires_at"]


def _works(alone: Alone, secret: str) -> int:
    with alone.http(Authorization=f"Bearer {secret}") as http:
        return http.get("/v1/people").status_code


@pytest.mark.parametrize(("path", "scope"), [("/api/v1/detection/detect", "search"), ("/v1/photos", "enrol")])
def test_a_body_is_read_only_when_there_is_a_place_for_it(alone: Alone, path: str, scope: str) -> None:
    """So that no more lies in memory, or in the spool, than places times the largest body."""
    mine, _ = _key(alone, scope)
    with _sending(alone, mine, path):
        eventually(lambda: _refused_for_now(alone, mine, path))
    eventually(lambda: not _refused_for_now(alone, mine, path))


def _sending(alone: Alone, secret: str, path: str) -> socket.socket:
    """A client that has begun to send a body, and does not go on."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: colega\r\nAuthorization: Bearer {secret}\r\nx-api-key: {secret}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 10000000\r\n\r\n--x\r\n"
    )
    slow = socket.create_connection(("127.0.0.1", alone.door.port))
    slow.sendall(head.encode())
    return slow


def _refused_for_now(alone: Alone, secret: str, path: str) -> bool:
    with alone.http(Authorization=f"Bearer {secret}", **{"x-api-key": secret}) as http:
        answer = http.post(path, files={"photo": ("a.jpg", b"no photo"), "file": ("a.jpg", b"no photo")})
    busy = answer.status_code == 503 and "at once" in answer.text
    assert not busy or int(answer.headers["Retry-After"]) >= 1
    return busy


def test_where_all_places_are_taken_nobody_is_asked_for_a_key_first(alone: Alone) -> None:
    """A refusal that costs as much as an answer would take it away from those who are served."""
    mine, _ = _key(alone, "enrol")
    with _sending(alone, mine, "/v1/photos"):
        eventually(lambda: _refused_for_now(alone, mine, "/v1/photos"))

        def is_turned_away() -> bool:
            with _sending(alone, mine, "/v1/photos"):
                time.sleep(0.05)  # Whoever comes second waits for a place by then; else another one is tried.
                return _refused_for_now(alone, "no key", "/v1/photos")

        eventually(is_turned_away)
