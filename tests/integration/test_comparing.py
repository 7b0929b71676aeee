"""Comparisons of two generations: from rows to figures, a report, and a calibration that searches can use."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from services.broker.send import Queue
from services.broker.shadows import Pair as Query
from services.catalog import calibrations, generations
from services.catalog.engine import Catalog
from services.catalog.rebuilding.comparisons import Enrolled
from services.catalog.schema import Face, Person
from services.errors import BrokerUnavailable
from services.photos import keys
from services.photos.store import PhotoStore
from tests import nets, vaults
from tests.integration import shadows
from tests.stack import Stack
from tests.unit.workers.evaluation.sets import vectors_of
from tests.unit.workers.evaluation.test_reports import Outside
from workers import computing, labelled, shadowed, upkeep
from workers.computing import Parts
from workers.evaluation import policy
from workers.faces import chips
from workers.faces.values import Vectors
from workers.galleries import Gallery
from workers.models import detectors
from workers.models.registry import Registry
from workers.serving.vectors import encoded

pytestmark = pytest.mark.slow

HOSTILE = "<img src=x onerror=alert({})>"
MANY, SOME, FEW = np.arange(90).repeat(3), np.arange(30).repeat(3), np.array([0, 0, 1, 2, 3])


class Desk:
    """What compares."""

    def __init__(self, catalog: Catalog, store: PhotoStore, folder: Path) -> None:
        self.catalog, self.store = catalog, vaults.sealed(store, catalog)
        registry = Registry(catalog, store, folder / "models", max_pixels=10**6)
        self.parts = Parts(catalog, self.store, registry, "here:1", folder / "computing", 10**6)

    def compare(self, pair: shadows.Pair, **more: Any) -> dict[str, Any]:
        """The result of a comparison."""
        job = shadows.ask(self.catalog, pair, **more)
        computing.run(job, self.parts)
        row, told = shadows.ended(self.catalog, job)
        assert told.state == "done", row.error
        assert told.result is not None
        return {**told.result, "job": row.public_id}

    def report(self, result: Mapping[str, Any]) -> str:
        """Its page."""
        return self.store.get(keys.report(result["job"], "report.html")).decode()


@pytest.fixture
def desk(catalog: Catalog, photo_store: PhotoStore, tmp_path: Path) -> Desk:
    return Desk(catalog, photo_store, tmp_path)


def test_a_worse_model_is_compared_calibrated_and_stopped(desk: Desk) -> None:
    better, worse = vectors_of(90, 3, 0.5), vectors_of(90, 3, 1.5, seed=12)[:, :48]
    pair = shadows.pair(desk.catalog, desk.store, better, worse / np.linalg.norm(worse, axis=1, keepdims=True), MANY)

    result = desk.compare(pair)

    assert (result["before"]["name"], result["after"]["name"]) == ("old", "new")
    assert (result["before"]["dimension"], result["after"]["dimension"]) == (64, 48)
    assert result["faces"] == {"both": 270, "only_before": 0, "only_after": 0}
    assert result["accuracy"]["rank1"]["difference"] < -0.05
    assert result["findings"] == {"kept": 1}
    assert result["files"] == ["figures.json", "report.html"]
    assert result["decides"]["after"]["by"] == "calibration"
    assert "Rank-1 falls by" in (policy.stopped_by(result, {}) or "")
    with desk.catalog.reading() as session:
        kept = calibrations.of(session, pair.after)
        before = calibrations.of(session, pair.before)
    assert kept is not None
    assert (kept.people, kept.faces, before) == (90, 270, None)
    assert {change["after"]["outcome"] for change in result["worst"]["lost"]} <= {"wrong", "unknown"}
    assert all(change["before"]["outcome"] == "right" for change in result["worst"]["lost"])
    page = desk.report(result)
    assert page.count("<img") > 10
    assert "Not to be switched to by itself" in page


def test_a_model_is_not_stopped_by_itself(desk: Desk) -> None:
    seen = vectors_of(90, 3, 0.7)
    pair = shadows.pair(desk.catalog, None, seen, seen, MANY)

    result = desk.compare(pair, thumbnails=False)

    assert policy.stopped_by(result, {"max_loss": 0.0, "min_rank1": 0.5}) is None
    assert result["gallery"]["overlap"] == {"1": 1.0, "5": 1.0, "10": 1.0}
    assert result["gallery"]["rank1"]["only_before"] == result["gallery"]["rank1"]["only_after"] == 0
    assert {found["difference"] for found in result["accuracy"].values()} == {0}
    assert result["worst"]["lost"] == result["worst"]["mistaken"] == []
    assert "<img" not in desk.report(result)


def test_four_people_give_a_report_that_says_what_cannot_be_measured(desk: Desk) -> None:
    seen, other = vectors_of(5, 1, 0.5), vectors_of(5, 1, 0.5, seed=3)
    pair = shadows.pair(desk.catalog, desk.store, seen, other, FEW)

    result = desk.compare(pair)

    assert result["accuracy"] == {"rank1": None, "tmr_at_fmr_1e-3": None, "fnir_at_fpir_5e-2": None}
    assert "Too few people: 4 people, 1 with two photos" in result["not_said"]["accuracy.rank1"]
    assert result["calibration"]["lines"][0].startswith("4 people with 5 faces")
    assert result["decides"]["after"]["by"] == "model"
    page = desk.report(result)
    assert "cannot be measured" in page
    assert "not enough people: 80 are needed" in page
    assert policy.stopped_by(result, {}) is None
    assert "cannot be measured" in (policy.stopped_by(result, {"min_rank1": 0.9}) or "")


def test_real_faces_are_compared_under_two_small_nets_and_shown(desk: Desk, examples: Path) -> None:
    people = labelled.of_directory(examples / "people", detectors.mtcnn(), max_pixels=10**8)
    old, new = (_said_by(nets.embedder(dimension, seed=seed), people) for dimension, seed in ((64, 1), (128, 2)))
    jpegs = [chip.jpeg for chip in people.chips]
    pair = shadows.pair(desk.catalog, desk.store, old, new, people.people, jpegs=jpegs)

    result = desk.compare(pair)

    page = desk.report(result)
    assert (result["people"], result["faces"]["both"]) == (4, 5)
    assert (result["before"]["dimension"], result["after"]["dimension"]) == (64, 128)
    assert result["gallery"]["overlap"]["1"] is not None
    assert result["gallery"]["searches"]["mated"] == 2
    assert "data:image/jpeg;base64," in page
    assert "detector mtcnn" in page


def test_one_person_alone_is_no_error(desk: Desk) -> None:
    seen = vectors_of(1, 2, 0.5)
    pair = shadows.pair(desk.catalog, desk.store, seen, seen, np.array([4, 4]))

    result = desk.compare(pair)

    assert "enrolled: 1" in result["calibration"]["why_not"]
    assert result["worst"] == {}
    assert "could not be made" in desk.report(result)


@pytest.mark.parametrize("people", [np.array([-1, -1]), np.empty(0, np.int64)])
def test_where_nobody_is_enrolled_there_is_a_report_all_the_same(desk: Desk, people: np.ndarray) -> None:
    """A gallery of unassigned faces, or an empty one, can be rebuilt too."""
    seen = vectors_of(1, 2, 0.5)[: len(people)]
    pair = shadows.pair(desk.catalog, None, seen, seen, people)

    result = desk.compare(pair)

    assert (result["people"], result["faces"]["both"], result["gallery"]["searches"]["all"]) == (0, 0, 0)
    assert set(result["accuracy"].values()) == {None}
    assert policy.stopped_by(result, {}) is None
    assert "Nobody has a face in both generations." in desk.report(result)


def test_a_model_without_thresholds_in_a_small_gallery_could_not_decide(desk: Desk) -> None:
    seen = vectors_of(5, 1, 0.5)
    pair = shadows.pair(desk.catalog, desk.store, seen, seen, FEW, thresholds=None)

    result = desk.compare(pair)

    said = policy.stopped_by(result, {"max_loss": 1.0})
    assert said is not None
    assert said.startswith("Searches could not decide under new: ")
    assert "80 are needed, 76 more than there are" in said
    assert "Enrol more people, or choose a model that brings thresholds." in said
    assert result["gallery"]["decisions"] is None


def test_names_are_written_and_not_obeyed(desk: Desk) -> None:
    old, new = vectors_of(30, 3, 0.5), vectors_of(30, 3, 1.5, seed=12)
    pair = shadows.pair(desk.catalog, desk.store, old, new, SOME, called=HOSTILE)

    page = desk.report(desk.compare(pair))

    outside = Outside()
    outside.feed(page)
    assert outside.found == []
    assert outside.open == []
    assert "&lt;img src=x onerror=alert(" in page
    assert "<img src=x" not in page


def test_the_figures_name_nobody(desk: Desk) -> None:
    """They stay in the catalog: of who is erased nothing but ids is left there."""
    old, new = vectors_of(30, 3, 0.5), vectors_of(30, 3, 1.5, seed=12)
    pair = shadows.pair(desk.catalog, None, old, new, SOME, called="Somebody {}")

    result = desk.compare(pair)

    assert result["worst"]["lost"]
    assert "Somebody" not in str(result)
    assert "Somebody" not in desk.store.get(keys.report(result["job"], "figures.json")).decode()


def test_another_detection_is_compared_face_by_face(desk: Desk) -> None:
    """By public id: the rows are others."""
    seen, new = vectors_of(30, 3, 0.5), vectors_of(30, 3, 0.8)
    people = np.arange(30).repeat(3)
    people[-3:] = -1  # Nobody's: not compared.
    pair = shadows.pair(desk.catalog, desk.store, seen, new, people, anew=True)
    with desk.catalog.transaction() as session:  # Found no more, and found only now.
        first, second = (generations.by_id(session, number) for number in (pair.before, pair.after))
        of = (Face.collection_id == pair.collection, Face.person_id.is_not(None))
        gone = session.query(Face).where(*of, Face.round == second.round).order_by(Face.id).first()
        session.delete(gone)
        assert first.round != second.round

    result = desk.compare(pair)

    assert result["faces"] == {"both": 86, "only_before": 1, "only_after": 0}
    assert result["people"] == 29
    assert "1 face is in the present generation only" in desk.report(result)


def test_recent_searches_are_compared_too_and_a_broker_that_is_away_costs_only_them(desk: Desk) -> None:
    seen, other = vectors_of(30, 3, 0.5), vectors_of(30, 3, 0.5, seed=5)
    pair = shadows.pair(desk.catalog, None, seen, other, SOME)
    asked: list[tuple[int, int]] = []

    def recent(collection: int, generation: int) -> list[Query]:
        asked.append((collection, generation))
        return [Query(encoded(seen[row]), encoded(other[row])) for row in range(0, 60, 3)]

    def away(_collection: int, _generation: int) -> list[Query]:
        raise BrokerUnavailable("It does not answer.")

    parts = {name: getattr(desk.parts, name) for name in Parts.__slots__}
    desk.parts = Parts(**{**parts, "queries": recent})
    result = desk.compare(pair, thumbnails=False)
    desk.parts = Parts(**{**parts, "queries": away})
    without = desk.compare(pair, thumbnails=False)

    assert asked == [(pair.collection, pair.after)]
    assert result["queries"]["count"] == 20
    assert result["queries"]["rank1_agreement"] == 1.0
    assert result["queries"]["decisions"]["same_person"] == 20
    assert without["queries"] is None
    assert "COLEGA_SHADOW_QUERIES" in without["not_said"]["queries"]


def test_whoever_is_erased_meanwhile_is_not_shown(desk: Desk) -> None:
    """Between reading the vectors and showing the faces."""
    seen = vectors_of(6, 2, 0.5)
    pair = shadows.pair(desk.catalog, desk.store, seen, seen, np.arange(6).repeat(2))
    numbers = (pair.before, pair.after)
    found = shadowed.of_generations(
        desk.catalog, desk.store, pair.collection, numbers, queries=shadowed.no_queries, rebuild=None, seed=0
    )
    with desk.catalog.transaction() as session:
        person = session.query(Person).order_by(Person.id).first()
        assert person is not None
        session.query(Face).where(Face.person_id == person.id).update({"person_id": None})

    shown = found.look(found.before.numbers.tolist())

    assert len(shown) == 10
    assert person.name not in {seen.person for seen in shown.values()}
    assert all(each.chip is not None for each in shown.values())


def test_a_gallery_that_is_too_large_is_compared_in_part_and_says_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadowed, "MOST_FACES", 60)
    seen = vectors_of(30, 3, 0.5)
    pair = shadows.pair(desk.catalog, None, seen, seen, SOME)

    result = desk.compare(pair)

    assert result["sample"] == {"people": 20, "faces": 60, "whole": False}
    assert (result["people"], result["faces"]["both"], result["faces"]["only_before"]) == (30, 90, 0)
    assert "20 of its 30 people, drawn by lot, with 60 faces" in desk.report(result)
    with desk.catalog.reading() as session:
        kept = calibrations.of(session, pair.after)
    assert kept is not None
    assert (kept.people, kept.faces, kept.curves["strangers"]) == (30, 90, 20)


def test_of_a_large_gallery_whole_people_are_drawn_by_lot() -> None:
    everybody = [Enrolled(number, 1 + number % 5) for number in range(1_000)]

    chosen, again = shadowed.drawn(everybody, 600, seed=1), shadowed.drawn(everybody, 600, seed=1)

    counts = {person.person_id: person.faces for person in everybody}
    assert chosen == again == sorted(set(chosen))
    assert 590 < sum(counts[person] for person in chosen) <= 600
    assert shadowed.drawn(everybody, 10_000, seed=1) == list(range(1_000))


def _said_by(net: onnx.ModelProto, people: Gallery) -> Vectors:
    """What a small net says of everybody's chips, (n, d) float32 of norm 1."""
    middle = slice(56, 168)
    seen = [chips.decode(chip.jpeg)[middle, middle, ::-1].transpose(2, 0, 1) for chip in people.chips]
    session = onnxruntime.InferenceSession(net.SerializeToString(), providers=["CPUExecutionProvider"])
    [said] = session.run(None, {"data": (np.stack(seen).astype(np.float32) - 127.5) / 127.5})
    vectors: Vectors = said / np.linalg.norm(said, axis=1, keepdims=True)
    return vectors


DYING = """
import os, sys
from pathlib import Path
from services.catalog.rebuilding.comparisons import Enrolled
from services.catalog.engine import Catalog
from services.settings.service import Environment
from services.vault import Vault
from workers import computing
from workers.models.registry import Registry

url, job, folder, host, stage = sys.argv[1:]

def heard(progress):
    if progress["stage"] == stage:
        os.kill(os.getpid(), 9)

catalog = Catalog(url)
store = Vault.of(Environment.of_process(), catalog)
models = Registry(catalog, store.objects, Path(folder) / "models", max_pixels=10**6)
name, place = f"{host}:{os.getpid()}", Path(folder) / "computing"
computing.run(int(job), computing.Parts(catalog, store, models, name, place, 10**6, heard=heard))
"""


@pytest.mark.parametrize("stage", ["calibration", "report"])
def test_a_comparison_whose_process_is_killed_is_made_again_and_says_the_same(
    desk: Desk, servers: Stack, valkey: str, stage: str
) -> None:
    old, new = vectors_of(30, 3, 0.5), vectors_of(30, 3, 1.0, seed=12)
    pair = shadows.pair(desk.catalog, desk.store, old, new, SOME)
    undisturbed = desk.compare(pair)
    job, queue = shadows.ask(desk.catalog, pair), Queue(valkey)
    url = desk.catalog.url.render_as_string(hide_password=False)
    folder = str(desk.parts.folder.parent)

    command = [sys.executable, "-c", DYING, url, str(job), folder, socket.gethostname(), stage]
    status = subprocess.run(command, check=False, timeout=60, env=os.environ | servers.photo_settings()).returncode
    upkeep.sweep(desk.catalog, queue)
    sent = queue.depths()["training"]
    computing.run(job, desk.parts)

    _, told = shadows.ended(desk.catalog, job)
    assert (status, sent, told.state, told.deaths) == (-signal.SIGKILL, 1, "done", 1)
    assert told.result == {name: said for name, said in undisturbed.items() if name != "job"}
