"""A calibration in use: searches and comparisons decide by it, and say what it cannot tell."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.calibrated import Calibrated
from services.catalog import calibrations, collections, generations
from services.catalog.engine import Catalog
from tests.running import Running
from tests.unit.services.test_calibrated import CURVES

pytestmark = pytest.mark.slow


@pytest.fixture
def rows(service: Running) -> Iterator[Catalog]:
    """The catalog of the service, behind its back."""
    catalog = Catalog(f"sqlite:///{service.data / 'catalog' / 'catalog.sqlite'}")
    yield catalog
    catalog.close()


def keep(catalog: Catalog, gallery: str, curves: dict[str, Any]) -> None:
    """Give a collection a calibration that nobody fitted."""
    with catalog.transaction() as session:
        found = collections.by_name(session, gallery)
        assert found.generation_id is not None
        active, of_it = generations.by_id(session, found.generation_id), {"epoch": found.epoch, **curves}
        calibrations.keep(session, active, sequence=found.head, people=4, faces=5, curves=of_it)


def test_four_people_are_too_few_and_are_told_so(service: Running, enrolled: str, examples: Path) -> None:
    photo = examples / "queries" / "one.jpg"
    before = service.client(enrolled).search(photo)

    told = service.answer("calibrate", collection=enrolled)

    assert told["people"] == 4
    assert told["lines"][0] == "4 people with 5 faces; costs are counted on 1 with two or more."
    assert {row["threshold"] for row in told["rows"]} == {None}
    assert "At 5% strangers named: not enough people: 80 are needed, 76 more" in told["lines"][2]
    after = service.client(enrolled).search(photo)
    assert (after["threshold"], after["decided_by"]) == (before["threshold"], "model")
    assert {match["fmr"] for face in after["faces"] for match in face["matches"]} == {None}
    with service.http(params={"collection": enrolled}) as http:
        kept = http.get("/v1/calibrations").json()
    assert (kept["people"], kept["faces"], kept["stale"]) == (4, 5, None)


def test_searches_and_comparisons_decide_by_the_calibration_at_once(
    service: Running, enrolled: str, examples: Path, rows: Catalog
) -> None:
    photo, client = examples / "queries" / "one.jpg", service.client(enrolled)
    keep(rows, enrolled, CURVES)
    first = client.search(photo)

    keep(rows, enrolled, {**CURVES, "fpir": {"0.05": [[4, 0.31, 0.03, 0.08, 0.1], [8, 0.4, 0.03, 0.08, 0.1]]}})
    second = client.search(photo)

    read = Calibrated(CURVES)
    assert (first["decided_by"], first["threshold"]) == ("calibration", read.at_fpir(0.05, 4).threshold)
    assert (second["decided_by"], second["threshold"]) == ("calibration", 0.31)
    best = first["faces"][0]["matches"][0]
    assert best["fmr"] == pytest.approx(read.fmr_of(best["similarity"]), rel=1e-3)
    person = client.people.named("Barack Obama")[0]["id"]
    with service.http(params={"collection": enrolled}) as http:
        with_person = http.post("/v1/verify", files={"photo": photo.read_bytes()}, data={"person_id": person}).json()
        other = (examples / "people" / "Joe Biden" / "1.jpg").read_bytes()
        with_photo = http.post("/v1/verify", files={"a": photo.read_bytes(), "b": other}).json()
    assert (with_person["threshold"], with_person["decided_by"]) == (0.5, "calibration")
    assert with_person["fmr"] == pytest.approx(read.fmr_of(with_person["similarity"]), rel=1e-3)
    assert with_photo["decided_by"] == "model"  # One photo: 0.001 is more than these people can tell.
    assert with_photo["fmr"] == pytest.approx(read.fmr_of(with_photo["similarity"], "pairs"), rel=1e-3)


def test_a_rate_that_cannot_be_told_is_refused_with_how_many_people_are_missing(
    service: Running, enrolled: str, examples: Path, rows: Catalog
) -> None:
    keep(rows, enrolled, CURVES)
    photo = (examples / "queries" / "one.jpg").read_bytes()

    with service.http(params={"collection": enrolled}) as http:
        strict = http.post("/v1/search", params={"fpir": 0.001}, files={"photo": photo})
        verified = http.post("/v1/verify", params={"fmr": 0.0001}, files={"a": photo, "b": photo})

    assert (strict.status_code, verified.status_code) == (422, 422)
    assert "4,000 are needed, 3,800 more than there are" in strict.json()["detail"]
    assert "225 are needed, 25 more than there are" in verified.json()["detail"]


def test_status_tells_what_a_collection_decides_by_and_when_it_is_stale(
    service: Running, enrolled: str, rows: Catalog
) -> None:
    [before] = [c for c in service.answer("status")["collections"] if c["name"] == enrolled]
    keep(rows, enrolled, CURVES)

    [after] = [c for c in service.answer("status")["collections"] if c["name"] == enrolled]
    words = service.colega("status").stdout

    assert before["calibration"] is None
    assert after["calibration"]["stale"] == "the gallery has gone from 200 to 4 people since"
    assert "At 10% strangers named, 1% of known people go unnamed" in words
    assert "stale: the gallery has gone from 200 to 4 people since" in words


def test_a_collection_that_was_never_calibrated_has_no_calibration(service: Running, gallery: str) -> None:
    with service.http(params={"collection": gallery}) as http:
        assert http.get("/v1/calibrations").status_code == 404


def test_a_directory_is_told_what_its_people_can_tell(service: Running, examples: Path) -> None:
    told = service.answer("calibrate", "--dataset", str(examples / "people"))

    assert (told["model"], told["people"], told["faces"]) == ("casia-webface", 4, 5)
    assert "not enough people" in told["lines"][1]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--dataset", "ONE"], "20 or more; enrolled: 1"),
        (["--collection", "EMPTY"], "Nobody is enrolled in this collection"),
        (["--collection", "EMPTY", "--model", "nobodys"], "There is no model nobodys"),
    ],
)
def test_what_cannot_be_calibrated_is_refused_with_the_reason(
    service: Running, gallery: str, examples: Path, tmp_path: Path, asked: list[str], said: str
) -> None:
    (tmp_path / "Ana").mkdir()
    (tmp_path / "Ana" / "1.jpg").write_bytes((examples / "people" / "Grace Hopper" / "1.jpg").read_bytes())
    places = {"ONE": str(tmp_path), "EMPTY": gallery}

    done = service.colega("calibrate", *[places.get(word, word) for word in asked])

    assert done.returncode in {2, 3}
    assert said in " ".join(done.stderr.split())
