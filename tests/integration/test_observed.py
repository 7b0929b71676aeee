"""One request is followed through all processes: by its number in their lines, and by one connected trace."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.running import Running
from tests.spans import Receiver, Span, is_connected
from tests.waiting import eventually

pytestmark = pytest.mark.slow

_NOT_OURS = {"broker", "store"}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Running]:
    """A service of this module's own: how it speaks is set."""
    running = Running(
        tmp_path_factory.mktemp("observed") / "data",
        COLEGA_LOG_FORMAT="json",
        COLEGA_LOG_LEVEL="debug",
        COLEGA_TRACES_ENDPOINT=receiver.endpoint,
    )
    running.workers = 1
    running.start()
    yield running
    running.stop()
    lines = _lines(running)  # Celery and gunicorn speak at the end, too.
    assert any("shutdown" in line.get("said", "").lower() for line in lines["bulk"])
    assert lines["searcher"][-1]["event"] == "searcher.stopped"


def _lines(service: Running) -> dict[str, list[dict[str, Any]]]:
    """What every process of ours has written, line by line."""
    logs = [path for path in (service.data / "logs").glob("*.log") if path.stem not in _NOT_OURS]
    return {path.stem: [json.loads(line) for line in path.read_text("utf-8").splitlines()] for path in logs}


def _of(service: Running, request: str) -> dict[str, list[str]]:
    """The events of a request, by who tells of them."""
    lines = _lines(service)
    return {
        who: [line["event"] for line in told if line.get("request") == request]
        for who, told in lines.items()
        if any(line.get("request") == request for line in told)
    }


def test_a_search_is_followed_to_the_searcher(
    service: Running, receiver: Receiver, enrolled: str, examples: Path
) -> None:
    photo = (examples / "queries" / "one.jpg").read_bytes()
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"X-Request-ID": "search-under-test", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}

    with service.http(params={"collection": enrolled}, headers=headers) as http:
        assert http.post("/v1/search", files={"photo": photo}).status_code == 200

    eventually(lambda: set(_of(service, "search-under-test")) >= {"gateway", "interactive", "searcher"})
    told = _of(service, "search-under-test")
    assert "request.answered" in told["gateway"]
    assert (told["interactive"], told["searcher"]) == (["photo.looked"], ["search.answered"])
    whole = {"POST /v1/search", "colega.look", "decode", "detect", "embed", "searcher.search"}
    eventually(lambda: {span.name for span in receiver.traces().get(trace, [])} >= whole)
    spans = receiver.traces()[trace]
    assert is_connected(spans)
    assert {span.service for span in spans} == {"colega-gateway", "colega-interactive", "colega-searcher"}
    assert all(
        line["trace"] == trace for line in _lines(service)["interactive"] if line.get("request") == "search-under-test"
    )


def test_an_enrolment_is_followed_until_it_is_found(
    service: Running, receiver: Receiver, gallery: str, examples: Path
) -> None:
    photo = (examples / "people" / "Grace Hopper" / "1.jpg").read_bytes()
    with service.http(params={"collection": gallery}, headers={"X-Request-ID": "enrolment-under-test"}) as http:
        http.post("/v1/search", files={"photo": photo})  # So that a searcher holds the collection.
        taken = http.post("/v1/photos", data={"person": "Grace Hopper"}, files={"photo": photo}).json()
    job = service.ended(taken["job"], gallery)

    [line] = [line for line in _lines(service)["bulk"] if line.get("jobs") == [taken["job"]]]
    assert (line["request"], line["sequence"], len(line["items"])) == ("enrolment-under-test", job["sequence"], 1)

    def trace() -> list[Span]:
        found = receiver.traces().values()
        return next((spans for spans in found if any(s.name == "POST /v1/photos" for s in spans)), [])

    eventually(lambda: {span.name for span in trace()} >= {"colega.ingest", "searcher.follow"})
    assert is_connected(trace())
    assert {span.service for span in trace()} == {"colega-gateway", "colega-bulk", "colega-searcher"}


def test_every_line_of_every_process_is_json_and_none_tells_who_was_asked_about(
    service: Running, receiver: Receiver, enrolled: str, examples: Path
) -> None:
    with service.http(params={"collection": enrolled}) as http:
        people = http.get("/v1/people", params={"query": "obama"}).json()["items"]
        http.get(f"/v1/people/{people[0]['id']}")
        http.get("/v1/nothing/of/the/kind")
        http.post("/v1/search", files={"photo": b"no picture"})
    service.colega("search", str(examples / "queries" / "group.jpg"), collection=enrolled)

    lines = _lines(service)
    whole = json.dumps([lines, [(span.name, span.told) for span in receiver.spans()]])

    assert set(lines) >= {"gateway", "interactive", "bulk", "maintenance", "training", "searcher", "prepare"}
    assert all({"event", "level", "timestamp"} <= line.keys() for told in lines.values() for line in told)
    assert "Obama" not in whole
    assert "obama" not in whole
    assert people[0]["id"] not in whole
    answered = [line for line in lines["gateway"] if line["event"] == "request.answered"]
    assert {"/v1/people/<person_id>", "none", "/v1/search"} <= {line["rule"] for line in answered}
    assert all(line["ms"] >= 0 and line["status"] for line in answered)
