"""Metrics: what alerts and dashboard ask for is there, in base units, and grows with what is done."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.observability import queries, rules, selectors
from tests.running import Running
from tests.waiting import eventually

pytestmark = pytest.mark.slow

_RECORDS = {rule["record"] for rule in rules() if "record" in rule}
_OF_PROMETHEUS = {"up", *_RECORDS}
_KINDS = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",), "unknown": ("",)}
_UNITS = re.compile(r"_(seconds|bytes|megabytes|milliseconds|ms|mb)\b")


def _text(service: Running) -> str:
    with service.http() as http:
        return http.get("/metrics").raise_for_status().text


def _values(service: Running) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(_text(service))
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def _of(service: Running, name: str, **labels: str) -> float:
    return _values(service).get((name, tuple(sorted(labels.items()))), 0.0)


def test_everything_that_is_asked_for_is_there(service: Running, enrolled: str, examples: Path) -> None:
    service.names(examples / "queries" / "one.jpg", enrolled)
    families = list(text_string_to_metric_families(_text(service)))
    there = {f"{family.name}{end}" for family in families for end in _KINDS[family.type]}
    labels = {name: {label for s in f.samples for label in s.labels} for f in families for name in _names(f)}

    asked = [(name, chosen) for query in queries() for name, chosen in selectors(query) if name not in _OF_PROMETHEUS]

    assert {name for name, _ in asked} <= there
    assert not [(name, by) for name, by in asked if labels.get(name) and not by - {"job", "instance"} <= labels[name]]


def _names(family: object) -> set[str]:
    return {sample.name for sample in family.samples}  # type: ignore[attr-defined]


def test_names_say_what_is_measured_and_in_which_base_unit(service: Running) -> None:
    families = [f for f in text_string_to_metric_families(_text(service)) if f.name.startswith("colega_")]

    assert all(family.documentation for family in families)
    assert {unit for family in families for unit in _UNITS.findall(family.name)} <= {"seconds", "bytes"}


def test_what_is_done_is_counted(service: Running, gallery: str, examples: Path) -> None:
    photo = (examples / "people" / "Grace Hopper" / "1.jpg").read_bytes()
    before = {
        "done": _of(service, "colega_photos_total", outcome="done"),
        "faces": _of(service, "colega_faces_total"),
        "found": _of(service, "colega_photo_findable_seconds_count"),
        "searches": _of(service, "colega_search_seconds_count", stage="wait"),
        "faces searched": _of(service, "colega_search_best_similarity_count"),
        "problems": _of(service, "colega_problems_total", type="photo-not-an-image"),
    }
    with service.http(params={"collection": gallery}) as http:
        http.post("/v1/search", files={"photo": photo})  # A searcher holds the collection from now on.
        http.post("/v1/search", files={"photo": b"no picture"})
    service.enrol({"Grace": [photo]}, gallery)

    eventually(lambda: _of(service, "colega_photos_total", outcome="done") >= before["done"] + 1)
    eventually(lambda: _of(service, "colega_photo_findable_seconds_count") >= before["found"] + 1)
    assert _of(service, "colega_faces_total") >= before["faces"] + 1
    assert _of(service, "colega_search_seconds_count", stage="wait") >= before["searches"] + 1
    assert _of(service, "colega_search_best_similarity_count") >= before["faces searched"] + 1
    assert _of(service, "colega_problems_total", type="photo-not-an-image") >= before["problems"] + 1


def test_labels_are_few_and_name_nobody(service: Running, enrolled: str, examples: Path) -> None:
    service.names(examples / "queries" / "one.jpg", enrolled)

    values = _values(service)

    assert len(values) < 3000
    assert not [labels for _, labels in values if any(enrolled in value or "Obama" in value for _, value in labels)]
